"""Bit-exact integer model of the digital unit, and the physics of the arrays it drives."""
