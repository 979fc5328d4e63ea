"""A cell library of six cells, small enough to work an area out by hand."""

__all__ = ["AREAS", "liberty"]

#: Area of each cell, in um2; no two sums of a few cells are equal.
AREAS = {"INV": 1.0, "BUF": 1.5, "NAND2": 2.25, "NOR2": 2.5, "DFF": 20.0, "LATCH": 12.0}

_TABLES = "".join(
    f'{table} (grid) {{ values ("0.05, 0.1, 0.3", "0.06, 0.12, 0.32", "0.1, 0.2, 0.4"); }} '
    for table in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
)


def _input(name, extra=""):
    return f"pin ({name}) {{ direction : input; capacitance : 0.01; {extra}}}\n"


def _gate(name, pins, function, sense):
    arcs = "".join(
        f"timing () {{ related_pin : {pin}; timing_sense : {sense}; {_TABLES}}} " for pin in pins
    )
    inputs = "".join(map(_input, pins))
    output = f'pin (Y) {{ direction : output; function : "{function}"; {arcs}}}\n'
    return f"cell ({name}) {{ area : {AREAS[name]};\n{inputs}{output}}}\n"


def _checks(clock):
    return "".join(
        f"timing () {{ related_pin : {clock}; timing_type : {kind}_rising; "
        'rise_constraint (scalar) { values ("0.05"); } '
        'fall_constraint (scalar) { values ("0.05"); } } '
        for kind in ("setup", "hold")
    )


def _flip_flop():
    return (
        f"cell (DFF) {{ area : {AREAS['DFF']};\n"
        'ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; }\n'
        + _input("D", _checks("CK"))
        + _input("CK", "clock : true; ")
        + 'pin (Q) { direction : output; function : "IQ"; '
        f"timing () {{ related_pin : CK; timing_type : rising_edge; {_TABLES}}} }}\n}}\n"
    )


def _latch():
    return (
        f"cell (LATCH) {{ area : {AREAS['LATCH']}; dont_use : true;\n"
        'latch (IQ, IQN) { data_in : "D"; enable : "G"; }\n'
        + _input("D")
        + _input("G")
        + 'pin (Q) { direction : output; function : "IQ"; }\n}\n'
    )


def liberty(*, name="toy", registers=True, gates=True):
    """The library's text, whole or only its registers or gates."""
    thresholds = "".join(
        f"input_threshold_pct_{edge} : 50; output_threshold_pct_{edge} : 50; "
        f"slew_lower_threshold_pct_{edge} : 20; slew_upper_threshold_pct_{edge} : 80;\n"
        for edge in ("rise", "fall")
    )
    cells = _flip_flop() + _latch() if registers else ""
    if gates:
        cells += _gate("INV", ["A"], "(!A)", "negative_unate")
        cells += _gate("BUF", ["A"], "(A)", "positive_unate")
        cells += _gate("NAND2", ["A", "B"], "(!(A & B))", "negative_unate")
        cells += _gate("NOR2", ["A", "B"], "(!(A | B))", "negative_unate")
    return f"""/* A toy: cell (NONE) {{ area : 99; }} */
library ({name}) {{
time_unit : "1ns";
capacitive_load_unit (1, pf);
voltage_unit : "1V";
delay_model : table_lookup;
{thresholds}
lu_table_template (grid) {{
variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
index_1 ("0.01, 0.1, 0.5"); index_2 ("0.005, 0.05, 0.2");
}}
{cells}}}
"""
