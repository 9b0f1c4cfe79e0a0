"""What is made of a run's lines: curves over equal parts, weighted by what ended in each."""

from dataclasses import replace

import pytest

pytest.importorskip("torch")

from preflab.recipes.christiano2017.curves import arm_result, final_return, mean_curve
from preflab.recipes.christiano2017.mujoco import Config, small


def short() -> Config:
    config = small()
    return replace(config, points=2, loop=replace(config.loop, steps=400, pretrain_steps=100))


def test_curves_leave_a_gap_where_a_seed_has_no_episode_that_ended() -> None:
    found = mean_curve([(None, 1.0, 2.0), (3.0, 3.0, 4.0)])
    assert found[0] is None and [own.value for own in found[1:] if own is not None] == [2.0, 3.0]
    assert final_return((1.0, 2.0, None)) == 2.0


def test_each_line_counts_as_often_as_it_says() -> None:
    base = {"mean_reward": 0.0, "std_reward": 1.0}
    lines = [
        {"step": 100, "episodes": 1.0, "true_return": 1.0, "handed_return": 2.0, **base},
        {"step": 200, "episodes": 3.0, "true_return": 5.0, "disputed_asked": 0.2, "disputed_candidates": 0.1}
        | {"handed_return": 6.0, "asked_now": 3.0, **base},
        {"step": 300, "episodes": 0.0, "disputed_asked": 0.6, "disputed_candidates": 0.5, "asked_now": 1.0}
        | {"mean_reward": 0.5, "std_reward": 2.0, "held_out_accuracy": 0.75},
        {"step": 416, "episodes": 1.0, "true_return": 7.0, "games": 2.0, "score": 30.0, "left": 4, "tie": 1}
        | {"handed_return": -1.0, "mean_reward": 1.5, "std_reward": 4.0},
    ]
    found = arm_result(short(), lines, episodes=[(1.0, 2.0)])
    assert found.curve == (4.0, 7.0)  # (1 + 3 * 5) / 4; a last round may go over the end
    assert found.learned_curve == (5.0, -1.0)
    assert found.scores == (None, 30.0)
    assert found.disagreement_asked == pytest.approx(0.3) and found.disagreement_candidates == pytest.approx(0.2)
    assert found.held_out_accuracy == 0.75
    assert (found.mean_reward, found.std_reward) == (1.0, 3.0)  # of the second half
    assert found.labels == {"left": 4, "tie": 1} and found.labels_given == 5
    assert found.episodes == ((1.0, 2.0),) and found.target_std is None
