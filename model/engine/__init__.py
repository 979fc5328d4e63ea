"""All-digital training engines: what in-memory training is compared with, in integers."""
