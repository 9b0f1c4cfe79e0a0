"""Learning on the way: what the agent is handed, and that the whole is what it did."""

from typing import Any

import numpy as np

from preflab.control.interleaved_updates import collect_with_updates
from preflab.control.trajectory import Trajectory
from tests.control.walk import Walk


class Counts:
    """Goes faster with each update, and keeps what it was handed."""

    def __init__(self) -> None:
        self.handed: list[np.ndarray] = []

    def act(self, observations: np.ndarray) -> np.ndarray:
        return np.full((len(observations), 1), 0.25 * len(self.handed), dtype=np.float32)

    def update(self, stretch: Trajectory, rewards: np.ndarray) -> dict[str, float]:
        self.handed.append(rewards)
        return {"number": float(len(self.handed)), "size": float(rewards.size)}

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Any) -> None:
        pass


def test_each_part_is_learned_from_before_the_next_is_acted() -> None:
    agent = Counts()
    stretch, acted = collect_with_updates(Walk(2, horizon=9), agent, lambda part: 10 * part.true_reward, 6, 2)
    assert stretch.actions[:, 0, 0].tolist() == [0, 0, 0.25, 0.25, 0.5, 0.5]
    assert stretch.true_reward[:, 1].tolist() == [0, 0, 0.25, 0.5, 1.0, 1.5]
    assert np.array_equal(acted.rewards, 10 * stretch.true_reward)
    assert np.array_equal(np.concatenate(agent.handed), acted.rewards)
    assert acted.metrics == {"number": 2.0, "size": 4.0}  # means of 1, 2, 3 and of 4
