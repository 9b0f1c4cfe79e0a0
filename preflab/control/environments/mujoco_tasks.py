"""The eight MuJoCo tasks of Christiano et al. 2017, with the changes of their appendix A: no early end, no torque cost.

All copies of a task step in one call of MuJoCo's own batched roll-out. A copy is its positions and velocities and
nothing else (the solver starts cold at each step), so that it can be stopped, taken up and drawn from them. Bodies are
those of Gymnasium's files. Horizons, clip lengths and what stands in for an early end are rl-teacher's, written by an
author of the paper; the paper itself lists no numbers.
"""

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from preflab.control.environments.env import Continuous, Spec, Step
from preflab.conversion import did_you_mean
from preflab.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Motion:
    """What a reward is made of, one row a copy."""

    qpos: Float64[np.ndarray, "env qpos"]
    qvel: Float64[np.ndarray, "env qvel"]
    speed: Float64[np.ndarray, " env"]
    """Of the first coordinate over the step, metres a second."""


Observe = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Positions and velocities, one row a copy -> observations."""
Reward = Callable[[Motion], np.ndarray]
Start = Callable[[np.random.Generator, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Task:
    """One task; functions take positions and velocities, one row a copy."""

    file: str
    """Of Gymnasium's bodies."""
    skip: int
    """Steps of the simulator in one of the agent."""
    fps: float
    horizon: int
    clip_steps: int
    observe: Observe
    reward: Reward
    start: Start


def _noisy_start(position: float, velocity: float, *, normal: bool = True) -> Start:
    """The body's own posture with noise: uniform on positions; normal, or uniform too, on velocities."""

    def start(rng: np.random.Generator, qpos: np.ndarray, nv: int) -> tuple[np.ndarray, np.ndarray]:
        qpos = qpos + rng.uniform(-position, position, qpos.size)
        return qpos, rng.normal(0, velocity, nv) if normal else rng.uniform(-velocity, velocity, nv)

    return start


def _start_reacher(rng: np.random.Generator, qpos: np.ndarray, nv: int) -> tuple[np.ndarray, np.ndarray]:
    """Arm nearly straight; the goal anywhere within 0.2 of the centre."""
    qpos = qpos + rng.uniform(-0.1, 0.1, qpos.size)
    angle, radius = rng.uniform(0, 2 * np.pi), 0.2 * np.sqrt(rng.uniform())
    qpos[2:] = radius * np.cos(angle), radius * np.sin(angle)
    return qpos, np.r_[rng.uniform(-0.005, 0.005, nv - 2), 0.0, 0.0]


def _to_goal(qpos: np.ndarray) -> np.ndarray:
    """From the goal to the fingertip, [env 2]; the links are 0.1 and 0.11 long."""
    first, both = qpos[:, 0], qpos[:, 0] + qpos[:, 1]
    tip = np.stack([0.1 * np.cos(first) + 0.11 * np.cos(both), 0.1 * np.sin(first) + 0.11 * np.sin(both)], axis=1)
    return np.asarray(tip - qpos[:, 2:4])


def _observe_reacher(qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
    angles = qpos[:, :2]
    return np.concatenate([np.cos(angles), np.sin(angles), qpos[:, 2:], qvel[:, :2], _to_goal(qpos)], axis=1)


def _observe_double_pendulum(qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
    angles = qpos[:, 1:]
    return np.concatenate([qpos[:, :1], np.sin(angles), np.cos(angles), np.clip(qvel, -10, 10)], axis=1)


def _double_reward(m: Motion) -> np.ndarray:
    """Gymnasium's, and ten times the tip's height above 1 in place of an end; poles are 0.6 long."""
    first, both = m.qpos[:, 1], m.qpos[:, 1] + m.qpos[:, 2]
    x = m.qpos[:, 0] + 0.6 * (np.sin(first) + np.sin(both))
    height = 0.6 * (np.cos(first) + np.cos(both))
    distance = 0.01 * x**2 + (height - 2) ** 2
    speed = 1e-3 * m.qvel[:, 1] ** 2 + 5e-3 * m.qvel[:, 2] ** 2
    return np.asarray(10 - distance - speed + 10 * (height - 1))


def _observe_from(first: int, limit: float = np.inf) -> Observe:
    """Positions from the ``first`` on, so that where it is along the way is hidden, and velocities."""
    return lambda qpos, qvel: np.concatenate([qpos[:, first:], np.clip(qvel, -limit, limit)], axis=1)


TASKS: dict[str, Task] = {
    "reacher": Task(
        "reacher.xml",
        2,
        10.0,
        50,
        15,
        _observe_reacher,
        lambda m: -np.linalg.norm(_to_goal(m.qpos), axis=1),
        _start_reacher,
    ),
    "pendulum": Task(
        "inverted_pendulum.xml",
        2,
        10.0,
        25,
        15,
        _observe_from(0),
        lambda m: 1 - m.qpos[:, 1] ** 2,
        _noisy_start(0.01, 0.01, normal=False),
    ),
    "double_pendulum": Task(
        "inverted_double_pendulum.xml",
        5,
        10.0,
        50,
        15,
        _observe_double_pendulum,
        _double_reward,
        _noisy_start(0.1, 0.1),
    ),
    "half_cheetah": Task(
        "half_cheetah.xml", 5, 20.0, 1000, 30, _observe_from(1), lambda m: m.speed, _noisy_start(0.1, 0.1)
    ),
    "ant": Task(
        "ant.xml", 5, 20.0, 1000, 30, _observe_from(2), lambda m: m.speed + m.qpos[:, 2] - 1.2, _noisy_start(0.1, 0.1)
    ),
    "walker": Task(
        "walker2d_v5.xml",
        4,
        30.0,
        1000,
        45,
        _observe_from(1, 10.0),
        lambda m: m.speed + 1 + m.qpos[:, 1] - 2,
        _noisy_start(0.005, 0.005, normal=False),
    ),
    "hopper": Task(
        "hopper.xml",
        4,
        40.0,
        1000,
        60,
        _observe_from(1, 10.0),
        lambda m: m.speed + 1 + m.qpos[:, 1] - 1,
        _noisy_start(0.005, 0.005, normal=False),
    ),
    "swimmer": Task(
        "swimmer.xml", 4, 40.0, 1000, 60, _observe_from(2), lambda m: m.speed, _noisy_start(0.1, 0.1, normal=False)
    ),
}
"""Rewards in which a term of Gymnasium's and one of rl-teacher's cancel (the torque cost) are written without it."""


def task_named(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in TASKS:
        raise ConfigError(f"no task {name!r}{did_you_mean(name, list(TASKS)) or '; known are ' + ', '.join(TASKS)}")
    return TASKS[name]


def load_body(file: str) -> Any:
    """A compiled model of one of Gymnasium's bodies.

    Raises:
        ConfigError: ``mujoco`` or ``gymnasium`` is not installed.
    """
    spec = importlib.util.find_spec("gymnasium")
    if spec is None or importlib.util.find_spec("mujoco") is None:
        raise ConfigError("MuJoCo tasks need the packages mujoco and gymnasium: pip install 'preflab[control]'")
    import mujoco

    path = Path(str(spec.origin)).parent / "envs" / "mujoco" / "assets" / file
    text = path.read_text("utf-8")
    mass = re.search(r'\s+settotalmass="([\d.]+)"', text)  # deprecated in the file: it warns on the terminal
    model = mujoco.MjModel.from_xml_string(text.replace(mass.group(0), "") if mass else text)
    if mass:
        mujoco.mj_setTotalmass(model, float(mass.group(1)))
    return model


class MujocoEnv:
    """Copies of a task.

    Args:
        task     a name in `TASKS`.
        n        copies.
        seed     where each copy's episodes start; they depend on it, the copy and the episode's number alone.
        horizon  steps of an episode, where not the task's own.
        threads  of the simulator beside this one; 0: none.
        observe  what the agent sees, where not the task's own observations.
    """

    def __init__(
        self,
        task: str,
        n: int,
        *,
        seed: int = 0,
        horizon: int | None = None,
        threads: int = 0,
        observe: Observe | None = None,
    ) -> None:
        self.task, self.n, self.seed = task_named(task), n, seed
        self._observe = observe or self.task.observe
        self.model = load_body(self.task.file)
        import mujoco
        from mujoco import rollout

        if n < 1:
            raise ConfigError(f"expected at least one copy, got {n}")
        model = self.model
        ctrl = model.actuator_ctrlrange
        self._dt = float(model.opt.timestep) * self.task.skip
        self._rollout = rollout.Rollout(nthread=threads)
        self._data = [mujoco.MjData(model) for _ in range(max(1, threads))]
        self._full = np.zeros((n, mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)))
        self._episode = np.zeros(n, dtype=np.int64)
        self._at = np.zeros(n, dtype=np.int64)
        for i in range(n):
            self._begin(i)
        self.observations = self._observations()
        steps = self.task.horizon if horizon is None else horizon
        self.spec = Spec(
            name=task,
            obs_shape=self.observations.shape[1:],
            actions=Continuous(int(model.nu), float(ctrl[:, 0].max()), float(ctrl[:, 1].min())),
            horizon=steps,
            clip_steps=min(self.task.clip_steps, max(1, steps)),
            fps=self.task.fps,
        )

    def _begin(self, i: int) -> None:
        """Put a copy at the start of its next episode."""
        rng = np.random.default_rng((self.seed, i, int(self._episode[i])))
        qpos, qvel = self.task.start(rng, np.array(self.model.qpos0), int(self.model.nv))
        self._full[i] = np.r_[0.0, qpos, qvel, np.zeros(self._full.shape[1] - 1 - qpos.size - qvel.size)]
        self._episode[i] += 1
        self._at[i] = 0

    def _split(self) -> tuple[np.ndarray, np.ndarray]:
        nq, nv = int(self.model.nq), int(self.model.nv)
        return self._full[:, 1 : 1 + nq], self._full[:, 1 + nq : 1 + nq + nv]

    def _observations(self) -> Float[np.ndarray, "env obs"]:
        return self._observe(*self._split()).astype(np.float32)

    def step(self, actions: Float[np.ndarray, "env act"]) -> Step:
        """Hold the actions, clipped to the motors' range, for one step."""
        bounds = self.spec.actions
        assert isinstance(bounds, Continuous)
        before = self._full[:, 1].copy()
        control = np.clip(np.asarray(actions, dtype=np.float64), bounds.low, bounds.high)[:, None, :]
        states, _ = self._rollout.rollout(
            self.model, self._data, self._full, np.repeat(control, self.task.skip, axis=1)
        )
        self._full = states[:, -1].copy()
        qpos, qvel = self._split()
        reward = self.task.reward(Motion(qpos, qvel, (qpos[:, 0] - before) / self._dt))
        final = self._observations()
        self._at += 1
        dones = self._at >= self.spec.horizon
        for i in np.flatnonzero(dones):
            self._begin(int(i))
        self.observations = self._observations() if dones.any() else final
        return Step(self.observations, np.asarray(reward, dtype=np.float64), dones, final)

    def render_states(self) -> Float[np.ndarray, "env state"]:
        """Positions of every joint."""
        return self._split()[0].astype(np.float32)

    def state(self) -> dict[str, Tensor]:
        """Positions, velocities, and how far each copy is."""
        return {
            "full": torch.from_numpy(self._full.copy()),
            "episode": torch.from_numpy(self._episode.copy()),
            "at": torch.from_numpy(self._at.copy()),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another was.

        Raises:
            ConfigError: that one had another body or another number of copies.
        """
        full = state["full"].numpy()
        if full.shape != self._full.shape:
            raise ConfigError(f"a state of {full.shape} does not fit {self.n} copies of {self.spec.name}")
        self._full, self._episode, self._at = full.copy(), state["episode"].numpy().copy(), state["at"].numpy().copy()
        self.observations = self._observations()
