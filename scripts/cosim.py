"""``mixbar cosim``: the emitted Verilog in Verilator beside the model."""

import dataclasses
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts import cli
from scripts.train import DataOption, ReplicasOption, load_dataset

if TYPE_CHECKING:
    import numpy as np

    from cocotb_tests.cosim import CosimResult
    from model.config import Config

__all__ = ["cosim", "describe", "training_order"]

ImagesOption = Annotated[int, typer.Option("--images", min=1, help="How many images to show.")]
WarmUpOption = Annotated[
    int,
    typer.Option(
        "--warm-up",
        min=0,
        help="Leave the first images out of the cycle statistics; they are compared all the same.",
    ),
]
InferOption = Annotated[
    bool, typer.Option("--infer", help="Classify test images instead of training.")
]
FreshOption = Annotated[
    bool,
    typer.Option("--fresh", help="Start over; unless told, a run that was stopped goes on."),
]
WavesOption = Annotated[
    bool, typer.Option("--waves", help="Write a waveform (VCD); takes a build of its own.")
]
WholeImagesOption = Annotated[
    bool | None,
    typer.Option(
        "--whole-images/--bands",
        help="Of yao_cnn: every replica takes an image of its own, instead of a band of one.",
    ),
]


def training_order(config: "Config", seed: int, n_set: int, n_images: int) -> "np.ndarray":
    """Indices of the first images that the trainer shows, int64 ``[n_images]``."""
    import numpy as np

    from model.arrays import image_order

    n_epochs = -(-n_images // n_set)
    orders = [image_order(config, seed, epoch, n_set) for epoch in range(n_epochs)]
    return np.concatenate(orders)[:n_images]


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
    out: cli.OutOption = cli.OUT,
    json: cli.JsonOption = False,
) -> None:
    """Train the emitted Verilog in Verilator beside the model, and compare everything.

    Every ADC code, activation, error, chi word, pulse and the cycles of every phase of every image
    are compared with the model's; the first mismatch ends the run with exit status 1. The images
    and their order are those of 'mixbar train' with the same seed. Writes
    DIR/<configuration>/cosim.json. A long run saves its state every minute: stopped or killed, it
    goes on by the same command.

    \b
    Examples:
      mixbar cosim tiny_mca
      mixbar cosim mca_mlp --images 4000 --warm-up 2000 --json
      mixbar cosim mca_mlp --images 3 --waves
      mixbar cosim yao_cnn --replicas 3 --images 500 --json
    """
    with cli.result(json) as result:
        settings = cli.load_config(config)
        if warm_up >= images:
            raise cli.RequestError(
                f"--warm-up must leave images over: it is {warm_up}, --images {images}."
            )
        from model.config import Config

        own = cli.own_options(settings, "cnn", replicas=replicas, whole_images=whole_images)
        if not isinstance(settings, Config):
            cli.of_system(settings, "cosim").cosim(
                settings,
                images=images,
                seed=seed,
                data=data,
                warm_up=warm_up,
                infer=infer,
                waves=waves,
                fresh=fresh,
                out=out,
                result=result,
                **own,
            )
            return
        import numpy as np

        from cocotb_tests.cosim import cosimulate
        from model.inputs import adapt

        dataset = adapt(settings, load_dataset(data))
        if infer:
            order = np.arange(images) % len(dataset.test_labels)
            shown, labels = dataset.test_images[order], dataset.test_labels[order]
        else:
            order = training_order(settings, seed, len(dataset.train_labels), images)
            shown, labels = dataset.train_images[order], dataset.train_labels[order]
        done = 0
        with cli.progress(images, f"co-simulating {settings.name}") as advance:

            def progress(now: int, accuracy: float) -> None:
                nonlocal done
                advance(now - done, f"{settings.name}, {100 * accuracy:.1f} % correct")
                done = now

            found = cosimulate(
                settings,
                shown,
                labels,
                out_dir=out,
                seed=seed,
                train=not infer,
                warm_up=warm_up,
                resume=not (fresh or waves),
                identity={"data": dataset.name},
                waves=waves,
                on_progress=progress,
                on_message=cli.say,
            )
        record = {**dataclasses.asdict(found), "seed": seed, "data": dataset.name}
        path = out / settings.name / "cosim.json"
        cli.write(path, json_module.dumps(record, allow_nan=False, indent=1) + "\n")
        result.set({**record, "files": [path]}, describe(found, path))
    if found.mismatch is not None:
        raise cli.FailureError(
            f"{found.mismatch['text']} Replay: mixbar cosim {config} --images "
            f"{found.mismatch['image'] + 1} --seed {seed} --waves{' --infer' if infer else ''}"
        )


def describe(found: "CosimResult", path: Path) -> str:
    """The result in lines for a person; ``path``: where it was written."""
    compared = ", ".join(f"{count} {name}" for name, count in found.compared.items())
    cycles = found.cycles_per_image
    phases = ", ".join(f"{name} {mean:.1f}" for name, mean in cycles["by_phase"].items())
    lines = [
        f"{found.config}: {found.images} images, {found.mismatches} mismatches ({found.simulator})",
        f"compared: {compared}",
        f"cycles an image: mean {cycles['mean']:.1f}, max {cycles['max']} ({phases})",
        f"{100 * found.accuracy:.1f} % classified correctly, each before its update; "
        f"{found.images_per_second:.0f} images/s",
        f"wrote {path}",
    ]
    if found.waves:
        lines.append(f"waveform {found.waves}")
    return "\n".join(lines)
