"""The one error of co-simulation."""

__all__ = ["SimulatorError"]


class SimulatorError(RuntimeError):
    """A tool is missing, a build failed or a simulation ended wrongly; one sentence for the
    user."""
