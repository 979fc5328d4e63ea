"""Gateware of the convolutional network on RRAM arrays; equal to :mod:`model.cnn`."""
