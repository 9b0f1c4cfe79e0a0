"""Whoever says which of several replies is better, one file each."""
