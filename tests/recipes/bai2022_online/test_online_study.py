"""The side of the loop that people see: deploying anew, votes, ratings by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from preflab.data.comparison import EDITOR, Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.data.store.studies import create_study, find_study
from preflab.errors import ConfigError
from preflab.feedback.protocols import protocol_named
from preflab.feedback.study import StudyDefinition
from preflab.recipes.bai2022_online import smoke
from preflab.recipes.bai2022_online.online_study import OnlineStudy, rate_by_votes, vote_of
from preflab.rollouts.servers.policy_spec import PolicySpec
from preflab.run import Run


@contextmanager
def study(tmp_path: Path, **settings: Any) -> Iterator[OnlineStudy]:
    """The recipe's side of a study, without a model."""
    config = replace(smoke(), store=str(tmp_path / "lab.db"), **settings)
    with Run(tmp_path / "run", config, recipe="bai2022_online", quiet=True) as run:
        online_study = OnlineStudy(config, run)
        yield online_study
        online_study.close()


def test_a_study_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    with study(tmp_path) as online_study:
        other = StudyDefinition(name="online", protocol=protocol_named("rank"), title="Mine")
        create_study(online_study.store, "online", other.to_json())
        with pytest.raises(ConfigError, match="has the protocol rank; give another name: study="):
            online_study.deploy(1, [PolicySpec(name="start", model="tiny")], [])
        assert find_study(online_study.store, "online").definition["title"] == "Mine"


def test_deploying_again_after_a_kill_changes_nothing_and_adds_no_more_tasks(tmp_path: Path) -> None:
    with study(tmp_path, judgements=3) as online_study:
        spec = [PolicySpec(name="start", model="tiny")]
        first = online_study.deploy(1, spec, ["a topic"])
        assert first.tasks_added == 3
        assert online_study.deploy(1, spec, ["a topic"]) == replace(first, tasks_added=0)


def test_a_choice_with_an_edit_is_a_vote_between_its_two_policies() -> None:
    def judged(policies: tuple[str, ...], ranks: tuple[int, ...]) -> Comparison:
        origin = Provenance(policies=policies, annotator="p")
        replies = tuple(f"reply {k}" for k in range(len(ranks)))
        return Comparison(prompt=Dialogue.of("q"), replies=replies, ranks=ranks, provenance=origin)

    assert vote_of(judged((EDITOR, "x", "y"), (0, 1, 2))) == ("x", "y", 1.0, "p")
    assert vote_of(judged((EDITOR, "x", "y"), (0, 1, 1))) == ("x", "y", 0.5, "p")
    assert vote_of(judged(("x", "y"), (1, 0))) == ("x", "y", 0.0, "p")
    assert vote_of(judged((EDITOR, "x"), (0, 1))) is None


def test_ratings_by_hand_and_where_there_is_nothing_to_rate() -> None:
    for votes in ([], [("a", "a", 1.0, "p")]):
        empty = rate_by_votes(votes)
        assert (empty.ratings, empty.ridge, empty.note) == ({}, 0.0, "no two policies were compared")
    even = rate_by_votes([("start", "round-0", 1.0, "p"), ("start", "round-0", 0.0, "p")])
    assert even.ratings["round-0"].value == pytest.approx(0.0, abs=1e-6)
    assert even.interval.startswith("from the curvature")
    ahead = rate_by_votes([("round-0", "start", float(k < 9), f"p{k}") for k in range(12)])
    # odds of 9 to 3: ln 3 nats, 400 log10(3) = 190.8 Elo, and no ridge takes any of it
    assert ahead.ratings["round-0"].value == pytest.approx(190.85, abs=0.01)
    assert (ahead.interval, ahead.ridge, ahead.note) == ("from resampling people", 0.0, "")
    unbeaten = rate_by_votes([("round-0", "start", 1.0, "p")])
    assert unbeaten.ridge == 0.1 and "{round-0} never lost" in unbeaten.note
    assert 0 < unbeaten.ratings["round-0"].value < 1000
