"""Requests to models, the responders that answer them, judge prompts, and a cache of responses."""
