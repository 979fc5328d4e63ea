"""The command's verbs for all-digital training engines."""
