"""The protocol of environments: many copies side by side, fixed horizons, the true reward kept from the agent.

Christiano et al. 2017, appendix A: episodes of varying length would tell the agent what is good, so none ends early.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor

from preflab.errors import ConfigError, ContractError


@dataclass(frozen=True)
class Continuous:
    """Actions that are vectors; what lies outside the bounds is clipped to them before the environment sees it."""

    size: int
    low: float = -1.0
    high: float = 1.0


@dataclass(frozen=True)
class Discrete:
    """Actions that are numbers from 0."""

    n: int


Actions: TypeAlias = Continuous | Discrete


@dataclass(frozen=True)
class Spec:
    """What does not change while an environment runs."""

    name: str
    obs_shape: tuple[int, ...]
    actions: Actions
    horizon: int
    """Steps of every episode."""
    clip_steps: int
    """Steps of the clips that are compared: one to two seconds."""
    fps: float
    """Frames a second at which people see clips."""
    frames_per_step: int = 1
    """Frames of the game in one step; label schedules count frames where a paper does."""

    def __post_init__(self) -> None:
        if min(self.horizon, self.clip_steps, self.frames_per_step) < 1 or self.fps <= 0:
            raise ConfigError(f"horizon, clip_steps, frames_per_step and fps must be above 0, got {self}")
        if self.clip_steps > self.horizon:
            raise ConfigError(f"{self.name}: clips of {self.clip_steps} steps do not fit episodes of {self.horizon}")


@dataclass(frozen=True, eq=False)
class Step:
    """What one step of all copies gave."""

    observations: Shaped[np.ndarray, "env ..."]
    """[env ...], what the agent sees next; where an episode ended, the first of the next one."""
    true_reward: Float64[np.ndarray, " env"]
    """For the oracle and for reports alone."""
    dones: Bool[np.ndarray, " env"]
    """Whether an episode ended: the horizon was reached, or the task came to an end."""
    final_observations: Shaped[np.ndarray, "env ..."]
    """[env ...], before any reset; the same as ``observations`` where no episode ended."""
    terminations: Bool[np.ndarray, " env"] | None = None
    """Ends that are the task's own, after which the value is 0; None: the task has none."""


@runtime_checkable
class VectorEnv(Protocol):
    """So many copies of an environment; all start at construction.

    The whole future depends on `state` and the actions: an environment that is given another's state goes on as it.
    """

    spec: Spec
    n: int
    """Copies."""
    observations: Shaped[np.ndarray, "env ..."]
    """[env ...], what the agent sees now; a new array at every step, so that it may be kept."""

    def step(self, actions: Shaped[np.ndarray, "env ..."]) -> Step:
        """Act in every copy: [env size] floats for `Continuous`, [env] whole numbers for `Discrete`."""
        ...

    def render_states(self) -> Float[np.ndarray, "env state"] | None:
        """State of each copy that a renderer draws it from; None where observations are pictures."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        ...


def checked_step(env: VectorEnv, actions: Shaped[np.ndarray, "env ..."]) -> Step:
    """Act in every copy, and check what comes back: a reward that broadcasts would train on without a word.

    Raises:
        ContractError: an array is not [env ...] of its kind of numbers, or not finite.
    """
    step, n, name = env.step(actions), env.n, env.spec.name
    _check_array(name, "observations", step.observations, (n, *env.spec.obs_shape), "fiub")
    _check_array(name, "true_reward", step.true_reward, (n,), "fiu")
    _check_array(name, "dones", step.dones, (n,), "b")
    if step.terminations is not None:
        _check_array(name, "terminations", step.terminations, (n,), "b")
    if step.dones.any():
        _check_array(name, "final_observations", step.final_observations, (n, *env.spec.obs_shape), "fiub")
    return step


def _check_array(name: str, field: str, array: object, shape: tuple[int, ...], kinds: str) -> None:
    """Refuse what is no array of this shape and of one of these kinds of numbers (numpy's letters), or not finite."""
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype.kind not in kinds:
        kind = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
        numbers = "booleans" if kinds == "b" else "numbers"
        raise ContractError(
            f"environment {name}: expected {field} as an array of {numbers} {list(shape)}, found {kind}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ContractError(f"environment {name}: its {field} are not finite")


@runtime_checkable
class Renderer(Protocol):
    """Draws a state of `VectorEnv.render_states`, or an observation that is a picture."""

    def __call__(self, state: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "height width 3"]:
        """One picture, [height width 3], uint8."""
        ...
