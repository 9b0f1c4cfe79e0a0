"""A study open for judging: what a person at the page does, without the page."""
