"""In-situ learning on one-transistor-one-resistor arrays (Li 2018): configuration, arithmetic,
arrays, training."""
