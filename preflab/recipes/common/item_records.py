"""Items of an evaluation as a run left them: requests, responses and outcome, read from ``items/<name>.jsonl``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preflab.errors import DataError
from preflab.evals.core.runner import read_items
from preflab.evals.core.suite import Outcome
from preflab.rollouts.requests.types import Request, Response, request_from_json, response_from_json


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response."""

    request: Request
    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRecord:
    """One item of a run."""

    id: str
    group: str
    """What resampling takes whole."""
    rounds: Sequence[Sequence[Exchange]] = ()
    outcome: Outcome | None
    """None where the item could not be scored."""
    failed: str | None = None
    """Why it could not be scored."""

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> "ItemRecord":
        """From a line of an items file.

        Raises:
            DataError: it lacks a field, or holds what is no request or response.
        """
        try:
            rounds = [
                [Exchange(request_from_json(pair["ask"]), response_from_json(pair["answer"])) for pair in exchanges]
                for exchanges in line["rounds"]
            ]
            return cls(
                id=str(line["id"]),
                group=str(line["group"]),
                rounds=rounds,
                outcome=line.get("outcome"),
                failed=line.get("failed"),
            )
        except (KeyError, TypeError) as error:
            raise DataError(f"not an item of an evaluation ({error!r}): {line!r:.200}") from error


def read_item_records(path: Path) -> list[ItemRecord]:
    """All items of a file, in order.

    Raises:
        DataError: it does not exist or is damaged.
    """
    return [ItemRecord.from_json(line) for line in read_items(path)]
