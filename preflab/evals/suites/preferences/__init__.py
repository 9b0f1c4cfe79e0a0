"""Suites of human preferences and win rates."""
