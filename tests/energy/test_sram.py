import pytest

from energy.errors import EnergyError
from energy.sram import lookup
from energy.tables import load_costs

CACTI = "cacti7_32nm_hp"


def test_a_point_of_the_table_is_itself():
    found = lookup(CACTI, "read_fj", 16384, 32)
    assert found.inside
    assert found.value == pytest.approx(load_costs()["sram_cacti"].energy_fj)


def test_between_points_is_monotonic():
    values = [lookup(CACTI, "read_fj", size, 32).value for size in range(1024, 20000, 1000)]
    assert values == sorted(values)
    widths = [lookup(CACTI, "write_fj", 65536, bits).value for bits in (8, 12, 16, 24, 32, 48)]
    assert widths == sorted(widths)


def test_geometric_mean_half_way():
    low, high = (lookup(CACTI, "read_fj", n, 32).value for n in (16384, 32768))
    middle = lookup(CACTI, "read_fj", 16384 * 2**0.5, 32).value
    assert middle == pytest.approx((low * high) ** 0.5)


def test_beyond_the_table_is_marked():
    small, edge = lookup(CACTI, "read_fj", 256, 8), lookup(CACTI, "read_fj", 1024, 8)
    assert not small.inside
    assert small.value == pytest.approx(edge.value / 2)
    assert not lookup(CACTI, "read_fj", 2**22, 32).inside
    assert not lookup(CACTI, "read_fj", 2**20, 1024).inside


def test_one_width_is_linear_in_bits():
    wide, narrow = (lookup("horowitz2014_45nm", "read_fj", 8192, bits) for bits in (64, 32))
    assert wide.value == pytest.approx(10_000)
    assert narrow.value == pytest.approx(5_000)
    assert narrow.inside


def test_two_sources_agree_within_their_uncertainty():
    # 45 nm both: a cache of 32 KB (Horowitz) and a plain RAM of 32 KB (CACTI), 32 bits.
    cache = lookup("horowitz2014_45nm", "read_fj", 32768, 32).value
    plain = lookup("cacti7_45nm_hp", "read_fj", 32768, 32).value
    assert 0.5 < cache / plain < 2


def test_wrong_memory():
    with pytest.raises(EnergyError, match="no model 'none'"):
        lookup("none", "read_fj", 1024, 32)
    with pytest.raises(EnergyError, match="must have a size and a width"):
        lookup(CACTI, "read_fj", 0, 32)
    with pytest.raises(EnergyError, match="has no area_um2"):
        lookup("horowitz2014_45nm", "area_um2", 8192, 64)
