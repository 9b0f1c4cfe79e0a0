"""What was answered before: an append-only file a respondent, so that a kill costs one block and a repeat nothing."""

import fcntl
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from preflab.errors import DataError
from preflab.rollouts.requests.responders import Responder
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    OptionLogprobs,
    Request,
    Response,
    ScoreReplies,
    request_key,
    response_from_json,
    response_json,
)

LAYOUT = 1
"""Changes when answers of an earlier version may no longer be used."""


class ResponseCache:
    """Answers by what was asked of whom, in ``<folder>/<digest of the respondent>.jsonl``.

    Several processes may use one folder: lines are appended whole under a lock. A last line that a kill cut off is
    left out; a damaged line before it is an error, since what follows cannot be trusted either.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._known: dict[str, dict[str, Response]] = {}
        self.found = self.asked = 0
        """Answers that were there already, and those that had to be asked for."""

    def answered(
        self, respondent: Responder, asks: Sequence[Request], *, seed: int = 0, keep: bool = True
    ) -> Iterator[tuple[int, Response]]:
        """The number of an ask and its answer, each once; equal asks are asked once.

        Args:
            keep  whether new answers are written down.
        """
        known = self._read(respondent)
        places: dict[str, list[int]] = {}
        for i, ask in enumerate(asks):
            places.setdefault(self._key(ask, seed), []).append(i)
        missing = [(key, asks[own[0]]) for key, own in places.items() if key not in known]
        self.found += len(asks) - len(missing)
        self.asked += len(missing)
        for key, own in places.items():
            if key in known:
                yield from ((i, known[key]) for i in own)
        able = [(key, ask) for key, ask in missing if ask.kind in respondent.kinds]
        for key, ask in missing:
            if ask.kind not in respondent.kinds:
                yield from ((i, Failure(f"{_KIND[ask.kind]} cannot be asked of this respondent")) for i in places[key])
        for n, answer in respondent.answers([ask for _, ask in able], seed=seed):
            key = able[n][0]
            known[key] = answer
            if keep:
                self._write(respondent, key, answer)
            yield from ((i, answer) for i in places[key])

    def _key(self, ask: Request, seed: int) -> str:
        drawn = isinstance(ask, Generate) and ask.temperature > 0
        return f"{request_key(ask)}/{seed}" if drawn else request_key(ask)

    def _path(self, respondent: Responder) -> Path | None:
        return None if self.folder is None else self.folder / f"{respondent.digest}-{LAYOUT}.jsonl"

    def _read(self, respondent: Responder) -> dict[str, Response]:
        if respondent.digest in self._known:
            return self._known[respondent.digest]
        known = self._known[respondent.digest] = {}
        path = self._path(respondent)
        if path is None or not path.exists():
            return known
        whole = path.read_text(encoding="utf-8")
        for number, line in enumerate(whole[: whole.rfind("\n") + 1].splitlines(), start=1):
            try:
                found = json.loads(line)
                known[found["key"]] = response_from_json(found["answer"])
            except (ValueError, KeyError, TypeError) as error:
                told = f"a damaged answer ({error}); delete this file to ask again"
                raise DataError(told, path=path, line=number) from error
        return known

    def _write(self, respondent: Responder, key: str, answer: Response) -> None:
        path = self._path(respondent)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"key": key, "answer": response_json(answer)}, ensure_ascii=True) + "\n"
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, 2)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":  # a kill cut the last line off
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line.encode())


_KIND = {OptionLogprobs.kind: "log-probabilities", Generate.kind: "a reply", ScoreReplies.kind: "a rating"}
