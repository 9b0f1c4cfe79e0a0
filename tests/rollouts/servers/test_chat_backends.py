"""Policies that answer: a tiny model in this process, and a real HTTP server that behaves well, badly or not at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from preflab.data.dialogue import Dialogue, Message
from preflab.errors import DataError, ModelError, SamplerError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.models.save import save_policy, save_preference_model
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import SamplingConfig, generate
from preflab.rollouts.servers.chat_backends import (
    LocalChatBackend,
    open_chat_backend,
    policy_folder,
    spec_digest,
    weights_version,
)
from preflab.rollouts.servers.policy_spec import PolicySpec
from tests.fake_openai import TEXT, FakeOpenAI

HELLO = Dialogue((Message("user", "Hello there"),))
TINY = PolicySpec(name="tiny", model="tiny", max_new_tokens=24)


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    own = FakeOpenAI()
    yield own
    own.stop()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a finished run leaves: a policy and a preference model."""
    folder = tmp_path_factory.mktemp("runs") / "align"
    trunk = Trunk(load_language_model("tiny"), AdapterConfig(rank=2, alpha=4.0), seed=0)
    save_policy(trunk.add_role("policy"), folder / "policy")
    encoder = Encoder(trunk.source.tokenizer, max_tokens=trunk.source.context_tokens)
    judge = trunk.add_role("pm", head=True)
    template = encoder.scoring_template
    save_preference_model(judge, folder / "preference_model", pad_id=encoder.pad_id, chat_template=template)
    return folder


# local -----------------------------------------------------------------------------------------------------


def test_a_local_policy_says_what_generate_draws_and_shows_it_growing() -> None:
    shown: list[str] = []
    found = open_chat_backend(TINY).reply(HELLO, seed=5, on_text=shown.append)
    import torch

    source = load_language_model("tiny")
    encoder = Encoder(source.tokenizer, max_tokens=source.context_tokens)
    drawn = generate(
        Trunk(source, None).reference(),
        [encoder.prompt(HELLO)],
        encoder,
        SamplingConfig(max_new_tokens=24),
        rng=torch.Generator().manual_seed(5),
    )[0][0]
    assert found.text == encoder.text(drawn.tokens)
    assert found.details["tokens"] == len(shown) == len(drawn.tokens)
    assert shown[-1] == found.text.rstrip("\ufffd")
    assert all("\ufffd" not in text[-1:] for text in shown)
    assert found.details["weights"] == source.sha256 and len(source.sha256) == 64
    assert found.details["decoding"]["temperature"] == 1.0 and found.details["seed"] == 5


def test_watching_changes_nothing_and_the_seed_everything() -> None:
    policy = open_chat_backend(TINY)
    seen = policy.reply(HELLO, seed=1, on_text=lambda text: None).text
    assert seen == policy.reply(HELLO, seed=1).text
    assert seen != policy.reply(HELLO, seed=2).text


def test_the_watcher_can_break_a_reply_off_and_the_next_one_is_whole() -> None:
    policy, seen = open_chat_backend(TINY), list[str]()

    def enough(text: str) -> None:
        seen.append(text)
        if len(seen) == 3:
            raise KeyError("enough")

    whole = policy.reply(HELLO, seed=1).text
    with pytest.raises(KeyError):
        policy.reply(HELLO, seed=1, on_text=enough)
    assert policy.reply(HELLO, seed=1).text == whole


def test_a_system_message_comes_first_but_for_a_dialogue_that_has_one() -> None:
    spoken = PolicySpec(name="a", model="tiny", system="Speak like a parrot.", max_new_tokens=16)
    plain = PolicySpec(name="b", model="tiny", max_new_tokens=16)
    with_it = Dialogue((Message("system", "Speak like a parrot."), *HELLO.messages))
    said = open_chat_backend(spoken).reply(HELLO, seed=3).text
    assert (
        said
        == open_chat_backend(plain).reply(with_it, seed=3).text
        == open_chat_backend(spoken).reply(with_it, seed=3).text
    )
    assert said != open_chat_backend(plain).reply(HELLO, seed=3).text


def test_old_turns_are_left_out_and_counted_but_a_last_message_that_is_too_long_is_refused() -> None:
    policy = open_chat_backend(TINY)
    turns = [Message("user", "word " * 40), Message("assistant", "word " * 40)] * 40
    found = policy.reply(Dialogue((*turns, Message("user", "And now?"))), seed=1)
    assert found.details["turns_left_out"] > 0
    with pytest.raises(DataError, match="the last message alone outgrows the"):
        policy.reply(Dialogue((Message("user", "word " * 5000),)), seed=1)


def test_policies_of_the_same_weights_share_them() -> None:
    one, other = LocalChatBackend(TINY), LocalChatBackend(PolicySpec(name="colder", model="tiny", temperature=0.5))
    assert one._source is other._source


def test_a_run_answers_with_what_it_exported_and_its_preference_model_picks_the_best(run: Path) -> None:
    plain = open_chat_backend(PolicySpec(name="run", run=str(run), max_new_tokens=12))
    shown: list[str] = []
    best = open_chat_backend(PolicySpec(name="rs", run=str(run), max_new_tokens=12, best_of=4, scorer=str(run)))
    found = best.reply(HELLO, seed=1, on_text=shown.append)
    assert set(shown) == {""}  # the best of several is not known before the end
    assert found.details["weights"] == plain.reply(HELLO, seed=1).details["weights"]
    assert found.details["decoding"]["best_of"] == 4
    assert isinstance(best, LocalChatBackend) and best._score is not None
    source = best._source
    import torch

    encoder = Encoder(source.tokenizer, max_tokens=source.context_tokens)
    drawn = generate(
        Trunk(source, None).reference(),
        [encoder.prompt(HELLO)],
        encoder,
        SamplingConfig(max_new_tokens=12),
        n=4,
        rng=torch.Generator().manual_seed(1),
    )[0]
    texts = [encoder.text(rollout.tokens) for rollout in drawn]
    assert found.text == max(texts, key=lambda text: best._score(HELLO.with_reply(text)))  # type: ignore[misc]


def test_a_run_that_is_not_there_or_not_finished_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere: no such run"):
        open_chat_backend(PolicySpec(name="a", run=str(tmp_path / "nowhere")))
    with pytest.raises(ModelError, match="has exported no policy yet; let it finish"):
        policy_folder(str(tmp_path))
    (tmp_path / "policy").mkdir()
    with pytest.raises(ModelError, match="has exported no preference model"):
        open_chat_backend(PolicySpec(name="a", run=str(run), best_of=2, scorer=str(tmp_path)))


def test_weights_that_are_written_anew_are_another_version(run: Path) -> None:
    import os

    spec = PolicySpec(name="a", run=str(run))
    before = weights_version(spec)
    file = run / "policy" / "config.json"
    os.utime(file, ns=(before + 5, before + 5))
    assert before > 0 and weights_version(spec) == before + 5
    assert weights_version(TINY) == 0
    assert spec_digest(TINY) != spec_digest(PolicySpec(name="tiny", model="tiny", max_new_tokens=25))


# servers ---------------------------------------------------------------------------------------------------


def served(fake: FakeOpenAI, mood: str, **more: object) -> PolicySpec:
    return PolicySpec(name="theirs", url=f"{fake.url}/v1", served_name=mood, **more)  # type: ignore[arg-type]


def test_a_server_that_streams_is_shown_piece_by_piece(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEIR_KEY", "k-123")
    shown: list[str] = []
    spec = served(fake, "good", key_env="THEIR_KEY", system="Be brief.", temperature=0.5, max_new_tokens=9)
    found = open_chat_backend(spec).reply(HELLO, seed=2**40 + 3, on_text=shown.append)
    assert found.text == TEXT
    assert shown[:5] == ["Good ", "Good morning, ", "Good morning, na", "Good morning, naïve ", TEXT]
    (asked,) = fake.asked
    assert (asked["path"], asked["key"], asked["stream"]) == ("/v1/chat/completions", "Bearer k-123", True)
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello there"},
    ]
    assert (asked["temperature"], asked["max_tokens"], asked["seed"]) == (0.5, 9, 3)
    told = {"weights": "fp_1", "tokens": 7, "finished": True, "seed": 3}
    assert {key: found.details[key] for key in told} == told
    assert "k-123" not in str(found.details)


def test_a_server_that_answers_all_at_once_will_do(fake: FakeOpenAI) -> None:
    found = open_chat_backend(served(fake, "whole")).reply(HELLO, seed=1, on_text=lambda text: None)
    assert (found.text, found.details["weights"], found.details["finished"]) == (TEXT, "whole-1", False)


@pytest.mark.parametrize(
    ("mood", "complaint"),
    [
        ("dies", "the stream broke off after 14 characters"),  # "Good morning, "
        ("garbage", "expected JSON, found '<html>"),
        ("page", "expected JSON, found '<html>please log in"),
        ("error", "it says .*out of memory"),
        ("textless", r"no choices\[0\]\.message\.content"),
        ("busy", "it answers 429: .*slow down"),
        ("broken", "it answers 500: .*engine died"),
        ("endless", "it does not stop: more than 100,000 characters"),
    ],
)
def test_a_server_that_fails_is_named_with_what_it_said(fake: FakeOpenAI, mood: str, complaint: str) -> None:
    with pytest.raises(SamplerError, match=rf"policy 'theirs' at {fake.url}/v1/chat/completions: {complaint}"):
        open_chat_backend(served(fake, mood)).reply(HELLO, seed=1)


def test_a_server_that_is_gone_is_named_too() -> None:
    fake = FakeOpenAI()
    fake.stop()
    with pytest.raises(SamplerError, match=rf"{fake.url}.*ConnectError"):
        open_chat_backend(served(fake, "good")).reply(HELLO, seed=1)
