"""Behaviour of standard cells as Verilog, from the functions that their Liberty file states."""

from collections.abc import Iterable

from hw.errors import LibertyError
from hw.liberty_power import CellPower, PowerLibrary, to_expression

__all__ = ["cell_models"]


def cell_models(library: PowerLibrary, kinds: Iterable[str]) -> str:
    """A module for each kind of cell, without delays; registers start at 0.

    Raises
    ------
    LibertyError
        If a cell has an output without function, or stores a bit in a way that is not modelled.
    """
    return "".join(_model(kind, library.cells[kind]) for kind in sorted(set(kinds)))


def _model(name: str, cell: CellPower) -> str:
    ports = ", ".join([*cell.inputs, *cell.outputs])
    lines = [f"module {name} ({ports});"]
    lines += [f"  input {pin};" for pin in cell.inputs]
    lines += [f"  output {pin};" for pin in cell.outputs]
    register, names = cell.register, {}
    if register:
        names = {register["state"]: "state", register["inverse"]: "(~state)"}
        lines += ["  reg state = 1'b0;", *_register(name, register)]
    for pin, function in cell.outputs.items():
        if not function:
            raise LibertyError(f"The output {pin} of {name} states no function.")
        value = to_expression(function, lambda operand: names.get(operand, operand))
        lines.append(f"  assign {pin} = {value};")
    return "\n".join([*lines, "endmodule\n"])


def _register(name: str, register: dict[str, str] | object) -> list[str]:
    assert isinstance(register, dict)
    if "preset" in register or "clear" in register:
        raise LibertyError(f"{name} has a preset or a clear, which is not modelled.")
    clock = to_expression(register["clocked_on"])
    return [
        f"  wire clocked = {clock};",
        f"  always @(posedge clocked) state <= {to_expression(register['next_state'])};",
    ]
