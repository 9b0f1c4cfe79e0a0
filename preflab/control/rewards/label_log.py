"""Labellers that may answer later, and the record of what the loop was handed when."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from preflab.atomic_files import append_line, complete_lines
from preflab.control.clips import Clip
from preflab.control.rewards.labels import Label, Response
from preflab.errors import DataError


@runtime_checkable
class ClipLabeller(Protocol):
    """Whoever compares clips, at once or later. What is still to be answered is the labeller's to keep over a kill."""

    def ask(self, pairs: list[tuple[Clip, Clip]], step: int) -> int:
        """Put up pairs; asked again they change nothing."""
        ...

    def answers(self) -> list[Label]:
        """Answers that were not handed over yet; never waits."""
        ...


@runtime_checkable
class ClipComparator(Protocol):
    """An oracle, or a judge of a clip's states."""

    name: str

    def __call__(self, left: Clip, right: Clip, rng: np.random.Generator) -> Response:
        """Which of the two is better."""
        ...


class SynchronousLabeller:
    """An oracle under the protocol of labellers that answer later: what is asked is answered when it is looked for.

    Args:
        seed  of the oracle's draws, keyed by the pair.
    """

    def __init__(self, oracle: ClipComparator, *, seed: int = 0) -> None:
        self.oracle, self.seed = oracle, seed
        self._told: list[Label] = []

    def ask(self, pairs: list[tuple[Clip, Clip]], step: int) -> int:
        """Answer them; how many."""
        for left, right in pairs:
            rng = np.random.default_rng((self.seed, 31, left.id, right.id))
            self._told.append(Label(left.id, right.id, self.oracle(left, right, rng), self.oracle.name, step))
        return len(pairs)

    def answers(self) -> list[Label]:
        """What was answered since the last time."""
        told, self._told = self._told, []
        return told


class LabelLog:
    """Which labels each round of the loop was handed: lines of a file, each on the disk before it is used.

    People are not repeatable. A run that goes on from an older checkpoint is handed the same answers at the same
    rounds, and so comes to the same clips under the same numbers as before.

    Raises:
        DataError: a line is no record of labels; a last one that a kill cut off is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: dict[int, list[Label]] = {}
        for number, line in enumerate(complete_lines(path), start=1):
            try:
                update, labels = json.loads(line)
                self._kept[int(update)] = [Label(**label) for label in labels]
            except (ValueError, TypeError) as error:
                raise DataError(f"expected labels of an update, found {line!r:.100}", path=path, line=number) from error

    def __contains__(self, update: int) -> bool:
        return update in self._kept

    def __getitem__(self, update: int) -> list[Label]:
        return self._kept[update]

    def labels(self) -> list[Label]:
        """All that were handed over, in order."""
        return [label for labels in self._kept.values() for label in labels]

    def keep(self, update: int, labels: list[Label]) -> None:
        """Write what a round is handed, once."""
        append_line(self.path, json.dumps([update, [asdict(label) for label in labels]]))
        self._kept[update] = labels
