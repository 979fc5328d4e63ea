"""Proofs about the gateware: what a solver shows of all inputs, not of those that were tried."""
