"""The main job from end to end, behind ``make demo``: emit, co-simulate, train, report.

Two lines of work, one for each of two cores: the emitted Verilog is compiled and co-simulated
beside the model, while the model trains the whole schedule and its energy is reported. Everything
runs on what ships with the project.
"""

import contextlib
import json
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import cli

if TYPE_CHECKING:
    from cocotb_tests.cosim import CosimResult
    from model.config import Config

__all__ = ["app", "demo"]

#: What ships with the project, whatever else this user has.
DATA = "mnist-sample"

#: Fewer images than this are simulated before an optimised simulator would be compiled.
QUICK_IMAGES = 100

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class _Log:
    """Lines of progress with the time since the start, on standard error."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def __call__(self, what: str, text: str) -> None:
        cli.say(f"[{self.seconds:4.0f} s] {what:<9} {text}")


def _is_worth_a_line(message: str) -> bool:
    """Of the epochs of a training only the first and every fifth are."""
    epoch = re.match(r"epoch +(\d+)/", message)
    return epoch is None or int(epoch[1]) % 5 == 0 or int(epoch[1]) == 1


class _Verbs:
    """Verbs of the command, one after the other, each in a process of its own.

    A verb that compiles or computes for long would keep a thread of this process from the other
    line of work.
    """

    def __init__(self, log: _Log) -> None:
        self._log = log
        self._stopped = threading.Event()
        self._running: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()

    def run(self, verb: str, *arguments: str) -> dict[str, Any]:
        """The JSON object of ``mixbar VERB ARGUMENTS --json``; its messages go to the log.

        Raises
        ------
        FailureError
            If it ends with another status than 0; the sentence is its last message.
        """
        if self._stopped.is_set():
            raise cli.FailureError("The demo was stopped.")
        command = [sys.executable, "-m", "scripts.mixbar", verb, *arguments, "--json"]
        # The object goes to a file: a pipe would fill up while the messages are read.
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as output,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                # A Ctrl-C at the terminal reaches us alone; we end the verb in order.
                start_new_session=True,
            ) as process,
        ):
            self._running.put(process)
            message = ""
            for line in process.stderr or ():
                message = line.rstrip()
                if not message.startswith("mixbar: ") and _is_worth_a_line(message):
                    self._log(verb, message)
            if process.wait() != 0:
                reason = message.removeprefix("mixbar: ")
                raise cli.FailureError(reason or f"mixbar {verb} ended with {process.returncode}.")
            output.seek(0)
            answer: dict[str, Any] = json.load(output)
            return answer

    @contextlib.contextmanager
    def ended_afterwards(self) -> Iterator[None]:
        """Stops what still runs when the block ends."""
        try:
            yield
        finally:
            self._stopped.set()
            while not self._running.empty():
                process = self._running.get()
                if process.poll() is None:
                    process.terminate()


@app.command()
def demo(
    config: cli.ConfigArgument = "mca_mlp",
    images: Annotated[int, typer.Option("--images", min=1, help="Images to co-simulate.")] = 1000,
    seed: cli.SeedOption = 7,
    out: cli.OutOption = Path("build/demo"),
) -> None:
    """Emit, co-simulate, train and report on the shipped sample; say where things lie."""
    log = _Log()
    settings = cli.load_mca_config(config, "python -m scripts.demo")
    from cocotb_tests.toolchain import find_toolchain

    # A missing compiler is said at once, not after a minute of work.
    tools = find_toolchain()
    log("demo", f"{settings.name} on {DATA}: {tools.description}, {tools.compiler_version}")
    verbs = _Verbs(log)
    common = (config, "--out", str(out), "--seed", str(seed))

    def train_and_report() -> tuple[dict[str, Any], dict[str, Any]]:
        log("train", "on the model, with all device physics ...")
        trained = verbs.run("train", *common, "--data", DATA, "--fresh")
        log("train", f"test accuracy {100 * trained['test_accuracy']:.1f} %")
        log("report", "energy, time and area of this run ...")
        reported = verbs.run("report", *common)
        log("report", "done")
        return trained, reported

    with ThreadPoolExecutor(1) as pool, verbs.ended_afterwards():
        other = pool.submit(train_and_report)
        found, verilog = _co_simulate(settings, images, seed, out, log)
        trained, reported = other.result()
    print(_summary(settings, found, trained, reported))
    print("\nLook at:")
    pages = {
        reported["files"][0]: "energy, time and area: open it in a browser",
        verilog: "the emitted Verilog",
        trained["files"][-1]: "the training curve",
        out / settings.name / "cosim.json": "every count of the co-simulation",
    }
    width = max(len(str(path)) for path in pages)
    for path, what in pages.items():
        print(f"  {path!s:<{width}}  {what}")
    print(f"\nTook {log.seconds:.0f} s. Next: .venv/bin/mixbar --help")


def _co_simulate(
    config: "Config", n_images: int, seed: int, out: Path, log: _Log
) -> "tuple[CosimResult, Path]":
    """Emits, builds and runs; returns what was found and the path of the Verilog.

    Raises
    ------
    FailureError
        If gateware and model disagree.
    """
    from cocotb_tests.cosim import cosimulate
    from hw.verilog import EmittedVerilog, emit
    from model import datasets
    from model.inputs import adapt
    from scripts.cosim import training_order

    paths = []

    def emit_unit(config: "Config", directory: Path) -> EmittedVerilog:
        log("emit", "Verilog of the digital unit ...")
        unit = emit(config, directory)
        log("emit", f"{unit.path.name}, {unit.bytes / 1e6:.1f} MB")
        paths.append(unit.path)
        return unit

    quarters = [n_images * k // 4 for k in range(4, 0, -1)]

    def progress(done: int, accuracy: float) -> None:
        passed = [quarter for quarter in quarters if quarter <= done]
        if passed:
            del quarters[-len(passed) :]
            log("cosim", f"{done} of {n_images} images, {100 * accuracy:.0f} % correct so far")

    dataset = adapt(config, datasets.load(DATA))
    order = training_order(config, seed, len(dataset.train_labels), n_images)
    found = cosimulate(
        config,
        dataset.train_images[order],
        dataset.train_labels[order],
        out_dir=out,
        seed=seed,
        quick=n_images < QUICK_IMAGES,
        on_progress=progress,
        on_message=lambda text: log("cosim", text),
        emit_unit=emit_unit,
    )
    text = cli.json_text(found.to_json() | {"seed": seed, "data": DATA})
    cli.write(out / config.name / "cosim.json", text)
    if found.mismatch is not None:
        raise cli.FailureError(
            f"{found.mismatch['text']} Replay: .venv/bin/mixbar cosim {config.name} --data {DATA} "
            f"--seed {seed} --images {found.mismatch['image'] + 1} --waves"
        )
    log("cosim", f"{found.images} images, 0 mismatches")
    return found, out / config.name / paths[0].name


def _summary(
    config: "Config", found: "CosimResult", trained: dict[str, Any], reported: dict[str, Any]
) -> str:
    """What came out, in a few lines."""
    from energy.formats import si

    head = reported["headline"]
    names = {
        "adc_codes": "ADC codes",
        "chi_words": "chi words",
        "pulses": "pulses",
        "cycles": "cycle and activity counts",
    }
    compared = ", ".join(f"{found.compared[kind]:,} {name}" for kind, name in names.items())
    published = (
        f"\n    published: {si(head['published_j'], 'J')}, "
        f"{head['published_s'] / config.clock_period_s:.0f} cycles"
        if head["published_j"]
        else ""
    )
    sizes = "-".join(str(units) for units in config.network.layers)
    return "\n".join(
        [
            f"\n{config.name}, {sizes}:",
            f"  Verilog beside the model: {found.images} training images in {found.simulator}, "
            f"{found.mismatches} mismatches",
            f"    compared: {compared}",
            f"    {found.cycles_per_image['mean']:.0f} cycles an image, "
            f"{found.images_per_second:.0f} images/s",
            f"  Trained on the model: {trained['epochs']} passes of "
            f"{trained['images'] // trained['epochs']:,} images, test accuracy "
            f"{100 * trained['test_accuracy']:.1f} %, {trained['images_per_second']:.0f} images/s",
            f"  A training image: {si(head['energy_j']['value'], 'J')} bottom-up, "
            f"{si(head['paper_accounting_j']['value'], 'J')} by the paper's accounting, "
            f"{head['cycles']:.0f} cycles{published}",
        ]
    )


if __name__ == "__main__":
    sys.exit(cli.run(app, sys.argv[1:]))
