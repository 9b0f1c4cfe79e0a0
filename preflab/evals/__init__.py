"""Measurements: preference models, sets of replies, simple baselines, plots, verdicts."""
