# amaranth: UnusedElaboratable=no
"""The proofs that take no time, and that the machinery refuses what is no proof."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Assert, Assume, Cover, Fragment, Signal

from formal import prove
from formal.mutation import Fault
from formal.platform import FormalPlatform
from formal.proof import Proof, ProofError, Task
from formal.prove import PROOFS
from hw.watchdog import Watchdog

FAST = ("threshold_conserves", "update_exponent_smallest", "watchdog_ends")


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("task", Task)
def test_proved(name, task, tmp_path):
    (proof,) = (proof for proof in PROOFS if proof.name == name)
    if task in proof.tasks:
        assert proof.run(task, tmp_path) > 0


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.name)
def test_harness_and_fault_fit_the_block(proof):
    """What a harness looks at and a fault replaces is there, also where solvers take minutes."""
    assert Fragment.get(proof.top(Task.FAULT), FormalPlatform())


def test_page():
    page = prove.PAGE.read_text()
    assert prove.replace_table(page, prove.table(PROOFS)) == page


def test_names_are_unique():
    assert len({proof.name for proof in PROOFS}) == len(PROOFS)


def test_every_module_is_registered():
    folder = Path(inspect.getfile(prove)).parent
    modules = {path.stem for path in folder.glob("*.py") if "\nPROOFS = (" in path.read_text()}
    assert modules == {module.__name__.split(".")[-1] for module in prove.MODULES}


def never_late(m, dut, platform):
    """A strobe needs that the block was busy before."""
    was_busy = Signal()
    m.d.sync += was_busy.eq(dut.busy)
    m.d.comb += [Assert(~dut.timeout | was_busy), Cover(dut.timeout)]


TOY = Proof(
    name="toy",
    says="",
    component="watchdog.Watchdog",
    build=lambda block: block(3),
    sizes="",
    harness=never_late,
    depth=5,
    fault=Fault("a cycle early", "watchdog", "self.limit - 1)", "self.limit - 3)"),
)


@pytest.mark.parametrize("task", TOY.tasks)
def test_toy(task, tmp_path):
    assert TOY.run(task, tmp_path) > 0


def with_harness(*statements):
    def harness(m, dut, platform):
        m.d.comb += [statement(dut) for statement in statements]

    return replace(TOY, harness=harness)


@pytest.mark.parametrize(
    ("proof", "task", "message"),
    [
        (
            replace(TOY, fault=replace(TOY.fault, wrong="self.limit - 1 )")),
            Task.FAULT,
            r"the fault \(a cycle early\) is not found",
        ),
        (replace(TOY, depth=2), Task.COVER, "Unreached cover"),
        (replace(TOY, depth=1), Task.BASE, "the block has registers: one cycle proves nothing"),
        (
            with_harness(lambda dut: Assert(~dut.timeout), lambda dut: Cover(dut.timeout)),
            Task.BASE,
            "Assert failed",
        ),
        (
            with_harness(
                lambda dut: Assume(dut.busy & ~dut.busy),
                lambda dut: Assert(~dut.timeout),
                lambda dut: Cover(1),
            ),
            Task.BASE,
            "Assumptions are unsatisfiable",
        ),
        (
            with_harness(lambda dut: Assert(~dut.timeout | dut.busy)),
            Task.BASE,
            "asserts or covers nothing",
        ),
    ],
    ids=["harmless fault", "unreached", "too short", "false", "contradiction", "no cover"],
)
def test_no_proof(proof, task, message, tmp_path):
    with pytest.raises(ProofError, match=message):
        proof.run(task, tmp_path)


def test_floating_clock(tmp_path, monkeypatch):
    """Without its clock a register holds still, and everything about it passes."""
    proof = replace(TOY, component="watchdog.Watchdog")
    from formal import proof as module

    write = module.rtlil.convert

    def without_clock(fragment, *, ports, **options):
        return write(fragment, ports={k: v for k, v in ports.items() if k != "clk"}, **options)

    monkeypatch.setattr(module.rtlil, "convert", without_clock)
    with pytest.raises(ProofError, match="the clock drives nothing"):
        proof.run(Task.BASE, tmp_path)


def test_unknown_name(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["prove", "nothing"])
    with pytest.raises(SystemExit) as ended:
        prove.main()
    assert ended.value.code == 2
    assert "there is no proof named 'nothing'" in capsys.readouterr().err


def test_failure_is_told(monkeypatch, tmp_path, capsys):
    assert Watchdog
    monkeypatch.setattr(prove, "prove", lambda proofs, folder, jobs: {"x": {"base": "no"}})
    monkeypatch.setattr(prove, "PROOFS", (replace(TOY, name="x"),))
    monkeypatch.setattr("sys.argv", ["prove", "--out", str(tmp_path)])
    assert prove.main() == 1
    assert capsys.readouterr().err.startswith("Not proved, after 0 s: x.")
