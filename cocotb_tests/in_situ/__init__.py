"""End-to-end benches of the in-situ learning unit's emitted Verilog."""
