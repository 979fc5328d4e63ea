from dataclasses import replace

import pytest

from energy.area import blocks
from energy.scaling import Node
from model.config import ChiProtection
from model.configurations import mca_mlp


def areas(config, node=None):
    return {block.name: block.area_um2 for block in blocks(config, node or Node())}


def test_devices_and_converters_by_hand():
    found = areas(mca_mlp)
    assert found["devices"] == pytest.approx(2 * 198_760 * 0.25)
    # Columns of both layers, and the second layer's rows, which are read backwards.
    assert found["converters"] == pytest.approx((250 + 10 + 251) * 1500)


def test_sharing_converters():
    shared = replace(mca_mlp, array=replace(mca_mlp.array, columns_per_adc=4))
    assert areas(shared)["converters"] == pytest.approx(128 * 1500)


def test_node_scales_only_what_is_digital():
    here, there = areas(mca_mlp), areas(mca_mlp, Node(tech_nm=7, vdd_v=0.7))
    assert there["chi memory"] == pytest.approx(0.34 * here["chi memory"], rel=0.05)
    assert there["converters"] == here["converters"]


def test_narrow_chi_is_smaller():
    narrow = replace(mca_mlp, update=replace(mca_mlp.update, chi_bits=16, epsilon_log2=8))
    assert areas(narrow)["chi memory"] < 0.6 * areas(mca_mlp)["chi memory"]


def test_check_bits_cost_area():
    """SECDED: 39 bits for 32, and 89 + 439 gates of two inputs a lane, five an adder bit."""

    def of(protection):
        return areas(replace(mca_mlp, update=replace(mca_mlp.update, chi_protection=protection)))

    none, parity, secded = (of(protection) for protection in ChiProtection)
    assert "encoders and decoders" not in none
    assert none["chi memory"] < parity["chi memory"] < secded["chi memory"]
    assert secded["chi memory"] / none["chi memory"] == pytest.approx(39 / 32, rel=0.1)
    per_gate = secded["encoders and decoders"] / (89 + 439)
    assert parity["encoders and decoders"] == pytest.approx(per_gate * (31 + 64))
    assert secded["pipeline registers"] > none["pipeline registers"]
