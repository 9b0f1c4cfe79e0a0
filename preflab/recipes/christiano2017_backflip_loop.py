"""The loop of the backflip: act, cut clips, ask, learn a reward from what was answered, improve the policy on it.

One process; everything that is drawn is keyed by seed and number, and a checkpoint holds all the rest, so that a run
that was killed goes on as if it had not been. People are not repeatable: which answers each update was handed is in a
journal, on the disk before they are used, and a run that goes on from an older checkpoint is handed the same ones at
the same updates. It so comes to the same clips under the same numbers as before, and what was put up stays true.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import sleep
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from preflab.control.archive import ClipArchive
from preflab.control.clips import Clip, ClipStore, pair_key
from preflab.control.ensemble import EnsembleConfig, RewardEnsemble
from preflab.control.labels import Label, Labels
from preflab.control.mujoco_tasks import MujocoEnv
from preflab.control.ppo import PPO, PPOConfig
from preflab.control.predictor import MLP
from preflab.control.saving import prefixed, under
from preflab.control.stretch import Stretch, collect
from preflab.errors import DataError
from preflab.maths.queries import labels_due, most_disputed

PITCH = 1
"""Where a hopper's observation has the pitch."""


class TurningHopper(MujocoEnv):
    """The hopper, whose pitch is seen within half a turn of upright: it may turn as often as it likes."""

    def _observed(self) -> Float[np.ndarray, "env obs"]:
        seen = super()._observed().copy()
        seen[:, PITCH] = (seen[:, PITCH] + np.pi) % (2 * np.pi) - np.pi
        return seen


@runtime_checkable
class Labeller(Protocol):
    """Whoever compares clips, at once or later."""

    def ask(self, pairs: list[tuple[Clip, Clip]], step: int) -> int:
        """Put up pairs; asked again they change nothing."""
        ...

    def answers(self) -> list[Label]:
        """Answers that were not handed over yet; never waits."""
        ...


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long the loop is, and how often it asks."""

    steps: int
    """Environment steps, over all copies."""
    first_steps: int
    """Of the untrained policy, from which the first queries are made; a whole number of stretches of all copies."""
    queries: int
    first_share: float = 0.25
    """Of the queries that are made before the policy learns (appendix A.1)."""
    horizon: int = 250
    """Steps of an episode, two seconds of the hopper's time; of the task's own 1,000 most are spent on the ground."""
    copies: int = 16
    stretch: int = 125
    """Steps of each copy between updates; the horizon is a whole multiple of it."""
    candidates: int = 1000
    """Latest clips that may be asked about."""
    oversample: int = 10
    """Pairs among which the most disputed are chosen, for each that is asked."""
    first_epochs: int = 40
    """Over the first labels, before the policy learns."""
    epochs: int = 1
    """Over all labels, at each update."""
    answered: float = 0.75
    """Share of the queries so far that must be answered before the policy goes on (rl-teacher's)."""


class Journal:
    """Which labels each update was handed: lines of a file, each on the disk before it is used.

    Raises:
        DataError: a line is no record of labels; a last one that a kill cut off is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: dict[int, list[Label]] = {}
        whole = path.read_bytes() if path.exists() else b""
        lines = whole[: whole.rfind(b"\n") + 1]
        if len(lines) < len(whole):
            os.truncate(path, len(lines))
        for number, line in enumerate(lines.splitlines(), start=1):
            try:
                update, labels = json.loads(line)
                self._kept[int(update)] = [Label(**label) for label in labels]
            except (ValueError, TypeError) as error:
                raise DataError(f"expected labels of an update, found {line!r:.100}", path=path, line=number) from error

    def __contains__(self, update: int) -> bool:
        return update in self._kept

    def __getitem__(self, update: int) -> list[Label]:
        return self._kept[update]

    def labels(self) -> list[Label]:
        """All that were handed over, in order."""
        return [label for labels in self._kept.values() for label in labels]

    def keep(self, update: int, labels: list[Label]) -> None:
        """Write what an update is handed, once."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([update, [asdict(label) for label in labels]]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._kept[update] = labels


class BackflipLoop:
    """Environment, agent, predictor, clips and labels, a step of each at a time.

    Args:
        archive  where the clips of every label are kept.
        journal  what each update was handed.
        clip     steps of a clip.
        wait     seconds between looks for answers that are waited for.
    """

    def __init__(
        self,
        config: LoopConfig,
        labeller: Labeller,
        archive: ClipArchive,
        journal: Journal,
        *,
        seed: int,
        agent: PPOConfig,
        ensemble: EnsembleConfig,
        clip: int = 60,
        wait: float = 2.0,
    ) -> None:
        self.config, self.labeller, self.archive, self.seed, self.wait = config, labeller, archive, seed, wait
        self.journal = journal
        self.env = TurningHopper("hopper", config.copies, seed=seed, horizon=config.horizon)
        spec = self.env.spec
        self.agent = PPO(spec, agent, seed=seed)
        size = spec.obs_shape[0], self.agent.spec.actions.size  # type: ignore[union-attr]  # a hopper's are vectors
        self.ensemble = RewardEnsemble(lambda: MLP(*size), ensemble, seed=seed)
        self.labels, self.store = Labels(), ClipStore(clip, config.candidates)
        self.asked: set[tuple[int, int]] = set()
        self.step, self.updates, self.ready = 0, 0, False

    def run(self, log: Callable[..., None], keep: Callable[[], None]) -> None:
        """Go on to the end; ``keep`` is called wherever a checkpoint may be made."""
        while self.step < self.config.steps:
            time = self.config.stretch if self.updates else self.config.first_steps // self.config.copies
            stretch = collect(self.env, self.agent.act, time, keep_states=True)
            self._cut(stretch)
            self.step += stretch.steps
            self._ask()
            self._take()
            told = self._learn(stretch)
            self.updates += 1
            log(step=self.step, asked=len(self.asked), **self._facts(stretch), **told)
            keep()

    def _cut(self, stretch: Stretch) -> None:
        """Two clips of each copy in each part of an episode; the hopper's own reward goes into none."""
        rng = np.random.default_rng((self.seed, 21, self.updates))
        actions = stretch.rewarded_actions(self.env.spec.actions)
        assert stretch.states is not None
        for start in range(0, len(actions), self.config.stretch):
            part = slice(start, start + self.config.stretch)
            nothing = np.zeros(len(actions[part]))
            for i in range(self.env.n):
                own = stretch.observations[part, i], actions[part, i], nothing
                self.store.cut(*own, rng=rng, n=2, states=stretch.states[part, i], step=self.step)

    def _due(self) -> int:
        c = self.config
        end = max(1, c.steps - c.first_steps)
        first = round(c.first_share * c.queries)
        return labels_due(self.step - c.first_steps, total=c.queries, initial=first, end=end, half_life=end / 10)

    def _ask(self) -> None:
        """Put up what is due, the most disputed of many candidates; the first by chance."""
        n = self._due() - len(self.asked)
        if n < 1:
            return
        rng = np.random.default_rng((self.seed, 22, len(self.asked)))
        found = self.store.pairs(self.config.oversample * n if self.ready else n, rng, asked=self.asked)
        if self.ready:
            seen = np.stack([np.stack([a.observations, b.observations]) for a, b in found])
            done = np.stack([np.stack([a.actions, b.actions]) for a, b in found])
            found = [found[i] for i in most_disputed(self.ensemble.gaps(seen, done), n)]
        for clip in (clip for pair in found for clip in pair):
            self.archive.save(clip)
        if self.updates not in self.journal:  # else they are up, and answered or not
            self.labeller.ask(found, self.step)
        self.asked |= {pair_key(a, b) for a, b in found}

    def _take(self) -> None:
        """Add what was answered; wait while too little is. An update that was made before is handed the same again."""
        if self.updates not in self.journal:
            found = self.labeller.answers()
            while len(self.labels.all) + len(found) < self.config.answered * len(self.asked):
                sleep(self.wait)
                found += self.labeller.answers()
            self.journal.keep(self.updates, found)
        for label in self.journal[self.updates]:
            self.labels.add(label, self._clip(label.left), self._clip(label.right))

    def _clip(self, id: int) -> Clip:
        return self.labels.clips[id] if id in self.labels.clips else self.archive.load(id)

    def _learn(self, stretch: Stretch) -> dict[str, Any]:
        """Fit the reward, then improve the policy on it."""
        fit = self.ensemble.fit(self.labels, epochs=self.config.epochs if self.ready else self.config.first_epochs)
        if not self.ready:
            self.ensemble.reset_scale()
            self.ready = True
        actions = stretch.rewarded_actions(self.env.spec.actions)
        inputs = (torch.from_numpy(x.reshape(-1, x.shape[-1])) for x in (stretch.observations, actions))
        rewards = self.ensemble.rewards(*inputs).reshape(stretch.true_reward.shape)
        told = self.agent.update(stretch, rewards)
        held = [value for value in fit.accuracy if value is not None]
        return {**told, **self.labels.counts(), "held_out_accuracy": float(np.mean(held)) if held else None}

    def _facts(self, stretch: Stretch) -> dict[str, float]:
        assert stretch.states is not None
        return {"height": float(stretch.states[..., 1].mean())}

    # keeping ----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on, but for the clips of labels, which are in the archive."""
        clips = self.store.state()
        own: dict[str, Any] = {
            "step": self.step,
            "updates": self.updates,
            "ready": self.ready,
            "next": self.store.next_id,
            "asked": sorted(self.asked),
            "labels": [asdict(label) for label in self.labels.all],
            "clips": [[clip.id, clip.step] for clip in clips],
        }
        parts = {
            part: torch.from_numpy(np.stack([getattr(clip, part) for clip in clips]))
            for part in ("observations", "actions", "states")
            if clips
        }
        return {
            **prefixed("agent", self.agent.state()),
            **prefixed("ensemble", self.ensemble.state()),
            **prefixed("env", self.env.state()),
            **prefixed("clips", parts),
            "own": torch.frombuffer(bytearray(json.dumps(own).encode()), dtype=torch.uint8),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another stopped."""
        own = json.loads(bytes(state["own"].numpy()).decode())
        self.agent.load_state(under(state, "agent"))
        self.ensemble.load_state(under(state, "ensemble"))
        self.env.load_state(under(state, "env"))
        self.step, self.updates, self.ready = own["step"], own["updates"], own["ready"]
        self.asked = {(int(a), int(b)) for a, b in own["asked"]}
        self.store.restore(self._clips(own["clips"], under(state, "clips")), own["next"])
        self.labels = Labels()
        for told in own["labels"]:
            label = Label(**told)
            self.labels.add(label, self._clip(label.left), self._clip(label.right))

    def _clips(self, named: Sequence[Sequence[int]], parts: Mapping[str, Tensor]) -> list[Clip]:
        arrays = {name: part.numpy() for name, part in parts.items()}
        return [
            Clip(
                id=id,
                step=step,
                true_reward=np.zeros(self.store.steps),
                **{name: own[k] for name, own in arrays.items()},
            )
            for k, (id, step) in enumerate(named)
        ]
