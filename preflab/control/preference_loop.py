"""The loop: act, cut clips, ask, learn a reward from what was answered, improve the policy on it.

Christiano et al. 2017, sec. 2.2. Their three processes take turns in one; only answers may come later, from people
whom another process serves, and the loop goes on meanwhile as long as enough of what it asked is answered. Everything
that is drawn is keyed by seed and number, and a checkpoint holds all the rest but the clips of labels, which are in the
archive: a run that was killed goes on as if it had not been.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from time import sleep
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from preflab.checkpoint import strip_prefix, with_prefix
from preflab.checks import check_above, check_at_least, check_within, refuse_unread
from preflab.config_overrides import check_types
from preflab.control.agents.agent import Agent
from preflab.control.archive import ClipArchive
from preflab.control.clips import Clip, ClipStore, pair_key, stack_frames
from preflab.control.environments.env import Spec, VectorEnv
from preflab.control.episodes import Episodes
from preflab.control.interleaved_updates import CollectedRewards, collect_with_updates
from preflab.control.rewards.ensemble import RewardEnsemble
from preflab.control.rewards.label_log import ClipLabeller, LabelLog
from preflab.control.rewards.labels import Label, Labels
from preflab.control.trajectory import Trajectory, rollout
from preflab.errors import ConfigError, TrainingStopped
from preflab.maths.query_selection import Disagreement, Schedule, check_points, disagreement, labels_due, most_disputed


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long the loop is, and how often it asks."""

    steps: int
    """Environment steps, over all copies."""
    first_steps: int
    """Of the untrained policy, from which the first queries are made; a whole number of steps of all copies."""
    queries: int
    """Pairs that are asked about in all."""
    first_share: float = 0.25
    """Of the queries, made before the policy learns (appendix A.1); 1: all, the ablation "no online queries"."""
    stretch: int = 128
    """Steps of each copy in a round, after which clips are cut, labels asked and predictors fitted; and between two
    updates of the policy, but for ``update_steps``."""
    update_steps: int | None = None
    """Update the policy after so many steps of each copy already, as A2C wants it, by the predictors as they were at
    the round's start. Of the first steps it then learns from the last so many alone."""
    window: int | None = None
    """Report the returns of so many steps where episodes have no end."""
    clip_steps: int | None = None
    """Of a clip, where not the environment's own; 1: the ablation "no segments"."""
    candidates: int = 1000
    """Latest clips that may be asked about."""
    random_queries: bool = False
    """Ask about pairs drawn by chance: an ablation, and all that a single predictor can do."""
    disagreement: Disagreement = "probability"
    oversample: int = 10
    """Pairs among which the most disputed are chosen, for each that is asked (sec. 2.2.4)."""
    schedule: Schedule = "hyperbolic"
    points: tuple[tuple[float, float], ...] = ()
    """Of the schedule ``custom``: share of the steps after the first, share of the labels due by then."""
    half_life: float | None = None
    """Environment steps after which labels come half as often; a tenth of the run by default, as 2e6 is of the paper's
    2e7 (read off its figures)."""
    keep: int | None = None
    """Learn from so many of the latest labels alone: 3,000 on Atari."""
    first_epochs: int = 40
    """Over the first labels, before the policy learns."""
    epochs: int = 1
    """Over all labels, each time the predictors are fitted."""
    fit_every: int = 1
    """Rounds between two fits."""
    asked_by: float = 1.0
    """Share of the steps by which all is asked."""
    answered: float = 0.75
    """Share of the queries so far that must be answered before the policy goes on (rl-teacher's)."""
    blind: bool = False
    """Clips hold zeros in place of the true reward: nobody can have used it."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "steps", "first_steps", "queries", "stretch", "oversample", "first_epochs", "epochs")
        check_at_least(self, 1, "fit_every", "clip_steps", "keep", "window", "update_steps")
        check_at_least(self, 2, "candidates")
        check_within(self, "(0, 1]", "first_share", "asked_by")
        check_within(self, "[0, 1]", "answered")
        check_above(self, 0, "half_life")
        if self.first_steps > self.steps:
            raise ConfigError(f"first_steps must be at most steps ({self.steps}), got {self.first_steps}")
        if self.schedule not in ("hyperbolic", "stepwise"):
            refuse_unread(self, f"schedule={self.schedule}", "half_life")
        if self.random_queries:
            refuse_unread(self, "random_queries=true", "oversample")
        if self.first_share == 1:
            refuse_unread(self, "first_share=1", "schedule", "half_life", "points", "asked_by")
        if self.schedule == "custom":
            check_points(self.points)
        elif self.points:
            raise ConfigError(f"points are of the schedule custom, got schedule {self.schedule}")
        if self.clip_steps is not None and self.clip_steps > self.stretch:
            raise ConfigError(f"no clip of {self.clip_steps} steps (clip_steps) fits in a stretch of {self.stretch}")
        if self.update_steps is not None and self.stretch % self.update_steps:
            raise ConfigError(f"update_steps ({self.update_steps}) must be a divisor of stretch ({self.stretch})")


def clip_steps_of(config: LoopConfig, spec: Spec, copies: int) -> int:
    """Steps of a clip.

    Raises:
        ConfigError: none is ever whole, or the first steps are no whole number of steps of all copies.
    """
    if config.first_steps % copies:
        raise ConfigError(f"first_steps ({config.first_steps}) must be a multiple of the {copies} copies")
    steps = config.clip_steps or spec.clip_steps
    room = {
        "an episode": spec.horizon,
        "a stretch": config.stretch,
        "the first steps of a copy": config.first_steps // copies,
    }
    for what, most in room.items():
        if steps > most:
            raise ConfigError(f"{spec.name}: a clip has {steps} steps, {what} {most}: none would ever be whole")
    return steps


class PreferenceLoop:
    """Environment, agent, predictor, clips and labels, a round of each at a time.

    Args:
        labeller  whoever compares.
        archive   where the clips of every label are kept.
        journal   what each round was handed; of this run alone, for a loop that begins anew is handed it again.
        facts     of a stretch, to be logged with the rest.
        wait      seconds between looks for answers that are waited for.
    """

    def __init__(
        self,
        config: LoopConfig,
        env: VectorEnv,
        agent: Agent,
        ensemble: RewardEnsemble,
        labeller: ClipLabeller,
        archive: ClipArchive,
        journal: LabelLog,
        *,
        facts: Callable[[Trajectory], dict[str, float]] | None = None,
        seed: int = 0,
        wait: float = 2.0,
    ) -> None:
        self.config, self.env, self.agent, self.ensemble, self.labeller = config, env, agent, ensemble, labeller
        self.archive, self.journal, self.facts, self.seed, self.wait = archive, journal, facts, seed, wait
        self.labels = Labels(keep=config.keep)
        stack = env.spec.obs_shape[0] if len(env.spec.obs_shape) == 3 else 1
        self.store = ClipStore(clip_steps_of(config, env.spec, env.n), config.candidates, stack=stack)
        self.episodes = Episodes(env.n, window=config.window)
        self.asked: set[tuple[int, int]] = set()
        self.step, self.rounds, self.ready = 0, 0, False

    def run(
        self,
        log: Callable[..., None],
        keep: Callable[[], object],
        waiting: Callable[[int], None] = lambda missing: None,
    ) -> None:
        """Go on to the end; ``keep`` is called wherever a checkpoint may be made.

        Args:
            log      is given each round's numbers by name.
            waiting  is told, again and again while the loop waits, how many answers are missing.

        Raises:
            TrainingStopped: no answer says which clip is better, or a loss is not finite.
        """
        while self.step < self.config.steps:
            stretch, acted = self._act()
            self._cut(stretch)
            self.step += stretch.steps
            asked = self._ask()
            self._take(waiting)
            told = self._learn(stretch, acted)
            self.rounds += 1
            facts = self.facts(stretch) if self.facts else {}
            log(step=self.step, asked=len(self.asked), due=self._due(), **asked, **told, **facts)
            keep()

    def _act(self) -> tuple[Trajectory, CollectedRewards | None]:
        """A round of behaviour, and what was handed for it where the policy learned meanwhile."""
        c = self.config
        part = c.update_steps or c.stretch
        if self.rounds and part < c.stretch:
            return collect_with_updates(self.env, self.agent, self._rewards, c.stretch, part, keep_states=True)
        time = c.stretch if self.rounds else c.first_steps // self.env.n
        return rollout(self.env, self.agent.act, time, keep_states=True), None

    def _cut(self, stretch: Trajectory) -> None:
        """As many clips of each copy as fit, none over an episode's end."""
        rng = np.random.default_rng((self.seed, 21, self.rounds))
        actions = stretch.rewarded_actions(self.env.spec.actions)
        true = np.zeros_like(stretch.true_reward) if self.config.blind else stretch.true_reward
        for begin in range(0, len(actions), self.config.stretch):
            end = min(begin + self.config.stretch, len(actions))
            for i in range(self.env.n):
                ends = [begin, *(begin + 1 + np.flatnonzero(stretch.ended[begin:end, i])).tolist(), end]
                for first, last in pairwise(ends):
                    part = slice(first, last)
                    self.store.cut(
                        stretch.observations[part, i],
                        actions[part, i],
                        true[part, i],
                        rng=rng,
                        n=max(1, (last - first) // self.store.steps),
                        states=None if stretch.states is None else stretch.states[part, i],
                        step=self.step,
                    )

    def _due(self) -> int:
        c = self.config
        end = max(1, c.steps - c.first_steps)
        return labels_due(
            self.step - c.first_steps,
            total=c.queries,
            initial=round(c.first_share * c.queries),
            end=max(1, round(c.asked_by * end)),
            schedule=c.schedule,
            half_life=c.half_life or end / 10,
            points=c.points,
        )

    def _ask(self) -> dict[str, float]:
        """Put up what is due, the most disputed of many candidates; the first by chance."""
        n = self._due() - len(self.asked)
        if n < 1:
            return {}
        rng = np.random.default_rng((self.seed, 22, len(self.asked)))
        choose = self.ready and not self.config.random_queries
        found = self.store.pairs(self.config.oversample * n if choose else n, rng, asked=self.asked)
        told: dict[str, float] = {}
        if self.ready and found:
            gaps = self.ensemble.pair_gaps(found)
            disputed = disagreement(gaps, self.config.disagreement)
            best = most_disputed(gaps, n, self.config.disagreement)
            found = [found[i] for i in best]
            told = {
                "asked_now": float(len(best)),
                "disputed_candidates": float(disputed.mean()),
                "disputed_asked": float(disputed[best].mean()),
            }
        for clip in (clip for pair in found for clip in pair):
            self.archive.save(clip)
        if self.rounds not in self.journal:  # else they are up, and answered or not
            self.labeller.ask(found, self.step)
        self.asked |= {pair_key(a, b) for a, b in found}
        return told

    def _take(self, waiting: Callable[[int], None]) -> None:
        """Add what was answered; wait while too little is. A round that was made before is handed the same again."""
        if self.rounds not in self.journal:
            found = self.labeller.answers()
            while (missing := self._missing(found)) > 0:
                waiting(missing)
                sleep(self.wait)
                found += self.labeller.answers()
            self.journal.keep(self.rounds, found)
        for label in self.journal[self.rounds]:
            self.labels.add(label, self._clip(label.left), self._clip(label.right))

    def _missing(self, found: Sequence[Label]) -> int:
        """How many answers are waited for; the first fit waits for one that says something while any may come."""
        known = [*self.labels.all, *found]
        missing = math.ceil(self.config.answered * len(self.asked)) - len(known)
        speechless = not self.ready and all(label.prob_left is None for label in known)
        return max(missing, 1) if speechless and len(known) < len(self.asked) else missing

    def _clip(self, id: int) -> Clip:
        return self.labels.clips[id] if id in self.labels.clips else self.archive.load(id)

    def _learn(self, stretch: Trajectory, acted: CollectedRewards | None) -> dict[str, Any]:
        """Fit the reward, then improve the policy on it where it did not learn already."""
        told: dict[str, Any] = self._fit() if self.rounds % self.config.fit_every == 0 else {}
        if acted is None:
            last = self.config.update_steps or len(stretch.true_reward)
            rewards = self._rewards(stretch)
            acted = CollectedRewards(rewards, self.agent.update(stretch.tail(last), rewards[-last:]))
        finished = self.episodes.add(stretch, acted.rewards)
        return {**acted.told, **finished, **self.labels.counts(), **told}

    def _fit(self) -> dict[str, Any]:
        if not self.labels.usable:
            raise TrainingStopped(
                f"none of {len(self.labels.all)} answers by step {self.step} says which clip is better: there is "
                "nothing to fit a reward to"
            )
        fit = self.ensemble.fit(self.labels, epochs=self.config.epochs if self.ready else self.config.first_epochs)
        if not self.ready:
            self.ensemble.reset_scale()
            self.ready = True
        held = [value for value in fit.accuracy if value is not None]
        fitted = {f"reward_{name}": values for name, values in asdict(fit).items()}
        return {**fitted, "held_out_accuracy": float(np.mean(held)) if held else None}

    def _rewards(self, stretch: Trajectory) -> Float[np.ndarray, "time env"]:
        """What the agent is handed for each step, by the predictors as they are now."""
        actions = stretch.rewarded_actions(self.env.spec.actions)
        inputs = (torch.from_numpy(x.reshape(-1, *x.shape[2:])) for x in (stretch.observations, actions))
        return self.ensemble.rewards(*inputs).reshape(stretch.true_reward.shape)

    # keeping ----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on, but for the clips of labels, which are in the archive."""
        clips = self.store.state()
        own: dict[str, Any] = {
            "step": self.step,
            "rounds": self.rounds,
            "ready": self.ready,
            "next": self.store.next_id,
            "asked": sorted(self.asked),
            "labels": [asdict(label) for label in self.labels.all],
            "clips": [[clip.id, clip.step, clip.stack] for clip in clips],
        }
        parts = {
            part: torch.from_numpy(np.stack([getattr(clip, part) for clip in clips]))
            for part in ("frames", "actions", "true_reward", "states")
            if clips and getattr(clips[0], part) is not None
        }
        return {
            **with_prefix("agent.", self.agent.state()),
            **with_prefix("ensemble.", self.ensemble.state()),
            **with_prefix("env.", self.env.state()),
            **with_prefix("episodes.", self.episodes.state()),
            **with_prefix("clips.", parts),
            "own": torch.frombuffer(bytearray(json.dumps(own).encode()), dtype=torch.uint8),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another stopped."""
        own = json.loads(bytes(state["own"].numpy()).decode())
        self.agent.load_state(strip_prefix(state, "agent."))
        self.ensemble.load_state(strip_prefix(state, "ensemble."))
        self.env.load_state(strip_prefix(state, "env."))
        self.episodes.load_state(strip_prefix(state, "episodes."))
        self.step, self.rounds, self.ready = own["step"], own["rounds"], own["ready"]
        self.asked = {(int(a), int(b)) for a, b in own["asked"]}
        self.store.restore(_clips(own["clips"], strip_prefix(state, "clips.")), own["next"])
        self.labels = Labels(keep=self.config.keep)
        for told in own["labels"]:
            label = Label(**told)
            self.labels.add(label, self._clip(label.left), self._clip(label.right))


def _clips(named: Sequence[Sequence[int]], parts: Mapping[str, Tensor]) -> list[Clip]:
    """The clips of a checkpoint; stacked screens are kept there once each."""
    arrays = {name: part.numpy() for name, part in parts.items()}
    frames = arrays.pop("frames", np.zeros(0))
    return [
        Clip(
            id=id,
            step=step,
            stack=stack,
            observations=stack_frames(frames[k], stack) if stack > 1 else frames[k],
            **{name: own[k] for name, own in arrays.items()},
        )
        for k, (id, step, stack) in enumerate(named)
    ]
