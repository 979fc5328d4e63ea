"""What Yosys' generic gates do: the functions of a netlist that was made without a library."""

import itertools
import re
from collections.abc import Iterable

from hw.liberty_power import CellPower

__all__ = ["GENERIC_CELLS"]

_LOGIC = {
    "BUF": "A",
    "NOT": "!A",
    "AND": "A*B",
    "NAND": "!(A*B)",
    "OR": "A+B",
    "NOR": "!(A+B)",
    "XOR": "A^B",
    "XNOR": "!(A^B)",
    "MUX": "(B*S)+(A*(!S))",
}
"""Function of the output Y by type."""


def _cell(inputs: Iterable[str], output: str, function: str, register: dict[str, str]) -> CellPower:
    return CellPower(
        inputs=dict.fromkeys(inputs, 0.0),
        outputs={output: function},
        arcs={},
        transitions={},
        leakage=0.0,
        register=register,
    )


def _register(next_state: str, inputs: str) -> CellPower:
    register = {"next_state": next_state, "clocked_on": "C", "state": "IQ", "inverse": "IQN"}
    return _cell(f"CD{inputs}", "Q", "IQ", register)


def _registers() -> dict[str, CellPower]:
    """Rising clock; E enables; R resets to 0 or 1, SDFFE even while not enabled, SDFFCE not."""
    found = {"$_DFF_P_": _register("D", "")}
    for enable in "PN":
        e, held = ("E", "(!E)") if enable == "P" else ("(!E)", "E")
        found[f"$_DFFE_P{enable}_"] = _register(f"(D*{e})+(IQ*{held})", "E")
    for reset, value in itertools.product("PN", "01"):
        r, kept = ("R", "(!R)") if reset == "P" else ("(!R)", "R")

        def or_reset(data: str, r: str = r, kept: str = kept, value: str = value) -> str:
            return f"({data})+{r}" if value == "1" else f"({data})*{kept}"

        found[f"$_SDFF_P{reset}{value}_"] = _register(or_reset("D"), "R")
        for enable in "PN":
            e, held = ("E", "(!E)") if enable == "P" else ("(!E)", "E")
            kind = f"P{reset}{value}{enable}_"
            found[f"$_SDFFE_{kind}"] = _register(or_reset(f"(D*{e})+(IQ*{held})"), "ER")
            found[f"$_SDFFCE_{kind}"] = _register(f"(({or_reset('D')})*{e})+(IQ*{held})", "ER")
    return found


GENERIC_CELLS: dict[str, CellPower] = {
    **{
        f"$_{kind}_": _cell(re.findall("[ABS]", function), "Y", function, {})
        for kind, function in _LOGIC.items()
    },
    **_registers(),
}
"""By type: logic of up to two inputs and the multiplexer, and registers of the rising clock edge
with a synchronous reset and an enable or without. Capacitance, energy and leakage are none."""
