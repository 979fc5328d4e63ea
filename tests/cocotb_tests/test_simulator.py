"""Building and running emitted Verilog: what goes right, and one sentence for what goes wrong."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cocotb
import cocotb_tools
import platformdirs
import pygpi
import pytest

import cocotb_tests
from cocotb_tests import simulator, toolchain
from cocotb_tests.simulator import SimulatorError
from hw import verilog
from tests.cocotb_tests.boundary_toy import BoundaryToy, toy_parameters, toy_probes

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run(simulation, module, parameters, **options):
    return simulator.run(simulation, module, parameters, python_path=[HERE], **options)


def test_toy_equals_its_model(toy, toy_simulation):
    progress = []
    results = run(
        toy_simulation,
        "toy_bench",
        toy_parameters(toy, products=120),
        on_progress=progress.append,
    )
    assert results["products"] == 120
    assert progress == [{"products": 50}, {"products": 100}]


def test_latch_and_record_on_rise(toy, toy_simulation, simulate):
    latched = simulate(toy, "boundary_toy", probes=toy_probes(toy, latched=True))
    results = run(latched, "toy_bench", toy_parameters(toy, latched=True))
    plain = run(toy_simulation, "toy_bench", toy_parameters(toy))
    assert results["starts"] == plain["starts"]
    assert results["checksum"] == plain["checksum"]


def test_same_seed_same_run(toy, toy_simulation, tmp_path):
    first, second = (
        run(toy_simulation, "toy_bench", toy_parameters(toy, seed=9), seed=seed) for seed in (1, 2)
    )
    assert first["starts"] == second["starts"]
    assert first["checksum"] == second["checksum"]


def test_run_leaves_nothing(toy, toy_simulation):
    before = set(toy_simulation.directory.parent.iterdir())
    run(toy_simulation, "toy_bench", toy_parameters(toy))
    assert set(toy_simulation.directory.parent.iterdir()) <= before


def test_build_is_found_again(toy, toy_simulation, simulate):
    again = simulate(BoundaryToy(), "boundary_toy", probes=toy_probes(toy))
    assert again.reused
    assert again.directory == toy_simulation.directory
    assert again.simulator.startswith("Verilator 5")


@pytest.mark.slow
def test_waves(toy, simulate, tmp_path):
    simulation = simulate(toy, "boundary_toy", probes=toy_probes(toy), waves=True)
    run(simulation, "toy_bench", toy_parameters(toy), waves=True, run_dir=tmp_path)
    text = (tmp_path / "dump.vcd").read_text()
    assert "$var" in text
    assert "drive" in text


def test_waves_need_their_build(toy, toy_simulation):
    with pytest.raises(ValueError, match=r"A waveform needs a build with waves=True"):
        run(toy_simulation, "toy_bench", toy_parameters(toy), waves=True)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("assertion", r"fault of faulty_bench failed: .*start is not two.*; see .*\.log\.$"),
        ("exception", r"fault of faulty_bench failed: .*lost.*; see .*\.log\.$"),
        ("crash", r"ended before the tests of faulty_bench did \(SIGSEGV\); see .*\.log\.$"),
        ("exit", r"ended before the tests of faulty_bench did \(status 3\); see .*\.log\.$"),
    ],
)
def test_fault_is_one_sentence(fault, sentence, toy_simulation, tmp_path):
    with pytest.raises(SimulatorError, match=sentence) as caught:
        run(toy_simulation, "faulty_bench", {"fault": fault}, run_dir=tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "simulation.log").stat().st_size > 0


def test_module_that_is_missing(toy_simulation, tmp_path):
    with pytest.raises(SimulatorError, match=r"before the tests of no_such_bench did"):
        run(toy_simulation, "no_such_bench", {}, run_dir=tmp_path)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that ended but whose parent is gone is init's to collect.
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until_gone(pid):
    limit = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < limit:
        time.sleep(0.05)
    return not is_running(pid)


def test_timeout(toy_simulation, tmp_path):
    with pytest.raises(SimulatorError, match=r"boundary_toy was stopped after 8 s; see"):
        run(toy_simulation, "faulty_bench", {"fault": "hang"}, run_dir=tmp_path, timeout_s=8)
    assert wait_until_gone(int((tmp_path / "pid").read_text()))


def test_interrupt_ends_the_simulator(toy_simulation, tmp_path):
    pids = []

    def interrupt(progress):
        pids.append(progress["pid"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            toy_simulation,
            "faulty_bench",
            {"fault": "hang"},
            run_dir=tmp_path,
            on_progress=interrupt,
        )
    assert wait_until_gone(pids[0])


RUN_AND_WAIT = """
import pickle, sys
from pathlib import Path
from cocotb_tests import simulator

simulation = pickle.loads(Path(sys.argv[1]).read_bytes())
simulator.run(
    simulation,
    "faulty_bench",
    {"fault": "hang"},
    run_dir=Path(sys.argv[2]),
    python_path=[Path(sys.argv[3])],
    on_progress=lambda progress: print("up", flush=True),
)
"""


def test_killed_caller_takes_the_simulator_along(toy_simulation, tmp_path):
    (tmp_path / "simulation").write_bytes(pickle.dumps(toy_simulation))
    run_dir = tmp_path / "run"
    arguments = [str(tmp_path / "simulation"), str(run_dir), str(HERE)]
    with subprocess.Popen(
        [sys.executable, "-c", RUN_AND_WAIT, *arguments],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
    ) as caller:
        assert caller.stdout.readline() == b"up\n"
        caller.kill()
    assert wait_until_gone(int((run_dir / "pid").read_text()))


def test_failed_build_is_one_sentence(toy, tmp_path):
    unit = verilog.emit_component(toy, top="toy", path=tmp_path / "toy.v")
    unit.path.write_text(unit.path.read_text().replace("input clk;", "input clk; nonsense", 1))
    with pytest.raises(SimulatorError, match=r"verilator could not build toy .*sim_\w+\.log\.$"):
        simulator.build(unit)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_interrupted_build_leaves_nothing(toy, tmp_path, monkeypatch):
    unit = verilog.emit_component(toy, top="toy", path=tmp_path / "toy.v")

    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(simulator, "_execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        simulator.build(unit)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


BUILD_AND_RUN = """
import json, sys
from pathlib import Path
from boundary_toy import BoundaryToy, toy_parameters, toy_probes
from cocotb_tests import simulator
from hw import verilog

toy = BoundaryToy()
folder, cache = Path(sys.argv[1]), Path(sys.argv[2])
unit = verilog.emit_component(toy, top="boundary_toy", path=folder / "boundary_toy.v")
simulation = simulator.build(unit, probes=toy_probes(toy), cache_dir=cache)
results = simulator.run(
    simulation, "toy_bench", toy_parameters(toy), python_path=[Path(sys.argv[3])]
)
print(json.dumps({"reused": simulation.reused, "checksum": results["checksum"]}))
"""


def start(folder, cache, here, path, **variables):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, path)), **variables)
    return subprocess.Popen(
        [sys.executable, "-c", BUILD_AND_RUN, str(folder), str(cache), str(here)],
        env=environment,
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_at_once_build_once(toy_simulation, tmp_path):
    """Whether they want it in one folder or in two."""
    cache = tmp_path / "cache"
    folders = [tmp_path / name for name in ("unit", "unit", "another")]
    processes = [start(folder, cache, HERE, [ROOT, HERE]) for folder in folders]
    outputs = [json.loads(process.communicate(timeout=300)[0]) for process in processes]
    assert sorted(output["reused"] for output in outputs) == [False, True, True]
    assert len({output["checksum"] for output in outputs}) == 1
    for folder in set(folders):
        assert len(list(folder.glob("sim_*"))) == 1
    assert len(list(cache.glob("sim_*"))) == 1


def test_old_builds_leave_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(simulator, "BUILDS_KEPT", 2)
    for age, name in enumerate(["sim_c", "sim_a", "sim_b", "sim_d"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    simulator._remove_old_builds(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"sim_c", "sim_a"}


def test_cache_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    assert simulator._cache(tmp_path / "file" / "cache", tmp_path) == tmp_path


@pytest.mark.slow
def test_path_with_spaces(toy, toy_simulation, tmp_path):
    # Checkout, installed packages, Verilator and the user's cache, all below one folder with a
    # space in its name.
    top = tmp_path / "a working copy"
    packages = top / "site packages"
    root = toolchain._wheel_root()
    for package in (cocotb, cocotb_tools, pygpi):
        source = Path(package.__file__).parent
        shutil.copytree(source, packages / source.name)
    if root is not None:
        shutil.copytree(root, packages / "verilator")
        version = next(root.parent.glob("verilator-*.dist-info"))
        shutil.copytree(version, packages / version.name)
    for source in (Path(cocotb_tests.__file__).parent, ROOT / "hw", ROOT / "model", HERE):
        shutil.copytree(
            source, top / source.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__")
        )
    here = top / HERE.relative_to(ROOT)
    objects = platformdirs.user_cache_path("mixbar") / "simulators"
    for compiled in objects.glob(".verilator_*"):
        shutil.copytree(compiled, top / "user cache" / "mixbar" / "simulators" / compiled.name)
    build = top / "build"
    build.mkdir()
    process = start(
        build / "unit",
        build,
        here,
        [packages, top, here],
        XDG_CACHE_HOME=str(top / "user cache"),
    )
    output = json.loads(process.communicate(timeout=300)[0])
    assert not output["reused"]
    assert output["checksum"] == run(toy_simulation, "toy_bench", toy_parameters(toy))["checksum"]


def test_lint_finds_a_fault(toy, tmp_path):
    unit = verilog.emit_component(toy, top="toy", path=tmp_path / "toy.v")
    assert simulator.lint(unit) == []
    text = unit.path.read_text()
    unit.path.write_text(
        text.replace("endmodule", "  wire undriven; assign go = undriven;\nendmodule", 1)
    )
    assert simulator.lint(unit) != []


def test_signal_names():
    assert simulator._describe(-signal.SIGSEGV) == "SIGSEGV"
    assert simulator._describe(128 + signal.SIGKILL) == "SIGKILL"
    assert simulator._describe(3) == "status 3"
