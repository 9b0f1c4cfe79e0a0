"""Suites of over-refusal and toxicity."""
