"""The convolutional network on RRAM arrays: model, devices, training."""
