"""Atari games as Christiano et al. 2017 play them (appendix A.2): one unending episode of blanked, stacked screens.

Each copy is an emulator of its own, stepped in a loop: ale-py's batched environment gives no state away. The emulator's
own snapshots are not exact in every game (a restored Qbert drifts), so that a state is the actions since the game
began, and going on from it plays them again: exact, at some ten thousand frames a second.
"""

import importlib.util
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from preflab.control.environments.atari_games import HEIGHT, SIDE, WIDTH, game_named, small_screen
from preflab.control.environments.env import Discrete, Spec, Step
from preflab.errors import ConfigError

STACK = 4
"""Screens in an observation, the oldest first."""
SKIP = 4
"""Frames that an action is held."""
MOST_NOOPS = 30
"""A game begins with 0 to so many frames without action."""
MOST_FRAMES = 108_000
"""Half an hour, after which a game is broken off; no penalty for that."""
_FOREVER = 2**31 - 1


class AtariEnv:
    """Copies of a game, without score, lives or ends.

    The true reward of a step is the game's, clipped to [-1, 1], and a penalty where a life was lost or a game ended
    (not in Pong). It is 1, the most that a step can earn: the paper names no size. Its wrappers end an episode with
    each life, so that each counts; ``penalise="game"`` counts ended games alone.

    Args:
        game      a name in `atari_games.GAMES`.
        n         copies.
        seed      of the frames without action; they depend on it, the copy and the game's number alone.
        penalty   taken from the true reward.
        penalise  what for.

    Raises:
        ConfigError: ``ale-py`` is not installed, or there is no such game.
    """

    def __init__(
        self,
        game: str,
        n: int,
        *,
        seed: int = 0,
        penalty: float = 1.0,
        penalise: Literal["life", "game"] = "life",
    ) -> None:
        self.game, self.n, self.seed = game_named(game), n, seed
        self.penalty, self.penalise = penalty if self.game.end_penalty else 0.0, penalise
        if n < 1 or penalty < 0 or penalise not in ("life", "game"):
            raise ConfigError(f"expected copies, a penalty of at least 0 and life or game, got {n, penalty, penalise}")
        self._rom = _rom_of(game)
        self._emulators = [_emulator(self._rom) for _ in range(n)]
        self._actions = list(self._emulators[0].getMinimalActionSet())
        self._older, self._newer = (np.zeros((HEIGHT, WIDTH), np.uint8) for _ in range(2))
        self._games = np.zeros(n, dtype=np.int64)
        self._played = [bytearray() for _ in range(n)]
        self._lives = np.zeros(n, dtype=np.int64)
        self._scores = np.zeros(n)
        self._finished: list[float] = []
        first = np.stack([self._begin(i) for i in range(n)])
        self.observations: UInt8[np.ndarray, "env stack height width"] = np.repeat(first[:, None], STACK, axis=1)
        self.spec = Spec(
            name=game,
            obs_shape=(STACK, SIDE, SIDE),
            actions=Discrete(len(self._actions)),
            horizon=_FOREVER,
            clip_steps=25,
            fps=15.0,
            frames_per_step=SKIP,
        )

    def _begin(self, i: int) -> UInt8[np.ndarray, "84 84"]:
        """Start a copy's next game; its first screen."""
        emulator = self._emulators[i]
        if self.game.loaded_anew:
            emulator.loadROM(self._rom)
        else:
            emulator.reset_game()
        rng = np.random.default_rng((self.seed, i, int(self._games[i])))
        for _ in range(int(rng.integers(MOST_NOOPS + 1))):
            emulator.act(0)
        self._games[i] += 1
        self._played[i].clear()
        self._lives[i], self._scores[i] = emulator.lives(), 0.0
        emulator.getScreenGrayscale(self._newer)
        return small_screen(self.game, self._newer)

    def _hold(self, i: int, action: int) -> float:
        """Hold an action; the game's own reward. The last two frames are left in the buffers."""
        emulator, reward = self._emulators[i], 0.0
        for frame in range(SKIP):
            reward += emulator.act(self._actions[action])
            if frame == SKIP - 2:
                emulator.getScreenGrayscale(self._older)
            if emulator.game_over():
                break
        self._played[i].append(action)
        return reward

    def _advance(self, i: int, action: int) -> tuple[float, UInt8[np.ndarray, "84 84"]]:
        """One step of one copy: true reward and screen."""
        emulator = self._emulators[i]
        score = self._hold(i, action)
        self._scores[i] += score
        reward, lives = float(np.clip(score, -1, 1)), int(emulator.lives())
        over, lost = bool(emulator.game_over(with_truncation=False)), lives < self._lives[i]
        if over or (lost and self.penalise == "life"):
            reward -= self.penalty
        self._lives[i] = lives
        if emulator.game_over():
            self._finished.append(float(self._scores[i]))
            return reward, self._begin(i)
        emulator.getScreenGrayscale(self._newer)
        return reward, small_screen(self.game, np.maximum(self._older, self._newer))

    def step(self, actions: Int[np.ndarray, " env"]) -> Step:
        """Hold an action in every copy for four frames.

        Where a game ends, the next one begins at once. The stack goes on with its first screen, and no step is done.

        Raises:
            ConfigError: an action is not in the game.
        """
        actions = np.asarray(actions)
        if actions.shape != (self.n,) or not ((actions >= 0) & (actions < len(self._actions))).all():
            raise ConfigError(f"expected {self.n} actions from 0 to {len(self._actions) - 1}, got {actions}")
        steps = [self._advance(i, action) for i, action in enumerate(actions.tolist())]
        screens = np.stack([screen for _, screen in steps])
        self.observations = np.concatenate([self.observations[:, 1:], screens[:, None]], axis=1)
        rewards = np.array([reward for reward, _ in steps])
        return Step(self.observations, rewards, np.zeros(self.n, dtype=bool), self.observations)

    def finished_scores(self) -> list[float]:
        """Scores, not clipped, of the games that ended since the last call, in order."""
        scores, self._finished = self._finished, []
        return scores

    def render_states(self) -> None:
        """Observations are pictures."""

    def state(self) -> dict[str, Tensor]:
        """The screens, the number of each copy's game and the actions in it so far."""
        return {
            "screens": torch.from_numpy(self.observations.copy()),
            "games": torch.from_numpy(self._games.copy()),
            "lengths": torch.tensor([len(actions) for actions in self._played]),
            "played": torch.from_numpy(np.frombuffer(b"".join(self._played), dtype=np.uint8).copy()),
            "finished": torch.tensor(self._finished, dtype=torch.float64),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another was, by playing its games so far again.

        Raises:
            ConfigError: that one had another number of copies.
        """
        if len(state["games"]) != self.n:
            raise ConfigError(f"a state of {len(state['games'])} copies does not fit {self.n} of {self.spec.name}")
        played = np.split(state["played"].numpy(), np.cumsum(state["lengths"].numpy())[:-1])
        self._games = state["games"].numpy() - 1
        for i, actions in enumerate(played):
            self._begin(i)
            for action in actions.tolist():
                self._scores[i] += self._hold(i, action)
            self._lives[i] = self._emulators[i].lives()
        self._finished = state["finished"].tolist()
        self.observations = state["screens"].numpy().copy()


def _rom_of(game: str) -> Any:
    """Path of a cartridge; they come with ale-py."""
    if importlib.util.find_spec("ale_py") is None:
        raise ConfigError("Atari games need the package ale-py: pip install 'preflab[control]'")
    import ale_py
    from ale_py import roms

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    return roms.get_rom_path(game)


def _emulator(rom: Any) -> Any:
    """An emulator without chance."""
    import ale_py

    emulator = ale_py.ALEInterface()
    emulator.setInt("random_seed", 1)
    emulator.setInt("max_num_frames_per_episode", MOST_FRAMES)
    emulator.setFloat("repeat_action_probability", 0.0)
    emulator.loadROM(rom)
    return emulator
