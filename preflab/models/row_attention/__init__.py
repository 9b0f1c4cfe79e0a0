"""Attention over rows with branches: a branch sees the prefix and itself, never a sister."""
