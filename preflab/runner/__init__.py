"""Recipes as programs: which there are, how a run of one is started, resumed and read."""
