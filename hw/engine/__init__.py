"""Gateware of all-digital training engines, the baselines of in-memory training."""
