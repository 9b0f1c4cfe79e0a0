"""Where data sets of evaluations lie, and which split of them is read, as settings say."""

from collections.abc import Sequence
from pathlib import Path

from preflab.errors import ConfigError
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.suite import Suite


def parse_data_source(data: Sequence[str], splits: Sequence[str] = (), suites: Sequence[Suite] = ()) -> DataSource:
    """Where data sets lie.

    Args:
        data    a folder, and ``suite=path`` for single suites; from the hub where neither is given.
        splits  ``suite=split`` for suites of which another split than the default is read.
        suites  those that ``splits`` may name.

    Raises:
        ConfigError: two folders, a path that does not exist, or a split that no suite has.
    """
    folder, paths = None, dict[str, Path]()
    for entry in data:
        suite, sign, suite_path = entry.partition("=")
        path = Path(suite_path if sign else entry).expanduser()
        if not path.exists():
            raise ConfigError(f"--data {entry}: no such file or folder")
        if sign:
            paths[suite] = path
        elif folder is not None:
            raise ConfigError(f"--data: one folder at most beside suite=path, got {folder} and {path}")
        else:
            folder = path
    return DataSource(folder=folder, paths=paths, splits=parse_splits(splits, suites))


def parse_splits(splits: Sequence[str], suites: Sequence[Suite]) -> dict[str, str]:
    """Suite -> split, from ``suite=split``.

    Raises:
        ConfigError: a suite is not among these, or has no such split.
    """
    splits_by_suite = {suite.name: suite.splits for suite in suites if suite.splits}
    selected: dict[str, str] = {}
    for assignment in splits:
        suite, _, split = assignment.partition("=")
        if split not in splits_by_suite.get(suite, ()):
            choices = [f"{name}={choice}" for name, names in splits_by_suite.items() for choice in names]
            expected = f"one of {', '.join(choices)}" if choices else "none, as no suite here has several"
            raise ConfigError(f"splits must be {expected}, got {assignment!r}")
        selected[suite] = split
    return selected
