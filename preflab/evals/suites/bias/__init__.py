"""Suites of social bias."""
