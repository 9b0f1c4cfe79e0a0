"""Races against other libraries: one file a question, a JSON line a result. How to run them: docs/performance.md."""
