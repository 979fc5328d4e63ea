"""Bits that flip in the chi memory of the emitted Verilog: found, corrected, or lost and told.

That the watchdog tells of a transaction that the arrays never answer is in
``tests/hw/test_watchdog.py``.
"""

from dataclasses import replace
from typing import Any

import pytest

from cocotb_tests.cosim import run_bench
from cocotb_tests.unit_probes import probes
from hw.registers import register_table
from hw.verilog import emit
from model.config import ChiProtection, Config
from model.configurations import tiny_mca
from tests.cocotb_tests.random_configurations import draw_images

N_IMAGES, FLIP_AFTER = 40, 10
LANES = tiny_mca.update.lanes


@pytest.fixture
def run(build_dir):
    """A function that co-simulates images, bits flipping on the way; returns what was found."""

    def run(protection: ChiProtection, flips: int) -> dict[str, Any]:
        update = replace(tiny_mca.update, chi_protection=protection)
        config = replace(tiny_mca, update=update)
        images, labels = draw_images(config, seed=7, n=N_IMAGES)
        ran = run_bench(
            config,
            "tests.cocotb_tests.flip_bench",
            instruments=probes(config),
            emit_unit=emit,
            parameters={"seed": 1, "train": True, "flip_after": FLIP_AFTER, "flips": flips},
            arrays={"images": {"images": images, "labels": labels}},
            n_images=N_IMAGES,
            run=None,
            out_dir=build_dir / "quick",
            quick=True,
            cache_dir=build_dir,
        )
        return dict(ran.found)

    return run


def error_bit(protection: ChiProtection) -> int:
    update = replace(tiny_mca.update, chi_protection=protection)
    config: Config = replace(tiny_mca, update=update)
    errors = next(r for r in register_table(config) if r.name == "ERRORS")
    return next(field.mask for field in errors.fields if field.name == "chi_lost")


def test_flip_without_check_bits_is_a_mismatch(run: Any) -> None:
    found = run(ChiProtection.NONE, 1)
    assert found["images"] >= FLIP_AFTER
    assert found["mismatch"]["block"].startswith("chi memory")


def test_secded_corrects_every_flip_and_counts(run: Any) -> None:
    """One bit in every word of every lane, and everything goes on as if nothing had been."""
    found = run(ChiProtection.SECDED, 1)
    assert found["mismatch"] is None
    assert found["images"] == N_IMAGES
    assert found["corrected"] == found["touched"] * LANES > 0
    assert (found["lost"], found["errors"]) == (0, 0)


def test_secded_tells_of_two_flips(run: Any) -> None:
    """Two bits in every word of every lane: chi goes on from zero, and the host is told."""
    found = run(ChiProtection.SECDED, 2)
    assert found["mismatch"] is None
    assert found["images"] == N_IMAGES
    assert found["lost"] == found["touched"] * LANES > 0
    assert (found["corrected"], found["errors"]) == (0, error_bit(ChiProtection.SECDED))
