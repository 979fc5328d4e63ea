"""Verbs of the in-situ learning systems."""
