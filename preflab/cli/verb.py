"""What a file of the command line gives: one verb."""

import argparse
from collections.abc import Callable
from typing import Protocol


class Verb(Protocol):
    """A module of `preflab.cli.runs` or `preflab.cli.tools`. It imports nothing heavy before it works."""

    NAME: str
    """As it is typed."""
    SUMMARY: str
    """One sentence for the list of commands."""
    COMMANDS: tuple[str, ...]
    """Commands below it; empty where it has none."""

    @property
    def add_arguments(self) -> Callable[[argparse.ArgumentParser], None]:
        """Says what it takes."""
        ...

    @property
    def work(self) -> Callable[[argparse.Namespace], int]:
        """Does it; returns the exit code."""
        ...
