"""Our policies as Inspect's models: messages in, one reply out, with a stand-in for Inspect's classes.

Inspect itself runs them in ``test_inspect_tasks``, where it is installed.
"""

import asyncio
import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from preflab.data.dialogue import Dialogue, Message
from preflab.errors import ConfigError, DataError
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    Response,
)
from tests.bridges.fake_frameworks import Attributes, GenerateConfig, inspect_modules

NAME = "preflab.bridges.inspect_model"


@pytest.fixture(scope="module")
def bridge() -> Iterator[Any]:
    """The module over the stand-in; forgotten afterwards, so that no other test meets it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in inspect_modules().items():
            patch.setitem(sys.modules, name, module)
        patch.delitem(sys.modules, NAME, raising=False)
        yield importlib.import_module(NAME)
        del sys.modules[NAME]


class Responder:
    """Says back what it was asked and how; keeps requests and seeds."""

    kinds = frozenset({"speak"})
    digest = "digest"

    def __init__(self, response: Response | None = None, name: str = "echo") -> None:
        self.response, self.name = response, name
        self.requests: list[tuple[Request, int]] = []

    def respond(self, requests: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        for n, request in enumerate(requests):
            self.requests.append((request, seed))
            assert isinstance(request, Generate | OptionLogprobs)
            yield n, self.response or Generation("yes", 3, finished=True)


def message(role: str, text: str) -> Attributes:
    return Attributes(role=role, text=text)


def api(bridge: Any, monkeypatch: pytest.MonkeyPatch, responder: Responder, name: str = "tiny", **more: Any) -> Any:
    """A model over this responder; the arguments of opening it are in its ``opened``."""
    opened: list[Any] = []

    def open_policy(model: str, loading: Any, **settings: Any) -> Responder:
        opened.append((model, loading, settings))
        return responder

    monkeypatch.setattr(bridge, "open_policy", open_policy)
    made = bridge.PreflabAPI(name, **more)
    made.opened = opened[0]
    return made


def reply(model: Any, *messages: Attributes, tools: Sequence[Any] = (), **settings: Any) -> Any:
    messages = messages or (message("user", "hi"),)
    return asyncio.run(model.generate(list(messages), list(tools), None, GenerateConfig(**settings)))


# messages --------------------------------------------------------------------------------------------------


def test_messages_become_turns_and_an_assistants_last_words_are_gone_on_from(bridge: Any) -> None:
    turns = [message("system", "Be brief."), message("user", "hi"), message("assistant", "yo"), message("user", "so?")]
    prompt, lead = bridge.dialogue_of(turns)
    roles = ("system", "user", "assistant", "user")
    assert prompt == Dialogue(tuple(Message(role, turn.text) for role, turn in zip(roles, turns, strict=True)))
    assert lead == ""
    assert bridge.dialogue_of([*turns, message("assistant", "The answer")]) == (prompt, "The answer")


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "there is no message to answer"),
        ([message("assistant", "Well")], "there is no message to answer"),
        ([message("user", "2 + 2?"), message("tool", "4")], "no tools, and cannot read messages of tool"),
    ],
)
def test_what_cannot_be_answered_says_why(bridge: Any, messages: list[Attributes], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        bridge.dialogue_of(messages)


# replies ---------------------------------------------------------------------------------------------------


def test_without_settings_a_reply_is_greedy(bridge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    responder = Responder()
    model = api(bridge, monkeypatch, responder)
    output = reply(model)
    assert (output.completion, output.stop_reason, output.usage.output_tokens) == ("yes", "stop", 3)
    assert responder.requests == [(Generate(prompt=Dialogue.of("hi")), 0)]
    reply(model)
    assert responder.requests[1] == responder.requests[0]


def test_every_setting_reaches_the_request(bridge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    responder = Responder()
    model = api(bridge, monkeypatch, responder)
    ask = (message("user", "hi"), message("assistant", "Well"))
    settings: dict[str, Any] = {"temperature": 0.5, "max_tokens": 7, "stop_seqs": ["\n", "."], "seed": 11}
    for n in (1, 2):  # each draw is another
        reply(model, *ask, **settings)
        expected = Generate(
            prompt=Dialogue.of("hi"), lead="Well", max_new_tokens=7, temperature=0.5, stop=("\n", "."), sample=n
        )
        assert responder.requests[-1] == (expected, 11)


def test_best_of_n_draws_even_where_no_temperature_is_asked_for(bridge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    responder = Responder(name="best of 4 of tiny")
    model = api(bridge, monkeypatch, responder)
    reply(model)
    reply(model)
    assert [request.sample for request, _ in responder.requests if isinstance(request, Generate)] == [1, 2]


def test_a_reply_whose_room_was_used_up_says_so(bridge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = api(bridge, monkeypatch, Responder(Generation("and then", 2, finished=False)))
    assert reply(model).stop_reason == "max_tokens"


@pytest.mark.parametrize(
    ("response", "complaint"),
    [(Failure("too long"), "too long"), (OptionScores((0.0,), (1,)), "a reply was asked for, none was given")],
)
def test_no_reply_is_an_error(bridge: Any, monkeypatch: pytest.MonkeyPatch, response: Response, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        reply(api(bridge, monkeypatch, Responder(response)))


def test_tools_are_refused(bridge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="a policy of preflab has no tools"):
        reply(api(bridge, monkeypatch, Responder()), tools=["calculator"])


def test_a_request_of_another_kind_fails_by_name_and_asks_nothing(bridge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    responder = Responder()
    model = api(bridge, monkeypatch, responder)
    request = OptionLogprobs(prompt=Dialogue.of("hi"), options=(" a", " b"))
    assert asyncio.run(model.respond(request)) == Failure("echo cannot be asked this")
    assert responder.requests == []


# opening ---------------------------------------------------------------------------------------------------


def test_arguments_of_the_command_line_open_the_policy(bridge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = api(bridge, monkeypatch, Responder(), "run", runs="elsewhere", device="cpu", served_name="m")
    name, loading, settings = model.opened
    assert (name, loading.runs, loading.device) == ("run", "elsewhere", "cpu")
    assert settings == {"served_name": "m", "best_of": 1, "pm": None}
    assert model.max_connections() == 1


@pytest.mark.parametrize(
    ("more", "pm"),
    [({}, None), ({"best_of": 4}, "run"), ({"best_of": 4, "pm": "other"}, "other"), ({"pm": "other"}, "other")],
)
def test_the_runs_own_preference_model_chooses_unless_another_is_named(
    bridge: Any, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], pm: str | None
) -> None:
    monkeypatch.setattr(bridge, "has_preference_model", lambda name, runs: name == "run")
    _, _, settings = api(bridge, monkeypatch, Responder(), "run", **more).opened
    assert settings["pm"] == pm and settings["best_of"] == more.get("best_of", 1)


def test_the_tiny_model_answers_greedily_the_same_twice(bridge: Any) -> None:
    model = bridge.PreflabAPI("tiny", device="cpu")
    first, second = (reply(model, max_tokens=5) for _ in range(2))
    assert first.completion == second.completion
    assert first.usage.output_tokens <= 5
    assert bridge.preflab_models() is bridge.PreflabAPI and bridge.preflab_models.registered_as == "preflab"
