"""Functions of Yosys' generic cells, against their definitions in words."""

import itertools

import pytest

from hw.gate_tables import truth_table
from hw.generic_cells import GENERIC_CELLS

LOGIC = {
    "BUF": lambda a: a,
    "NOT": lambda a: 1 - a,
    "AND": min,
    "NAND": lambda a, b: 1 - min(a, b),
    "OR": max,
    "NOR": lambda a, b: 1 - max(a, b),
    "XOR": lambda a, b: int(a != b),
    "XNOR": lambda a, b: int(a == b),
    "MUX": lambda a, b, s: b if s else a,
}


@pytest.mark.parametrize("kind", LOGIC)
def test_logic(kind: str) -> None:
    cell = GENERIC_CELLS[f"$_{kind}_"]
    pins = sorted(cell.inputs)
    expected = [LOGIC[kind](*bits) for bits in itertools.product((0, 1), repeat=len(pins))]
    assert truth_table(cell.outputs["Y"], pins) == "".join(map(str, expected))
    assert not cell.register


def test_registers() -> None:
    """All kinds: reset before enable in SDFFE, enable before reset in SDFFCE."""
    kinds = [kind for kind, cell in GENERIC_CELLS.items() if cell.register]
    assert len(kinds) == 1 + 2 + 4 + 8 + 8
    for kind in kinds:
        family, polarity = kind.removeprefix("$_").removesuffix("_").split("_")
        cell = GENERIC_CELLS[kind]
        pins = ["D", "E", "IQ", "R"]
        table = truth_table(cell.register["next_state"], pins)
        reset = polarity[1] if "SDFF" in family else None
        enable = polarity[-1] if family.endswith("E") else None
        for bits, got in zip(itertools.product((0, 1), repeat=4), table, strict=True):
            d, e, q, r = bits
            resets = reset is not None and r == (reset == "P")
            enables = enable is None or e == (enable == "P")
            held = d if enables else q
            if resets and (family != "SDFFCE" or enables):
                held = int(polarity[2])
            assert int(got) == held, (kind, bits)
        assert set(cell.inputs) == {"C", "D"} | ({"R"} if reset else set()) | (
            {"E"} if enable else set()
        )
