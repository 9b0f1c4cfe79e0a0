"""Formats of comparison data, one small file each.

A file here with a ``SOURCE`` is a format; ``preflab.data.sources`` finds it.
"""
