"""``mixbar cosim``: the emitted Verilog in Verilator beside the model."""

import contextlib
import dataclasses
import functools
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts import cli
from scripts.train import DataOption, ReplicasOption, load_dataset

if TYPE_CHECKING:
    import numpy as np

    from model.config import Config
    from model.datasets import Dataset
    from model.settings import System

__all__ = [
    "MOST_IMAGES",
    "Request",
    "cosim",
    "describe",
    "of_gates",
    "progress",
    "show",
    "training_order",
]

#: Images of one co-simulation at most; a whole training of MNIST shows 1.8 million.
MOST_IMAGES = 2_000_000

ImagesOption = Annotated[
    int, typer.Option("--images", min=1, max=MOST_IMAGES, help="How many images to show.")
]
WarmUpOption = Annotated[
    int,
    typer.Option(
        "--warm-up",
        min=0,
        help="Leave the first images out of the cycle statistics; they are compared all the same. "
        "Changes nothing for the kind cnn, whose images all take the same cycles.",
    ),
]
InferOption = Annotated[
    bool,
    typer.Option("--infer", help="Only classify test images; unless told, the unit learns too."),
]
FreshOption = Annotated[
    bool,
    typer.Option("--fresh", help="Start over; unless told, a run that was stopped goes on."),
]
WavesOption = Annotated[
    bool,
    typer.Option(
        "--waves",
        help="Of the kinds mca and in_situ: write a waveform (VCD); takes a build of its own.",
    ),
]
GatesOption = Annotated[
    bool,
    typer.Option(
        "--gates",
        help="The gates that synthesis makes stand in for the Verilog, and wake up in a random "
        "state, by the seed.",
    ),
]
GatesLibertyOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--liberty",
        metavar="FILE",
        help="Of --gates: a Liberty file of the cells, also gzipped; once per file. Unless told: "
        "generic gates.",
    ),
]
WholeImagesOption = Annotated[
    bool | None,
    typer.Option(
        "--whole-images/--bands",
        help="Of the kind cnn: every replica takes an image of its own, or a band of one.",
    ),
]


def training_order(config: "Config", seed: int, n_set: int, n_images: int) -> "np.ndarray":
    """Indices of the first images that the trainer shows, int64 ``[n_images]``."""
    import numpy as np

    from model.arrays import image_order

    n_epochs = -(-n_images // n_set)
    orders = [image_order(config, seed, epoch, n_set) for epoch in range(n_epochs)]
    return np.concatenate(orders)[:n_images]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked of ``mixbar cosim``, whichever the system."""

    config: str
    """CONFIG as it was given."""
    images: int
    seed: int
    data: str | None
    warm_up: int
    infer: bool
    waves: bool
    fresh: bool
    out: Path
    allow_code: bool = False
    gates: bool = False
    liberty: tuple[Path, ...] = ()

    def replay(self, image: int) -> str:
        """The command that ends at an image and, of Verilog, writes a waveform."""
        words = ["mixbar", "cosim", self.config, "--images", str(image + 1)]
        words += ["--seed", str(self.seed), "--gates" if self.gates else "--waves"]
        for file in self.liberty:
            words += ["--liberty", str(file)]
        words += ["--data", self.data] if self.data is not None else []
        words += ["--infer"] if self.infer else []
        words += ["--allow-code"] if self.allow_code else []
        return shlex.join(words)


def cosim(
    config: cli.ConfigArgument,
    images: ImagesOption = 200,
    seed: cli.SeedOption = 1,
    data: DataOption = None,
    warm_up: WarmUpOption = 0,
    infer: InferOption = False,
    waves: WavesOption = False,
    fresh: FreshOption = False,
    replicas: ReplicasOption = None,
    whole_images: WholeImagesOption = None,
    gates: GatesOption = False,
    liberty: GatesLibertyOption = None,
    out: cli.OutOption = cli.OUT,
    allow_code: cli.AllowCodeOption = False,
    json: cli.JsonOption = False,
) -> None:
    """Run the emitted Verilog in Verilator beside the model, training, and compare everything.

    Of every image all that the unit computes (codes of its converters, activations, errors, chi
    words, pulses, as the system has them) and the cycles of every phase are compared with the
    model's; the first mismatch ends the run with exit status 1. The images and their order are
    those of 'mixbar train' with the same seed. Writes DIR/<configuration>/cosim.json. A long run
    saves its state every minute: stopped or killed, it goes on by the same command; one of the kind
    engine starts over.

    With --gates the unit is synthesised first, as by 'mixbar synth', and its gates run behind the
    same bench: every register and memory wakes up random, so that reset alone brings it to where
    the model begins. Start with a configuration whose name begins with tiny; such a run starts
    over if stopped.

    The kind cnn classifies test images with the devices of its trained run (without one, of a
    network trained now in FP32), and then has its last layer updated by one batch.

    \b
    Examples:
      mixbar cosim tiny_mca
      mixbar cosim mca_mlp --images 4000 --warm-up 2000 --json
      mixbar cosim mca_mlp --images 3 --waves
      mixbar cosim tiny_mca --gates --seed 2
      mixbar cosim yao_cnn --replicas 3 --images 500 --json
    """
    with cli.result(json) as result:
        settings = cli.load_config(config, allow_code)
        if warm_up >= images:
            raise cli.RequestError(
                f"--warm-up must leave images over: it is {warm_up}, --images {images}."
            )
        from model.config import Config

        if liberty and not gates:
            raise cli.RequestError("--liberty needs --gates.")
        if gates and waves:
            raise cli.RequestError("--gates and --waves exclude each other.")
        own = cli.own_options(settings, "cnn", replicas=replicas, whole_images=whole_images)
        request = Request(
            config=config,
            images=images,
            seed=seed,
            data=data,
            warm_up=warm_up,
            infer=infer,
            waves=waves,
            fresh=fresh,
            out=out,
            allow_code=allow_code,
            gates=gates,
            liberty=tuple(liberty or ()),
        )
        if not isinstance(settings, Config):
            cli.of_system(settings, "cosim").cosim(settings, request, result, **own)
            return
        from cocotb_tests.cosim import cosimulate
        from model.inputs import adapt

        dataset = adapt(settings, load_dataset(data))
        n_set = len(dataset.train_labels)
        show(
            settings,
            request,
            result,
            dataset=dataset,
            order=lambda: training_order(settings, seed, n_set, images),
            cosimulate=of_gates(cosimulate, request),
        )


def of_gates(cosimulate: Callable[..., Any], request: Request) -> Callable[..., Any]:
    """The co-simulation of gates where ``--gates`` asks for them, else as it is."""
    if not request.gates:
        return cosimulate
    from cocotb_tests.netlist_unit import Gates
    from scripts.synth import read_library

    library = read_library(list(request.liberty), None) if request.liberty else None
    return functools.partial(cosimulate, gates=Gates(library=library))


def show(
    settings: "System",
    request: Request,
    result: cli.Result,
    *,
    dataset: "Dataset",
    order: "Callable[[], np.ndarray]",
    cosimulate: Callable[..., Any],
    keeps_state: bool = True,
) -> None:
    """Shows images to gateware and model; leaves cosim.json, and sets the result.

    Parameters
    ----------
    settings, request, result
        What the verb was given.
    dataset
        Adapted to the network.
    order
        Indices of the training images to show, int64 ``[request.images]``; test images are shown
        in their own order.
    cosimulate
        As :func:`cocotb_tests.cosim.cosimulate`.
    keeps_state
        Whether it takes ``resume``, ``identity`` and ``waves``.
    """
    import numpy as np

    if request.infer:
        places = np.arange(request.images) % len(dataset.test_labels)
        images, labels = dataset.test_images[places], dataset.test_labels[places]
    else:
        places = order()
        images, labels = dataset.train_images[places], dataset.train_labels[places]
    state: dict[str, Any] = {
        "resume": not (request.fresh or request.waves),
        "identity": {"data": dataset.name},
        "waves": request.waves,
    }
    folder = request.out / settings.name
    with cli.locked(folder):
        with progress(settings.name, request.images) as on_progress:
            found = cosimulate(
                settings,
                images,
                labels,
                out_dir=request.out,
                seed=request.seed,
                train=not request.infer,
                warm_up=request.warm_up,
                on_progress=on_progress,
                on_message=cli.say,
                **(state if keeps_state else {}),
            )
        record = {**dataclasses.asdict(found), "seed": request.seed, "data": dataset.name}
        path = cli.write(folder / "cosim.json", cli.json_text(record))
    result.set({**record, "files": [path]}, describe(record, path, trained=not request.infer))
    if found.mismatch is not None:
        replay = f" Replay: {request.replay(found.mismatch['image'])}" if keeps_state else ""
        result.fail(f"{found.mismatch['text']}{replay}")


@contextlib.contextmanager
def progress(config: str, images: int) -> Iterator[Callable[[int, float], None]]:
    """A progress bar over ``images``; to be called with images done so far and accuracy (0..1)."""
    done = 0
    with cli.progress(images, f"co-simulating {config}") as advance:

        def on_progress(now: int, accuracy: float) -> None:
            nonlocal done
            advance(now - done, f"{config}, {100 * accuracy:.1f} % correct")
            done = now

        yield on_progress


def describe(record: Mapping[str, Any], path: Path, *, trained: bool) -> str:
    """The record of a co-simulation in lines for a person; ``path``: where it was written."""
    compared = ", ".join(f"{count} {name}" for name, count in record["compared"].items())
    cycles = record["cycles_per_image"]
    phases = ", ".join(f"{name} {mean:.1f}" for name, mean in cycles["by_phase"].items())
    lines = [
        f"{record['config']}: {record['images']} images, {record['mismatches']} mismatches "
        f"({record['simulator']})",
        *([f"devices: {record['devices']}"] if "devices" in record else []),
        f"compared: {compared}",
        f"cycles an image: mean {cycles['mean']:.1f}, max {cycles['max']} ({phases})",
        f"{100 * record['accuracy']:.2f} % classified correctly"
        f"{', each before its update' if trained else ''}; "
        f"{record['images_per_second']:.1f} images/s",
        f"wrote {path}",
    ]
    if record.get("waves"):
        lines.append(f"waveform {record['waves']}")
    return "\n".join(lines)
