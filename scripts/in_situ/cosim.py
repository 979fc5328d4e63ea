"""``mixbar cosim`` for an in-situ learning system."""

from cocotb_tests.in_situ.cosim import cosimulate
from model.in_situ.config import InSituConfig
from model.in_situ.training import Training
from scripts import cli
from scripts.cosim import Request, of_gates, show
from scripts.train import load_dataset

__all__ = ["cosim"]


def cosim(settings: InSituConfig, request: Request, result: cli.Result) -> None:
    """Runs the emitted unit in Verilator beside the model, and sets the result.

    Images, their order, devices and learning rate are those of the run that 'mixbar train' makes of
    the same configuration and seed; the co-simulation is its beginning. A run that was stopped goes
    on from the end of a batch.
    """
    training = Training(settings, load_dataset(request.data), seed=request.seed)
    show(
        settings,
        request,
        result,
        dataset=training.dataset,
        order=lambda: training.order(0, request.images),
        cosimulate=of_gates(cosimulate, request),
    )
