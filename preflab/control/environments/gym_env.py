"""Copies of any Gymnasium environment, with a fixed horizon.

An episode that ends when something good or bad happens tells the agent what is good without any label: a constant
reward, or one of the wrong sign, may then look like success (Christiano et al. 2017, appendix A, takes such ends away).
So an early end is refused unless it is asked for. Time limits of the environment are replaced by the horizon.

A copy is taken up again by replay: the seed of its episode and the actions since. That is exact wherever all chance of
an environment comes from its seed, and is checked against what was seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from preflab.control.environments.env import Actions, Continuous, Discrete, Spec, Step
from preflab.errors import ConfigError, ContractError, DataError, RunError

Ends: TypeAlias = Literal["refuse", "hide", "show"]

LEAK = (
    "episodes of varying length tell the agent what is good whatever its reward, so that a result says nothing of the "
    "labels. Use a version of the task that does not end early; or ends='hide': the copy is reset without "
    "telling the agent, and its episode goes on; or, for a lesson in what goes wrong, ends='show'"
)


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """How long episodes are, what an early end does, and which clips of them are shown how fast.

    Raises:
        ConfigError: ``ends`` is none of its three.
    """

    horizon: int | None = None
    """Steps of every episode; None: the time limit that comes with the environment's id."""
    ends: Ends = "refuse"
    """An end before the horizon: ``refuse`` is an error; ``hide`` resets the copy without telling the agent, and counts
    it in ``early_ends``; ``show`` ends the episode."""
    clip_steps: int | None = None
    """Steps of the clips that are compared; None: 1.5 seconds."""
    fps: float | None = None
    """Frames a second; None: the environment's."""

    def __post_init__(self) -> None:
        if self.ends not in get_args(Ends):
            raise ConfigError(f"ends must be refuse, hide or show, got {self.ends!r}")


DEFAULT_EPISODES = EpisodeConfig()


def episode_seed(seed: int, copy: int, episode: int, restart: int = 0) -> int:
    """What a copy is reset with: a seed below 2^63 for each episode, and each start within it."""
    drawn = np.random.SeedSequence((seed, copy, episode, restart)).generate_state(1, np.uint64)
    return int(drawn[0] >> np.uint64(1))


class GymEnv:
    """Copies of a Gymnasium environment, stepped one by one. `make_gym` has faster ones for two tasks.

    Observations of any shape are flattened to float32 [env obs]. Actions are `Discrete`, or `Continuous` and flattened;
    where the bounds of a vector's parts differ, -1 and 1 stand for each part's own.

    Args:
        make      an environment's id, or a function that makes one.
        n         copies.
        seed      where episodes start; each depends on it, the copy and the episode's number alone.
        episodes  their length, and what an early end does.
        options   keyword arguments of ``gymnasium.make``, where ``make`` is an id.

    Raises:
        ConfigError: ``make`` is an environment in place of a function, or returns the same one twice; no such
            environment, something it needs is not installed, it has neither time limit nor
            ``episodes.horizon``, or its spaces are not Box and Box or Discrete.
    """

    def __init__(
        self,
        make: str | Callable[[], Any],
        n: int,
        *,
        seed: int = 0,
        episodes: EpisodeConfig = DEFAULT_EPISODES,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if n < 1:
            raise ConfigError(f"expected at least one copy, got {n}")
        copies = [_make_copy(make, options or {}) for _ in range(n)]
        _refuse_shared([env for env, _, _ in copies], copies[0][2])
        self._envs, self.n, self.seed, self.ends = [env for env, _, _ in copies], n, seed, episodes.ends
        _, limit, name = copies[0]
        self.early_ends = 0
        """Ends before the horizon so far, of all copies."""
        self._actions = _Actions(self._envs[0].action_space, name)
        self.spec = gym_spec(
            name,
            _obs_shape(self._envs[0].observation_space, name),
            self._actions.kind,
            episodes,
            limit=limit,
            fps=float(self._envs[0].metadata.get("render_fps") or 30),
        )
        self._episode = np.full(n, -1, dtype=np.int64)
        self._at = np.zeros(n, dtype=np.int64)
        self._restarts = np.zeros(n, dtype=np.int64)
        self._taken = np.zeros((n, self.spec.horizon, self._actions.size))
        """Actions of each copy's episode so far, to replay."""
        self.observations = np.zeros((n, *self.spec.obs_shape), dtype=np.float32)
        for i in range(n):
            self._begin(i)

    def _begin(self, i: int) -> None:
        self._episode[i] += 1
        self._at[i] = self._restarts[i] = 0
        self._reset(i)

    def _reset(self, i: int) -> None:
        start = episode_seed(self.seed, i, int(self._episode[i]), int(self._restarts[i]))
        returned = self._envs[i].reset(seed=start)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ContractError(
                f"{self._where(i)}: expected reset() to return (observation, info), as gymnasium has it"
            )
        self.observations[i] = self._flat(i, returned[0])

    def _flat(self, i: int, observation: Any) -> Float[np.ndarray, " obs"]:
        """An observation as a row of numbers.

        Raises:
            ContractError: it has another size than the space, which would be spread over the row, or is no numbers.
        """
        array = np.asarray(observation)
        if array.dtype.kind not in "fiub" or array.size != self.observations[i].size:
            raise ContractError(
                f"{self._where(i)}: expected an observation of shape {self._envs[i].observation_space.shape}, found "
                f"{array.dtype} of shape {array.shape}"
            )
        return array.astype(np.float32).reshape(-1)

    def _number(self, i: int, reward: Any) -> float:
        """A reward as a number.

        Raises:
            ContractError: it is none, or several.
        """
        array = np.asarray(reward)
        if array.dtype.kind not in "fiub" or array.size != 1:
            raise ContractError(
                f"{self._where(i)}: expected a reward that is one number, found {type(reward).__name__} of shape "
                f"{array.shape}"
            )
        return float(array.reshape(()))

    def step(self, actions: Shaped[np.ndarray, "env ..."]) -> Step:
        """Act in every copy.

        Raises:
            ConfigError: an episode ended early and that is refused.
            DataError: a reward or an observation is not finite.
            ContractError: a reward is not one number, or an observation has another shape than its space.
        """
        rewards, dones = np.zeros(self.n), np.zeros(self.n, dtype=bool)
        terminations, final = dones.copy(), np.zeros_like(self.observations)
        rows = np.asarray(actions, dtype=np.float64).reshape(self.n, -1)
        self.observations = self.observations.copy()  # what was handed out stays as it was
        for i in range(self.n):
            rewards[i], over, terminations[i] = self._act(i, rows[i], final)
            dones[i] = over or self._at[i] >= self.spec.horizon
            if dones[i]:
                self._begin(i)
        return Step(self.observations, rewards, dones, final, terminations)

    def _act(self, i: int, action: np.ndarray, final: np.ndarray) -> tuple[float, bool, bool]:
        """One step of one copy: its reward, whether it is to end here, and whether by the task's own doing."""
        self._taken[i, self._at[i]] = action
        returned = self._envs[i].step(self._actions.to_space(action))
        if not isinstance(returned, tuple) or len(returned) != 5:
            raise ContractError(
                f"{self._where(i)}: expected step() to return (observation, reward, terminated, truncated, info), as "
                "gymnasium has it; wrap an environment of the older gym in shimmy's GymV21Compatibility"
            )
        observation, terminated, truncated = returned[0], returned[2], returned[3]
        reward = self._number(i, returned[1])
        self._at[i] += 1
        final[i] = self.observations[i] = self._flat(i, observation)
        if not (np.isfinite(reward) and np.isfinite(final[i]).all()):
            quantity = f"reward {reward}" if not np.isfinite(reward) else "observation"
            raise DataError(f"{self._where(i)}: the environment's {quantity} is not finite")
        if not (terminated or truncated):
            return reward, False, False
        if self.ends == "show":
            self.early_ends += int(self._at[i] < self.spec.horizon)
            return reward, True, bool(terminated)
        if self._at[i] < self.spec.horizon:
            if self.ends == "refuse":
                why = "terminated" if terminated else "was cut off by a time limit of its own"
                raise ConfigError(f"{self._where(i)}: the episode {why} before its horizon; {LEAK}")
            self.early_ends += 1
            self._restarts[i] += 1
            self._reset(i)
            final[i] = self.observations[i]
        return reward, False, False

    def _where(self, i: int) -> str:
        return f"{self.spec.name}, copy {i}, episode {self._episode[i]}, step {self._at[i]} of {self.spec.horizon}"

    def render_states(self) -> Float[np.ndarray, "env state"]:
        """The observations: a renderer that knows the task can draw from them."""
        return self.observations.copy()

    def state(self) -> dict[str, Tensor]:
        """Which episode each copy is in, the actions since it began, and what it sees, to be checked."""
        longest = int(self._at.max())
        return {
            "episode": torch.from_numpy(self._episode.copy()),
            "at": torch.from_numpy(self._at.copy()),
            "taken": torch.from_numpy(self._taken[:, :longest].copy()),
            "observations": torch.from_numpy(self.observations.copy()),
            "early_ends": torch.tensor(self.early_ends),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Start each copy's episode again and repeat its actions.

        Raises:
            ConfigError: the state is of another number of copies, or of another task.
            RunError: a copy does not see what it saw: the environment draws on more than its seed.
        """
        expected, taken = state["observations"].numpy(), state["taken"].numpy()
        if expected.shape != self.observations.shape or taken.shape[2] != self._actions.size:
            raise ConfigError(
                f"a state of observations {expected.shape} does not fit {self.n} copies of {self.spec.name}"
            )
        self.observations, final = self.observations.copy(), np.zeros_like(self.observations)
        for i, (episode, at) in enumerate(zip(state["episode"].tolist(), state["at"].tolist(), strict=True)):
            self._episode[i] = episode - 1
            self._begin(i)
            for action in taken[i, :at]:
                self._act(i, action, final)
            if not np.array_equal(self.observations[i], expected[i]):
                raise RunError(
                    f"{self._where(i)}: replayed from its seed, the episode is another one, so that it cannot be taken "
                    "up where it was. All chance in an environment must come from reset(seed=...)"
                )
        self.early_ends = int(state["early_ends"])


def gym_spec(
    name: str, obs_shape: tuple[int, ...], actions: Actions, episodes: EpisodeConfig, *, limit: int | None, fps: float
) -> Spec:
    """The specification of a Gymnasium task.

    Args:
        limit  the environment's own time limit in steps, if it has one.
        fps    the environment's own frames a second.

    Raises:
        ConfigError: there is no horizon.
    """
    horizon = limit if episodes.horizon is None else episodes.horizon
    fps = fps if episodes.fps is None else episodes.fps
    if horizon is None:
        raise ConfigError(f"{name} has no time limit of its own: say how many steps an episode has, horizon=...")
    length = min(horizon, max(1, round(1.5 * fps))) if episodes.clip_steps is None else episodes.clip_steps
    return Spec(name=name, obs_shape=obs_shape, actions=actions, horizon=horizon, clip_steps=length, fps=fps)


class _Actions:
    """From the loop's actions to those of a Gymnasium space."""

    def __init__(self, space: Any, name: str) -> None:
        from gymnasium.spaces import Box
        from gymnasium.spaces import Discrete as Numbers

        self.space = space
        self.kind: Actions
        if isinstance(space, Numbers):
            self.kind, self.size = Discrete(int(space.n)), 1
        elif isinstance(space, Box):
            self.low, self.high = (np.asarray(end, dtype=np.float64).reshape(-1) for end in (space.low, space.high))
            self.size = int(self.low.size)
            same = bool((self.low == self.low[0]).all() and (self.high == self.high[0]).all())
            self.scaled = not same and bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())
            ends = (float(self.low.min()), float(self.high.max())) if not self.scaled else (-1.0, 1.0)
            self.kind = Continuous(self.size, *ends)
        else:
            raise ConfigError(f"{name}: actions must be Box or Discrete, got {space}")

    def to_space(self, action: Float[np.ndarray, " size"]) -> Any:
        """The action as the environment takes it."""
        if isinstance(self.kind, Discrete):
            return int(action[0]) + int(self.space.start)
        if self.scaled:
            action = self.low + (np.clip(action, -1, 1) + 1) / 2 * (self.high - self.low)
        return np.clip(action, self.low, self.high).astype(self.space.dtype).reshape(self.space.shape)


def _obs_shape(space: Any, name: str) -> tuple[int, ...]:
    from gymnasium.spaces import Box

    if not isinstance(space, Box):
        raise ConfigError(f"{name}: observations must be Box, got {space}; wrap it in FlattenObservation")
    return (int(np.prod(space.shape)),)


def _make_copy(make: str | Callable[[], Any], options: Mapping[str, Any]) -> tuple[Any, int | None, str]:
    """One environment without its time limit, that limit, and its name."""
    try:
        import gymnasium
    except ImportError as error:
        raise ConfigError("this environment needs the package gymnasium: pip install 'preflab[control]'") from error
    if not isinstance(make, str):
        if isinstance(make, gymnasium.Env) or not callable(make):
            raise ConfigError(
                f"expected an environment's id or a function that makes one, found {_kind(make)}. Every copy needs an "
                f"environment of its own: pass the class, or lambda: {type(make).__name__}(...)"
            )
        env, limit = make(), None
        if not isinstance(env, gymnasium.Env):
            raise ConfigError(f"expected a function that returns a gymnasium.Env, but it returned {_kind(env)}")
        name = str(env.spec.id) if getattr(env, "spec", None) is not None else type(env.unwrapped).__name__
        return *_without_limit(env), name
    try:
        if make.startswith("ALE/"):
            import ale_py  # its games are known to gymnasium once it is imported

            gymnasium.register_envs(ale_py)
        limit = gymnasium.spec(make).max_episode_steps
        env = gymnasium.make(make, max_episode_steps=-1, disable_env_checker=True, **options)
    except (gymnasium.error.Error, ImportError) as error:
        hint = f"; pip install {error.name}" if isinstance(error, ImportError) and error.name else ""
        raise ConfigError(f"environment {make!r} cannot be made: {error}{hint}") from error
    return env, limit, make


def _kind(thing: object) -> str:
    return f"an instance of {type(thing).__name__}"


def _refuse_shared(envs: Sequence[Any], name: str) -> None:
    """Refuse one environment behind several copies, whatever is wrapped around it: every copy would act in it.

    Raises:
        ConfigError: two copies are the same.
    """
    first_copy: dict[int, int] = {}
    for i, env in enumerate(envs):
        if (same := first_copy.setdefault(id(env.unwrapped), i)) != i:
            raise ConfigError(
                f"{name}: copy {i} is the same environment as copy {same}. The function must make a new one at every "
                f"call, as lambda: {type(env.unwrapped).__name__}(...) does"
            )


def _without_limit(env: Any) -> tuple[Any, int | None]:
    """The environment and the limit of the `TimeLimit` that was taken out, wherever among its wrappers it was."""
    import gymnasium

    if isinstance(env, gymnasium.wrappers.TimeLimit):
        return env.env, int(env._max_episode_steps)
    if isinstance(env, gymnasium.Wrapper):
        env.env, limit = _without_limit(env.env)
        return env, limit
    return env, None
