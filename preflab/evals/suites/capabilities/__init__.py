"""Suites of what alignment may cost."""
