"""Learning a reward while the agent acts: clips are cut, pairs asked about, answers taken, networks fitted.

Christiano et al. 2017, sec. 2.2. Only answers may come later, from people whom another process serves. The loop goes on
meanwhile, as long as enough of what it asked is answered.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from time import sleep
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from preflab.checkpoint import strip_prefix, with_prefix
from preflab.control.clips import Clip, ClipQuery, ClipStore, EpisodeSegment, pair_key, stack_frames
from preflab.control.environments.env import VectorEnv
from preflab.control.loop_config import LoopConfig, clip_steps_of
from preflab.control.rewards.ensemble import RewardEnsemble
from preflab.control.rewards.labellers import LabelSource
from preflab.control.rewards.labels import Label, LabelBuffer
from preflab.control.trajectory import Trajectory
from preflab.errors import TrainingStopped
from preflab.maths.query_selection import disagreement, labels_due, most_disputed


class RewardLearner:
    """Clips, queries and labels of a run, and the ensemble that is fitted to them.

    Args:
        config  of the loop.
        env     whose behaviour is compared; only its specification and its number of copies are read.
        source  who compares.
        seed    of clips and queries, which are keyed by it and by the round.
    """

    def __init__(
        self, config: LoopConfig, env: VectorEnv, ensemble: RewardEnsemble, source: LabelSource, *, seed: int = 0
    ) -> None:
        self.config, self.ensemble, self.source, self.seed = config, ensemble, source, seed
        self.spec, self.copies = env.spec, env.n
        stack = env.spec.obs_shape[0] if len(env.spec.obs_shape) == 3 else 1
        self.store = ClipStore(clip_steps_of(config, env.spec, env.n), config.candidates, stack=stack)
        self.labels = LabelBuffer(capacity=config.label_buffer)
        self.queried: set[tuple[int, int]] = set()
        """Pairs of clips that were asked about."""
        self.step, self.rounds = 0, 0
        self.fitted = False
        """Whether the ensemble has been fitted, which the first labels do."""

    def learn(self, trajectory: Trajectory, on_wait: Callable[[int], None]) -> dict[str, Any]:
        """A round: cut clips, ask about what is due, take answers, fit. Returns metrics by name.

        Raises:
            TrainingStopped: no answer says which clip is better, or a loss is not finite.
        """
        self._cut_clips(trajectory)
        self.step += trajectory.steps
        query_metrics = self._ask()
        self._take_answers(on_wait)
        fit_metrics = self._fit() if self.rounds % self.config.fit_every == 0 else {}
        self.rounds += 1
        counts = {"asked": len(self.queried), "due": self._labels_due()}
        return {**counts, **query_metrics, **self.labels.counts(), **fit_metrics}

    def rewards(self, trajectory: Trajectory) -> Float[np.ndarray, "time env"]:
        """The rewards that the agent learns from, by the ensemble as it is now."""
        actions = trajectory.reward_model_actions(self.spec.actions)
        inputs = (torch.from_numpy(x.reshape(-1, *x.shape[2:])) for x in (trajectory.observations, actions))
        return self.ensemble.rewards(*inputs).reshape(trajectory.true_reward.shape)

    def _cut_clips(self, trajectory: Trajectory) -> None:
        """As many clips of each copy as fit, none over an episode's end."""
        rng = np.random.default_rng((self.seed, 21, self.rounds))
        actions = trajectory.reward_model_actions(self.spec.actions)
        hidden = self.config.hide_true_reward
        true_reward = np.zeros_like(trajectory.true_reward) if hidden else trajectory.true_reward
        for begin in range(0, len(actions), self.config.rollout_steps):
            end = min(begin + self.config.rollout_steps, len(actions))
            for i in range(self.copies):
                ends = [begin, *(begin + 1 + np.flatnonzero(trajectory.dones[begin:end, i])).tolist(), end]
                for first, last in pairwise(ends):
                    part = slice(first, last)
                    states = None if trajectory.states is None else trajectory.states[part, i]
                    segment = EpisodeSegment(
                        trajectory.observations[part, i], actions[part, i], true_reward[part, i], states, self.step
                    )
                    self.store.cut(segment, n=max(1, (last - first) // self.store.steps), rng=rng)

    def _labels_due(self) -> int:
        c = self.config
        end = max(1, c.steps - c.pretrain_steps)
        return labels_due(
            self.step - c.pretrain_steps,
            total=c.queries,
            initial=round(c.pretrain_label_share * c.queries),
            end=max(1, round(c.query_until * end)),
            schedule=c.schedule,
            half_life=c.half_life or end / 10,
            points=c.points,
        )

    def _ask(self) -> dict[str, float]:
        """Ask about as many pairs as are due: those of highest disagreement among many; the first by chance."""
        n = self._labels_due() - len(self.queried)
        if n < 1:
            return {}
        rng = np.random.default_rng((self.seed, 22, len(self.queried)))
        by_disagreement = self.fitted and not self.config.random_queries
        pairs = self.store.pairs(self.config.oversample * n if by_disagreement else n, rng, exclude=self.queried)
        metrics: dict[str, float] = {}
        if self.fitted and pairs:
            gaps = self.ensemble.pair_gaps(pairs)
            scores = disagreement(gaps, self.config.disagreement)
            chosen = most_disputed(gaps, n, self.config.disagreement)
            pairs = [pairs[i] for i in chosen]
            metrics = {
                "asked_now": float(len(chosen)),
                "disputed_candidates": float(scores.mean()),
                "disputed_asked": float(scores[chosen].mean()),
            }
        for clip in (clip for pair in pairs for clip in pair):
            self.source.archive.save(clip)
        if self.rounds not in self.source.log:  # else they were asked before the run was killed
            self.source.labeller.ask([ClipQuery(left, right, self.step) for left, right in pairs])
        self.queried |= {pair_key(left, right) for left, right in pairs}
        return metrics

    def _take_answers(self, on_wait: Callable[[int], None]) -> None:
        """Add answers; wait while there are too few. A round that was made before is given the same again."""
        log, labeller = self.source.log, self.source.labeller
        if self.rounds not in log:
            labels = list(labeller.answers())
            while (missing := self._missing(labels)) > 0:
                on_wait(missing)
                sleep(self.source.poll_seconds)
                labels += labeller.answers()
            log.append(self.rounds, labels)
        for label in log[self.rounds]:
            self.labels.add(label, self._clip(label.left), self._clip(label.right))

    def _missing(self, new: Sequence[Label]) -> int:
        """How many answers are waited for; the first fit waits for one that it can be fitted to, while any may come."""
        labels = [*self.labels.all, *new]
        missing = math.ceil(self.config.min_answered * len(self.queried)) - len(labels)
        none_usable = not self.fitted and all(label.prob_left is None for label in labels)
        return max(missing, 1) if none_usable and len(labels) < len(self.queried) else missing

    def _clip(self, id: int) -> Clip:
        return self.labels.clips[id] if id in self.labels.clips else self.source.archive.load(id)

    def _fit(self) -> dict[str, Any]:
        if not self.labels.usable:
            raise TrainingStopped(
                f"none of {len(self.labels.all)} answers by step {self.step} says which clip is better: there is "
                "nothing to fit a reward to"
            )
        epochs = self.config.epochs if self.fitted else self.config.pretrain_epochs
        fit = self.ensemble.fit(self.labels, epochs=epochs)
        if not self.fitted:
            self.ensemble.reset_scale()
            self.fitted = True
        accuracies = [accuracy for accuracy in fit.accuracy if accuracy is not None]
        metrics = {f"reward_{name}": values for name, values in asdict(fit).items()}
        return {**metrics, "held_out_accuracy": float(np.mean(accuracies)) if accuracies else None}

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on, but for the clips of labels, which are in the archive."""
        clips = self.store.state()
        record: dict[str, Any] = {
            "step": self.step,
            "rounds": self.rounds,
            "fitted": self.fitted,
            "next_clip": self.store.next_id,
            "queried": sorted(self.queried),
            "labels": [asdict(label) for label in self.labels.all],
            "clips": [[clip.id, clip.step, clip.stack] for clip in clips],
        }
        arrays = {
            part: torch.from_numpy(np.stack([getattr(clip, part) for clip in clips]))
            for part in ("frames", "actions", "true_reward", "states")
            if clips and getattr(clips[0], part) is not None
        }
        return {
            **with_prefix("ensemble.", self.ensemble.state()),
            **with_prefix("clips.", arrays),
            "record": torch.frombuffer(bytearray(json.dumps(record).encode()), dtype=torch.uint8),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another stopped."""
        record = json.loads(bytes(state["record"].numpy()).decode())
        self.ensemble.load_state(strip_prefix(state, "ensemble."))
        self.step, self.rounds, self.fitted = record["step"], record["rounds"], record["fitted"]
        self.queried = {(int(a), int(b)) for a, b in record["queried"]}
        self.store.restore(_clips(record["clips"], strip_prefix(state, "clips.")), record["next_clip"])
        self.labels = LabelBuffer(capacity=self.config.label_buffer)
        for fields in record["labels"]:
            label = Label(**fields)
            self.labels.add(label, self._clip(label.left), self._clip(label.right))


def _clips(records: Sequence[Sequence[int]], tensors: Mapping[str, Tensor]) -> list[Clip]:
    """The clips of a checkpoint; stacked screens are kept there once each."""
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    frames = arrays.pop("frames", np.zeros(0))
    return [
        Clip(
            id=id,
            step=step,
            stack=stack,
            observations=stack_frames(frames[k], stack) if stack > 1 else frames[k],
            **{name: array[k] for name, array in arrays.items()},
        )
        for k, (id, step, stack) in enumerate(records)
    ]
