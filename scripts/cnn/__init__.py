"""Verbs of the convolutional networks on RRAM arrays."""
