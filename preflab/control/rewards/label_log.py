"""The record of which labels each round of the loop was given."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from preflab.atomic_files import append_line, complete_lines
from preflab.control.rewards.labels import Label
from preflab.errors import DataError


class LabelLog:
    """Which labels each round of the loop was given: lines of a file, each on the disk before it is used.

    People are not repeatable. A run that goes on from an older checkpoint is given the same answers at the same
    rounds, and so comes to the same clips under the same numbers as before.

    Raises:
        DataError: a line is no record of labels; a last one that a kill cut off is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rounds: dict[int, list[Label]] = {}
        for number, line in enumerate(complete_lines(path), start=1):
            try:
                update, labels = json.loads(line)
                self._rounds[int(update)] = [Label(**label) for label in labels]
            except (ValueError, TypeError) as error:
                raise DataError(f"expected labels of an update, found {line!r:.100}", path=path, line=number) from error

    def __contains__(self, update: int) -> bool:
        return update in self._rounds

    def __getitem__(self, update: int) -> list[Label]:
        return self._rounds[update]

    def labels(self) -> list[Label]:
        """All labels that any round was given, in order."""
        return [label for labels in self._rounds.values() for label in labels]

    def append(self, update: int, labels: Sequence[Label]) -> None:
        """Write what a round is given, once."""
        append_line(self.path, json.dumps([update, [asdict(label) for label in labels]]))
        self._rounds[update] = list(labels)
