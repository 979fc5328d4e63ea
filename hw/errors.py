"""Errors of the steps that follow the gateware: sentences for the user."""

__all__ = ["LibertyError", "SynthesisError", "VerilogError"]


class VerilogError(RuntimeError):
    """The gateware could not be converted to Verilog."""


class SynthesisError(RuntimeError):
    """Synthesis or timing analysis failed, or found a fault in what it was given."""


class LibertyError(SynthesisError):
    """A cell library cannot be used."""
