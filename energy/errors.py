"""The one error of this package."""

__all__ = ["EnergyError"]


class EnergyError(ValueError):
    """A table, an activity record or a request that cannot be estimated; one sentence for the
    user."""
