"""Verbs that measure models, collect judgements, and look at data and at the machine."""
