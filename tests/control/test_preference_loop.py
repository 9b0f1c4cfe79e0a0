"""The loop on a walk: what it asks and when, that it learns from labels alone, and that a kill changes nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from preflab.control.agents.ppo import PPO, PPOConfig
from preflab.control.archive import ClipArchive
from preflab.control.clips import ClipQuery
from preflab.control.loop_config import LoopConfig
from preflab.control.preference_loop import PreferenceLoop
from preflab.control.reward_learner import RewardLearner
from preflab.control.rewards.ensemble import RewardEnsemble
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.label_log import LabelLog
from preflab.control.rewards.labellers import AsyncClipLabeller, LabelSource, SynchronousLabeller
from preflab.control.rewards.labels import Label
from preflab.control.rewards.oracle import Oracle, OracleConfig
from preflab.control.rewards.reward_networks import MLP
from preflab.errors import TrainingStopped
from preflab.maths.query_selection import labels_due
from tests.control.walk import Walk

AGENT = PPOConfig(hidden=(16,), learning_rate=3e-3, epochs=4, minibatch_steps=32, discount=0.9, gae_lambda=0.9)
SHORT = LoopConfig(steps=800, pretrain_steps=160, queries=40, rollout_steps=20, pretrain_epochs=5, candidates=60)


def looped(
    folder: Path, config: LoopConfig, labeller: AsyncClipLabeller | None = None, *, poll_seconds: float = 2.0
) -> PreferenceLoop:
    folder.mkdir(exist_ok=True)
    env = Walk(4)
    ensemble = RewardEnsemble(lambda: MLP(2, 1, hidden=(16,)), EnsembleConfig(learning_rate=1e-2))
    source = LabelSource(
        labeller or SynchronousLabeller(Oracle()),
        ClipArchive(folder / "clips"),
        LabelLog(folder / "answers.jsonl"),
        poll_seconds,
    )
    return PreferenceLoop(env, PPO(env.spec, AGENT), RewardLearner(config, env, ensemble, source))


def lines_of(loop: PreferenceLoop, keep: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    loop.run(lambda **numbers: found.append(numbers), keep)
    return found


def test_it_learns_to_walk_to_the_right_from_labels_alone(tmp_path: Path) -> None:
    lines = lines_of(looped(tmp_path, replace(SHORT, steps=3200, queries=120, epochs=2, pretrain_epochs=20)))
    assert abs(lines[0]["true_return"]) < 3  # at random
    assert lines[-1]["true_return"] > 9  # 1 + 2 + 3 + 4 + 5 at best
    assert max(line.get("rank_correlation", 0.0) for line in lines) > 0.7  # while episodes still differ


@pytest.mark.parametrize("schedule", ["hyperbolic", "stepwise", "exponential", "constant"])
def test_it_asks_for_what_is_due_and_learns_from_what_was_answered(tmp_path: Path, schedule: Any) -> None:
    config = replace(SHORT, schedule=schedule)
    lines = lines_of(looped(tmp_path, config))
    for line in lines:
        due = labels_due(
            line["step"] - 160, total=40, initial=10, end=640, schedule=schedule, half_life=64.0
        )  # half_life: a tenth of 640
        assert line["due"] == line["asked"] == due
        assert sum(line[name] for name in ("left", "right", "tie", "cannot tell")) == due
    assert lines[0]["asked"] == 10 and lines[-1]["asked"] == 40


def test_a_schedule_of_ones_own(tmp_path: Path) -> None:
    lines = lines_of(looped(tmp_path, replace(SHORT, schedule="custom", points=((0.5, 0.0), (0.5, 1.0)))))
    assert [line["asked"] for line in lines] == [10] * 4 + [40] * 5  # at half of the 640 steps after 160


def test_all_labels_at_the_start_is_the_ablation_without_online_queries(tmp_path: Path) -> None:
    assert {line["asked"] for line in lines_of(looped(tmp_path, replace(SHORT, pretrain_label_share=1.0)))} == {40}


def test_disputed_pairs_are_asked_and_random_ones_are_as_disputed_as_any(tmp_path: Path) -> None:
    for name, random in (("disputed", False), ("random", True)):
        lines = lines_of(looped(tmp_path / name, replace(SHORT, random_queries=random)))
        told = [(line["disputed_asked"], line["disputed_candidates"]) for line in lines if "disputed_asked" in line]
        assert told
        for asked, candidates in told:
            assert asked == pytest.approx(candidates) if random else asked > candidates


def test_the_policy_may_learn_every_few_steps_of_a_round(tmp_path: Path) -> None:
    loop = looped(tmp_path, replace(SHORT, update_steps=5))
    sizes = []
    learn = loop.agent.update

    def counted(trajectory: Any, rewards: np.ndarray) -> dict[str, float]:
        sizes.append(trajectory.true_reward.shape)
        assert rewards.shape == trajectory.true_reward.shape
        return learn(trajectory, rewards)

    loop.agent.update = counted  # type: ignore[method-assign]
    lines = lines_of(loop)
    assert sizes == [(5, 4)] * (1 + 4 * 8)  # of the first 40 steps the last 5; then four updates a round
    assert [line["step"] for line in lines] == list(range(160, 801, 80))
    assert lines[-1]["asked"] == 40
    assert all("mean_reward" in line for line in lines)


def test_predictors_are_fitted_every_so_many_rounds_and_all_is_asked_by_then(tmp_path: Path) -> None:
    lines = lines_of(looped(tmp_path, replace(SHORT, fit_every=3, query_until=0.5)))
    assert ["reward_l2" in line for line in lines] == [True, False, False] * 3
    assert [line["asked"] == 40 for line in lines] == [line["step"] >= 480 for line in lines]  # half of 640 after 160


@pytest.mark.parametrize(("after", "update_steps"), [(1, None), (2, None), (5, None), (1, 5), (4, 10)])
def test_killed_after_a_checkpoint_it_goes_on_bit_for_bit(tmp_path: Path, after: int, update_steps: int | None) -> None:
    short = replace(SHORT, update_steps=update_steps)
    whole = looped(tmp_path / "whole", short)
    expected = lines_of(whole)

    class Stopped(Exception):
        pass

    cut, kept = looped(tmp_path / "cut", short), []

    def keep() -> None:
        kept.append({name: value.clone() for name, value in cut.state().items()})
        if len(kept) == after + 1:  # a round beyond the checkpoint that is taken up: its answers are in the journal
            raise Stopped

    with pytest.raises(Stopped):
        lines_of(cut, keep)
    again = looped(tmp_path / "cut", short)
    again.load_state(kept[after - 1])
    assert lines_of(again) == expected[after:]
    one, two = whole.state(), again.state()
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


class Slow:
    """Answers half of what it is asked, and the rest when it is looked at again."""

    def __init__(self) -> None:
        self.waiting: list[Label] = []

    def ask(self, pairs: Sequence[ClipQuery]) -> int:
        self.waiting += [Label(query.left.id, query.right.id, "left", "ann", query.step) for query in pairs]
        return len(pairs)

    def answers(self) -> list[Label]:
        n = (len(self.waiting) + 1) // 2
        found, self.waiting = self.waiting[:n], self.waiting[n:]
        return found


def test_it_waits_until_enough_is_answered_and_not_for_all(tmp_path: Path) -> None:
    slow, missing, lines = Slow(), [], []
    looks = looped(tmp_path, replace(SHORT, min_answered=0.75), slow, poll_seconds=0.0)
    looks.run(lambda **numbers: lines.append(numbers), lambda: None, missing.append)
    assert missing[0] == 3  # ten were asked and five answered; eight are enough
    for line in lines:
        assert line["left"] >= 0.75 * line["asked"]
    assert len(looks.learner.labels.all) < 40 or not slow.waiting


def test_blind_clips_hold_no_reward(tmp_path: Path) -> None:
    loop = looped(tmp_path, replace(SHORT, hide_true_reward=True))
    lines = lines_of(loop)
    assert all(not clip.true_reward.any() for clip in loop.learner.store)
    assert lines[-1]["tie"] == 40  # an oracle sees nothing to choose


def test_cannot_tell_counts_as_answered_and_is_not_learned_from(tmp_path: Path) -> None:
    loop = looped(tmp_path, SHORT, SynchronousLabeller(Oracle(OracleConfig(cannot_tell=0.5))))
    lines = lines_of(loop)
    assert 0 < lines[-1]["cannot tell"] < 40
    assert len(loop.learner.labels.usable) == 40 - lines[-1]["cannot tell"]


def test_with_nothing_to_wait_for_it_waits_for_one_answer_all_the_same(tmp_path: Path) -> None:
    class Late(Slow):
        looks = 0

        def answers(self) -> list[Label]:
            self.looks += 1
            return super().answers() if self.looks > 3 else []

    missing: list[int] = []
    loop = looped(tmp_path, replace(SHORT, min_answered=0.0), Late(), poll_seconds=0.0)
    loop.run(lambda **numbers: None, lambda: None, missing.append)
    assert missing == [1, 1, 1] and len(loop.learner.labels.all) > 5


def test_without_an_answer_that_says_anything_it_stops(tmp_path: Path) -> None:
    loop = looped(tmp_path, SHORT, SynchronousLabeller(Oracle(OracleConfig(cannot_tell=1.0))))
    with pytest.raises(TrainingStopped, match="none of 10 answers by step 160"):
        lines_of(loop)
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 1  # what was answered is kept


def test_no_clip_lies_over_the_end_of_an_episode(tmp_path: Path) -> None:
    loop = looped(tmp_path, SHORT)
    lines_of(loop)
    for clip in loop.learner.store:  # the second number of an observation is the step of its episode
        assert np.diff(clip.observations[:, 1]).tolist() == [1.0, 1.0]
