"""Comparisons by round: the static ones, those of each round in parts, what fits as rows."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from preflab.atomic_files import read_json
from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue, Message
from preflab.models.tiny import tiny_tokenizer
from preflab.recipes.bai2022_online import smoke
from preflab.recipes.bai2022_online.online_study import OnlineStudy
from preflab.recipes.bai2022_online.round_data import TOPICS, RoundData
from preflab.recipes.common.comparison_parts import HELD_OUT, TRAIN, ComparisonParts, Parts
from preflab.recipes.common.configs import ComparisonDataConfig
from preflab.rollouts.encode import Encoded
from preflab.rollouts.encoder import Encoder
from preflab.run import Run


def comparison(*turns: str) -> Comparison:
    """The last word of a dialogue is the user's; the turns begin with the user too."""
    roles = ("user", "assistant")
    prompt = Dialogue(tuple(Message(roles[k % 2], text) for k, text in enumerate(turns)))
    return Comparison(prompt=prompt, replies=("yes", "no"), ranks=(0, 1))


class Static(ComparisonParts):
    """Static comparisons by hand, of which a quarter is held out."""

    def __init__(self, parts: Parts, encoded: dict[str, Encoded], max_tokens: int) -> None:
        self.__dict__ |= {"parts": parts, "encoded": encoded}  # what the class computes when first asked for
        self.config = ComparisonDataConfig(held_out_share=0.25)
        self.models = cast(Any, SimpleNamespace(encoder=Encoder(tiny_tokenizer(), max_tokens=max_tokens)))


class Study(OnlineStudy):
    """What each round taught, and how often that was read."""

    def __init__(self, rounds: dict[int, list[Comparison]]) -> None:
        self.rounds, self.reads = rounds, 0

    def comparisons(self, number: int) -> list[Comparison]:
        self.reads += 1
        return self.rounds[number]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Run(tmp_path / "run", smoke(), recipe="bai2022_online", quiet=True) as opened:
        yield opened


def round_data(
    run: Run,
    rounds: dict[int, list[Comparison]],
    *,
    parts: Parts | None = None,
    encoded: dict[str, Encoded] | None = None,
    max_tokens: int = 200,
) -> RoundData:
    return RoundData(run, Static(parts or {}, encoded or {}, max_tokens), Study(rounds))


def test_topics_are_the_users_last_words_of_prompts_that_nothing_is_trained_on_each_once(run: Run) -> None:
    topics = [comparison("a"), comparison("hello", "hm", "b"), comparison("a"), comparison("else", "hm", "b")]
    parts = {TRAIN: [comparison("not this")], TOPICS: topics}
    assert round_data(run, {}, parts=parts).topics == ["a", "b"]
    assert round_data(run, {}, parts={TRAIN: topics}).topics == []


def test_round_0_is_the_static_comparisons_in_their_own_parts(run: Run) -> None:
    parts = {TRAIN: [comparison("a")], HELD_OUT: [comparison("b")]}
    rows = {part: Encoded([], comparisons) for part, comparisons in parts.items()}
    data = round_data(run, {}, parts=parts, encoded=rows)
    assert data.parts(0) is parts
    assert data.encoded(0, HELD_OUT) is rows[HELD_OUT]


def test_conversations_that_begin_alike_are_in_one_part_and_a_quarter_is_held_out(run: Run) -> None:
    judged = [turn for k in range(8) for turn in (comparison(f"talk {k}"), comparison(f"talk {k}", "hm", "go on"))]
    study = Study({1: judged})
    data = RoundData(run, Static({}, {}, 200), study)
    parts = data.parts(1)
    openings = {part: {c.prompt.messages[0].text for c in comparisons} for part, comparisons in parts.items()}
    assert openings[TRAIN].isdisjoint(openings[HELD_OUT])
    assert (len(parts[TRAIN]), len(parts[HELD_OUT])) == (12, 4)
    assert sorted(map(id, parts[TRAIN] + parts[HELD_OUT])) == sorted(map(id, judged))
    assert data.parts(1) is parts and study.reads == 1  # read once


def test_too_few_to_hold_any_out_are_all_for_training(run: Run) -> None:
    judged = [comparison("talk"), comparison("talk", "hm", "go on")]
    assert round_data(run, {1: judged[:1]}).parts(1) == {TRAIN: judged[:1], HELD_OUT: []}
    assert round_data(run, {1: []}).parts(1) == {TRAIN: [], HELD_OUT: []}


def test_what_does_not_fit_as_rows_is_recorded_by_round_and_part(run: Run) -> None:
    judged = [comparison("short"), comparison("w " * 60)]
    data = round_data(run, {2: judged}, max_tokens=40)
    data._parts[2] = {TRAIN: judged, HELD_OUT: []}  # as if both were drawn for training
    encoded = data.encoded(2, TRAIN)
    assert encoded.comparisons == judged[:1] and len(encoded.refused) == 1
    counts = read_json(run.folder / "record.json")["counts"]
    assert counts["round 2, train"] == {"shortened": 0, "refused": encoded.refused}
