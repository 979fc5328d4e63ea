import pytest

from energy.yao import corrections, gpu, published_core


def test_headline_figures():
    core = published_core()
    assert sum(core.phase_energy_j.values()) == pytest.approx(371.89e-12, rel=1e-6)
    assert core.gops_per_w == pytest.approx(11_014.0, rel=1e-4)
    assert core.gops_per_mm2 == pytest.approx(1_164.4, rel=1e-4)
    assert core.gops_per_w / 100 == pytest.approx(110, rel=2e-3)
    assert core.gops_per_mm2 / 37 == pytest.approx(31.5, rel=2e-3)


def test_split_of_a_phase():
    split = published_core().phase_energy_j
    assert split["adc"] == pytest.approx(32 * 4 * 2.55e-12)
    assert split["adc"] / split["array"] == pytest.approx(14.4)
    assert split["rest"] == pytest.approx(22.8e-12, rel=2e-3)


def test_every_correction_lowers_the_efficiency():
    steps = corrections(shift_add_j=10e-12, buffers_j=10e-12, write_j=1e-9, digital_mm2=0.01)
    efficiencies = [step.gops_per_w for step in steps]
    assert efficiencies == sorted(efficiencies, reverse=True)
    assert efficiencies[1] == pytest.approx(efficiencies[0] / 2)
    assert steps[-1].gops_per_w == pytest.approx(16_384 / (2975.12e-12 + 1.02e-9) / 1e9)
    assert steps[-1].gops_per_mm2 < steps[1].gops_per_mm2


def test_gpu():
    full = gpu(1.0)
    assert full["gops_per_w"] == pytest.approx(125e3 / 300)
    assert gpu(0.01)["gops_per_mm2"] == pytest.approx(full["gops_per_mm2"] / 100)
