"""``mixbar cosim`` for a training engine."""

from cocotb_tests.engine.cosim import cosimulate
from model.engine.config import EngineConfig
from model.inputs import adapt
from scripts import cli
from scripts.cosim import Request, of_gates, show, training_order
from scripts.train import load_dataset

__all__ = ["cosim"]


def cosim(settings: EngineConfig, request: Request, result: cli.Result) -> None:
    """Runs the emitted engine in Verilator beside the model; leaves cosim.json.

    ``request.fresh`` changes nothing: a run always starts over.

    Raises
    ------
    RequestError
        If a waveform is wanted.
    """
    if request.waves:
        raise cli.RequestError("The co-simulation of a training engine writes no waveform.")
    dataset = adapt(settings.unit, load_dataset(request.data))
    n_set = len(dataset.train_labels)
    show(
        settings,
        request,
        result,
        dataset=dataset,
        order=lambda: training_order(settings.unit, request.seed, n_set, request.images),
        cosimulate=of_gates(cosimulate, request),
        keeps_state=False,
    )
