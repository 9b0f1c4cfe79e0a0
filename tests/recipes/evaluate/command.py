"""``preflab eval`` as a user runs it, on the tiny model and questions of our own."""

from pathlib import Path

from preflab.cli import main

QUESTIONS = [
    ("Which of these is a colour?", ["green", "seven", "a spoon", "the sea"], 0),
    ("How many legs has a cat?", ["two", "three", "four", "nine"], 2),
    ("What melts in the sun?", ["iron", "snow", "a stone", "glass"], 1),
    ("Which is the longest?", ["a metre", "a mile", "an inch", "a foot"], 1),
]


def evaluate(tmp_path: Path, *more: str, name: str = "e") -> int:
    arguments = ["eval", "tiny", "--runs", str(tmp_path / "runs"), "--name", name, "--quiet", *more]
    return main(arguments)
