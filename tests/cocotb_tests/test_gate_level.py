"""Replay of recorded inputs on a netlist: outputs compared, toggles counted, energy by hand."""

import numpy as np
import pytest

from cocotb_tests.errors import SimulatorError
from cocotb_tests.gate_level import Recording, replay
from hw.gate_tables import gate_tables
from hw.liberty_power import read_power
from hw.netlist import read_netlist
from hw.power import block_power
from hw.saif import NetActivity
from hw.verilog import Port
from tests.hw.test_power import LIBRARY

NETLIST = """module toy (clk, rst, d, q);
  input clk;
  input rst;
  input d;
  output q;
  wire _n_;
  INV first (
    .A(d),
    .Y(_n_)
  );
  DFF second (
    .CK(clk),
    .D(_n_),
    .Q(q)
  );
endmodule
"""

PORTS = (Port(name="d", width=1, is_input=True), Port(name="q", width=1, is_input=False))


def recording(d: list[int], q: list[int]) -> Recording:
    values = np.array([[0] * len(d), d, q], np.uint32).T
    return Recording(values=values, ports=PORTS, images=1, counters={}, first_cycle=2)


@pytest.mark.slow
def test_replay() -> None:
    """q is the inverse of d a cycle before; of eight cycles the first two are not counted.

    A net that is high at first counts that as a toggle; the last edge is counted too.
    """
    library = read_power([LIBRARY])
    netlist = read_netlist(NETLIST)
    tables = gate_tables({"toy": netlist}, "toy", library.cells, [])
    d = [0, 0, 1, 0, 1, 1, 0, 1]
    q = [0, 1, 1, 0, 1, 0, 0, 1]
    activity = replay(recording(d, q), "unit", tables, [], block="toy", period_ns=10)["toy"]
    assert activity.nets["d"] == NetActivity(5, pytest.approx(4 / 6))
    assert activity.nets["_n_"] == NetActivity(4, pytest.approx(2 / 6))
    assert activity.nets["clk"].toggles == 12
    assert activity.nets["q"].toggles == 6
    found = block_power("toy", netlist, activity, library, seconds=60e-9, output_load=0.0)
    assert found.unseen == 0
    assert found.switching_j == pytest.approx(4 / 2 * 4 * 0.02 * 1e-12)

    q[4] = 0
    with pytest.raises(SimulatorError, match="differs from the emitted Verilog in 1 cycles"):
        replay(recording(d, q), "unit", tables, [], block="toy", period_ns=10)
