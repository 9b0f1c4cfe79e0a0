"""Every error preflab raises on purpose, on one page.

Each is also the standard exception a caller would expect, so ``except ValueError`` keeps working, and
each message says where, what was expected and what was found. The command line prints the message
without a traceback and exits with ``exit_code``.
"""

from pathlib import Path


class PreflabError(Exception):
    """Root of the tree: something went wrong that the user can act on."""

    exit_code = 1


class ConfigError(PreflabError, ValueError):
    """A setting is unknown, missing, or outside its allowed range."""

    exit_code = 2


class DataError(PreflabError, ValueError):
    """A file, line or field of data is not what it should be."""

    exit_code = 3

    def __init__(
        self, message: str, *, path: str | Path | None = None, line: int | None = None, field: str | None = None
    ) -> None:
        where = "" if path is None else str(path)
        where += "" if line is None else f":{line}"
        where += "" if field is None else f" [{field}]" if where else f"[{field}]"
        super().__init__(f"{where}: {message}" if where else message)
        self.message, self.path, self.line, self.field = message, path, line, field

    def with_location(self, path: str | Path, line: int) -> "DataError":
        """The same complaint with the place it was found; ``line`` is the record's number where there are no lines."""
        return type(self)(self.message, path=path, line=line, field=self.field)


class RecordRefused(DataError):
    """One record cannot be used although its file is sound. Loading counts the reason and goes on.

    The message is that reason: a fixed phrase that quotes nothing of the record, so that it can be counted.
    """


class ModelError(PreflabError, RuntimeError):
    """A model or tokenizer is not there, cannot be read, or cannot do what is asked of it."""

    exit_code = 4


class RunError(PreflabError, RuntimeError):
    """A run folder is damaged, belongs to other settings, or cannot be written."""

    exit_code = 5


class ContractError(PreflabError, ValueError):
    """Something handed in (a scorer, a labeller, an environment, a plan, a measure) returned what it must not.

    The message begins with its name.
    """

    exit_code = 9


class TrainingStopped(PreflabError, RuntimeError):
    """Training met a limit past which its numbers mean nothing (not finite, KL or sampler gap too large)."""

    exit_code = 6


class SamplerError(PreflabError, ConnectionError):
    """A server that samples is gone, slow, or does not answer as it must. Nothing is lost: start the run again."""

    exit_code = 7


class StoreError(PreflabError, RuntimeError):
    """The store of judgements is not there, damaged, newer than this preflab, or refuses what was asked."""

    exit_code = 8


class NotThere(StoreError, LookupError):
    """No study, item, person or task of that name."""


class Conflict(StoreError):
    """Someone else was first, or the same key was used for something else."""


class LeaseLost(StoreError):
    """The task was handed to somebody else, or its time was over, before this arrived."""


class StudyError(ConfigError):
    """A study's definition is not what it should be; the message names the file and the field."""
