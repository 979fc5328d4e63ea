"""Training engines as emitted Verilog in Verilator, beside their model."""
