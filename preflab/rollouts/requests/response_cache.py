"""Responses of earlier runs: an append-only file a responder, so that a kill costs one block and a repeat nothing."""

import fcntl
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from preflab.atomic_files import complete_lines, json_text
from preflab.errors import DataError
from preflab.rollouts.requests.responders import Responder, ServerPolicy
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
"""Changes when responses of an earlier version may no longer be used."""


class ResponseCache:
    """Responses by request and responder, in ``<folder>/<digest of the responder>.jsonl``.

    Several processes may use one folder: lines are appended whole under a lock. A last line that a kill cut off is
    left out; a damaged line before it is an error, since what follows cannot be trusted either. Failures are never
    stored: what failed is asked again.

    Args:
        folder         of the files; None stores nothing.
        served_folder  of the files of servers (`ServerPolicy`); ``folder`` without one.
    """

    def __init__(self, folder: Path | None, *, served_folder: Path | None = None) -> None:
        self.folder, self.served_folder = folder, served_folder
        self._responses: dict[str, dict[str, Response]] = {}
        self.hits = self.misses = 0
        """Requests whose response was there already, and those that a responder had to answer."""

    def respond(
        self, responder: Responder, requests: Sequence[Request], *, seed: int = 0, store: bool = True
    ) -> Iterator[tuple[int, Response]]:
        """The number of each request and its response, each once; equal requests are answered once.

        Args:
            store  whether new responses are written to the file.
        """
        if isinstance(responder, ServerPolicy):
            responder.identify()  # its file is named for what is served, which only the server knows
        responses = self._read(responder)
        indices: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            indices.setdefault(self._key(request, seed), []).append(i)
        missing = [(key, requests[same[0]]) for key, same in indices.items() if key not in responses]
        self.hits += len(requests) - len(missing)
        self.misses += len(missing)
        for key, same in indices.items():
            if key in responses:
                yield from ((i, responses[key]) for i in same)
        able = [(key, request) for key, request in missing if request.kind in responder.kinds]
        for key, request in missing:
            if request.kind not in responder.kinds:
                yield from (
                    (i, Failure(f"{_KIND[request.kind]} cannot be asked of this respondent")) for i in indices[key]
                )
        for n, response in responder.respond([request for _, request in able], seed=seed):
            key = able[n][0]
            if not isinstance(response, Failure):
                responses[key] = response
                if store:
                    self._write(responder, key, response)
            yield from ((i, response) for i in indices[key])

    def _key(self, request: Request, seed: int) -> str:
        drawn = isinstance(request, Generate) and request.temperature > 0
        return f"{request_key(request)}/{seed}" if drawn else request_key(request)

    def _path(self, responder: Responder) -> Path | None:
        served = isinstance(responder, ServerPolicy) and self.served_folder is not None
        folder = self.served_folder if served else self.folder
        return None if folder is None else folder / f"{responder.digest}-{LAYOUT}.jsonl"

    def _read(self, responder: Responder) -> dict[str, Response]:
        if responder.digest in self._responses:
            return self._responses[responder.digest]
        responses = self._responses[responder.digest] = {}
        path = self._path(responder)
        if path is None or not path.exists():
            return responses
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)  # another process may be appending
            lines = complete_lines(path)
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                response = response_from_json(entry["answer"])
                if not isinstance(response, Failure):  # earlier versions stored them
                    responses[entry["key"]] = response
            except (ValueError, KeyError, TypeError) as error:
                complaint = f"a damaged answer ({error}); delete this file to ask again"
                raise DataError(complaint, path=path, line=number) from error
        return responses

    def _write(self, responder: Responder, key: str, response: Response) -> None:
        path = self._path(responder)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        line = json_text({"key": key, "answer": response_json(response)}, ensure_ascii=True) + "\n"
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, 2)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":
                    complete_lines(path)  # a kill cut the last line off
            file.write(line.encode())


_KIND = {OptionLogprobs.kind: "log-probabilities", Generate.kind: "a reply", ScoreReplies.kind: "a rating"}
