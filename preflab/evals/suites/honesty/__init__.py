"""Suites of truthfulness, sycophancy and persona."""
