"""End-to-end benches on the emitted Verilog."""
