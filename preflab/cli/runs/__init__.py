"""Verbs that make runs, and that read what a run left behind."""
