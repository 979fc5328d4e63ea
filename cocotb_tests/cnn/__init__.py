"""Co-simulation of the convolutional network on RRAM arrays."""
