"""Parametric Amaranth gateware of the digital unit."""
