"""Whole programs: one file a claim of a paper, and ``align``, the main job."""
