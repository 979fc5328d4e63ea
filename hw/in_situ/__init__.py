"""Gateware of in-situ learning on 1T1R arrays; equal to :mod:`model.in_situ`."""
