"""A tiny environment for tests: each copy stands on a line, an action moves it, being right of 0 is good."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from preflab.control.environments.env import Continuous, Spec, Step


class Walk:
    """So many copies; an episode begins at 0, and the goal is as far to the right as an action of 1 a step can go."""

    def __init__(self, n: int, horizon: int = 5) -> None:
        self.n = n
        self.spec = Spec("walk", (2,), Continuous(1), horizon=horizon, clip_steps=min(3, horizon), fps=10.0)
        self._at, self._step = np.zeros(n), np.zeros(n, dtype=np.int64)
        self.observations = self._seen()

    def _seen(self) -> np.ndarray:
        return np.stack([self._at, self._step], axis=1).astype(np.float32)

    def step(self, actions: np.ndarray) -> Step:
        self._at = self._at + np.clip(actions[:, 0], -1, 1)
        self._step = self._step + 1
        reward, final, dones = self._at.copy(), self._seen(), self._step >= self.spec.horizon
        self._at, self._step = np.where(dones, 0.0, self._at), np.where(dones, 0, self._step)
        self.observations = self._seen()
        return Step(self.observations, reward, dones, final)

    def render_states(self) -> np.ndarray:
        return self._at[:, None].astype(np.float32)

    def state(self) -> dict[str, Tensor]:
        return {"at": torch.from_numpy(self._at.copy()), "step": torch.from_numpy(self._step.copy())}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._at, self._step = state["at"].numpy().copy(), state["step"].numpy().copy()
        self.observations = self._seen()
