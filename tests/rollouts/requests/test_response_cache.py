"""Responses on disk: kept by request and responder, whatever is killed when."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from preflab.errors import DataError
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import Failure, Generate, Generation, OptionLogprobs, Request, Response


class Echo:
    """Replies with the prompt; counts the requests that reach it."""

    kinds = frozenset({"speak"})

    def __init__(self, name: str = "echo") -> None:
        self.name = self.digest = name
        self.tape: list[Request] = []

    def respond(self, requests: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        for i, request in enumerate(requests):
            self.tape.append(request)
            yield i, Generation(str(request.prompt))


def requests(*prompts: str, temperature: float = 0.0) -> list[Request]:
    return [Generate(prompt=prompt, temperature=temperature) for prompt in prompts]


def test_equal_requests_are_answered_once_and_again_from_the_file(tmp_path: Path) -> None:
    echo, cache = Echo(), ResponseCache(tmp_path)
    assert dict(cache.respond(echo, requests("a", "b", "a"))) == {i: Generation(t) for i, t in enumerate("aba")}
    assert (len(echo.tape), cache.hits, cache.misses) == (2, 1, 2)
    later, again = Echo(), ResponseCache(tmp_path)
    assert dict(again.respond(later, requests("b", "c"))) == {0: Generation("b"), 1: Generation("c")}
    assert [request.prompt for request in later.tape] == ["c"]


def test_a_seed_counts_for_draws_alone(tmp_path: Path) -> None:
    cache, echo = ResponseCache(tmp_path), Echo()
    for seed in (0, 1):
        list(cache.respond(echo, requests("greedy"), seed=seed))
        list(cache.respond(echo, requests("drawn", temperature=1.0), seed=seed))
    assert [request.prompt for request in echo.tape] == ["greedy", "drawn", "drawn"]


def test_another_responder_has_a_file_of_its_own_and_no_folder_keeps_nothing(tmp_path: Path) -> None:
    for echo in (Echo("one"), Echo("two")):
        list(ResponseCache(tmp_path).respond(echo, requests("a")))
        list(ResponseCache(None).respond(echo, requests("a")))
        list(ResponseCache(tmp_path).respond(echo, requests("b"), store=False))
        assert len(echo.tape) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one-1.jsonl", "two-1.jsonl"]


def test_what_a_responder_cannot_do_is_a_failure_that_is_not_kept(tmp_path: Path) -> None:
    echo = Echo()
    ((_, response),) = ResponseCache(tmp_path).respond(echo, [OptionLogprobs(prompt="a", options=("b", "c"))])
    assert response == Failure("log-probabilities cannot be asked of this respondent")
    assert not echo.tape and not list(tmp_path.iterdir())


@pytest.mark.parametrize("read_first", [True, False])
def test_a_last_line_that_a_kill_cut_off_is_removed(tmp_path: Path, read_first: bool) -> None:
    list(ResponseCache(tmp_path).respond(Echo(), requests("a", "b")))
    (path,) = tmp_path.iterdir()
    cache = ResponseCache(tmp_path)
    if not read_first:
        list(cache.respond(Echo(), []))  # it knows both lines; the cut comes afterwards
    path.write_bytes(path.read_bytes()[:-9])
    list(cache.respond(Echo(), requests("b", "c")))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["answer"]["text"] for line in lines] == (["a", "b", "c"] if read_first else ["a", "c"])


def test_a_damaged_line_names_its_file_and_number(tmp_path: Path) -> None:
    list(ResponseCache(tmp_path).respond(Echo(), requests("a", "b")))
    (path,) = tmp_path.iterdir()
    path.write_text("{not json}\n" + path.read_text())
    with pytest.raises(DataError, match=rf"{path.name}:1: a damaged answer .* delete this file"):
        list(ResponseCache(tmp_path).respond(Echo(), requests("a")))


def test_a_file_of_earlier_versions_is_read() -> None:
    """Keys and kinds on disk outlive names in the code; this line was written by the version before the renames."""
    from preflab.rollouts.requests.types import request_json, response_from_json

    assert request_json(Generate(prompt="x", role="judge")) == {"kind": "speak", "prompt": "x", "whom": "judge"}
    line = {"kind": "spoken", "text": "hi", "tokens": 3, "finished": True}
    assert response_from_json(line) == Generation("hi", 3, True)
