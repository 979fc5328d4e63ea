"""The mixbar command: one module per verb."""
