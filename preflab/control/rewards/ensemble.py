"""An ensemble of reward networks, each fitted to its own bootstrap of the labels (Christiano et al. 2017, 2.2.3).

The agent learns from normalised rewards: each member is brought to zero mean and one fixed standard deviation by its
own running statistics, and then the members are averaged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from preflab.checkpoint import strip_prefix, with_prefix
from preflab.control.clips import Clip
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.ensemble_member import EnsembleMember, discounted_return
from preflab.control.rewards.labelled_pairs import LabelledPairs
from preflab.control.rewards.labels import LabelBuffer
from preflab.control.running_stats import RunningMeanStd
from preflab.errors import DataError, TrainingStopped


@dataclass
class FitMetrics:
    """The last epoch of a call of `RewardEnsemble.fit`, a number a member."""

    train_loss: list[float] = field(default_factory=list)
    """Nats a label; NaN for a member whose bootstrap is empty."""
    held_out_loss: list[float | None] = field(default_factory=list)
    accuracy: list[float | None] = field(default_factory=list)
    """Share of decided held-out labels on the right side; ties have no side."""
    l2: list[float] = field(default_factory=list)


class RewardEnsemble:
    """Members with weights, optimisers and statistics of their own.

    Args:
        make  a new reward network; called once a member, with torch's generator seeded for it.
        seed  where the members' weights, bootstraps and batches start.
    """

    def __init__(self, make: Callable[[], nn.Module], config: EnsembleConfig | None = None, *, seed: int = 0) -> None:
        self.config = config or EnsembleConfig()
        self.members: list[EnsembleMember] = []
        for m in range(self.config.members):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed * 1_000_003 + m)
                self.members.append(EnsembleMember(make(), self.config, seed=(seed, m)))
        self.epochs = 0
        """Epochs of fitting so far."""

    @torch.no_grad()
    def raw_rewards(self, observations: Tensor, actions: Tensor) -> Float[Tensor, "member item"]:
        """Each member's reward for each step, as the loss reads it."""
        return torch.stack([member.network(observations, actions) for member in self.members])

    def rewards(self, observations: Tensor, actions: Tensor, *, learn_scale: bool = True) -> Float[np.ndarray, " item"]:
        """The rewards that the agent learns from: members normalised one by one, then averaged.

        Args:
            learn_scale  whether these predictions count for the running statistics.

        Raises:
            TrainingStopped: a prediction is not finite.
        """
        raw = self.raw_rewards(observations, actions).double().numpy()
        if not np.isfinite(raw).all():
            raise TrainingStopped("the reward network's output is not finite; a smaller learning rate may help")
        members = zip(self.members, raw, strict=True)
        normalised = [member.normalise(rewards, learn_scale=learn_scale) for member, rewards in members]
        return np.asarray(np.mean(normalised, axis=0))

    def reset_scale(self) -> None:
        """Forget the running statistics: predictions changed their scale (after pretraining)."""
        for member in self.members:
            member.reward_scale = RunningMeanStd(1)

    def pair_gaps(
        self, pairs: Sequence[tuple[Clip, Clip]], *, max_steps: int = 4096
    ) -> Float[np.ndarray, "member pair"]:
        """Return of the left clip minus the right one's, by each member, raw.

        A clip goes through the networks once, however many pairs it is in.

        Args:
            max_steps  steps that go through the networks together: pictures take room.

        Raises:
            DataError: clips differ in length.
        """
        by_id = {clip.id: clip for pair in pairs for clip in pair}
        column = {id: k for k, id in enumerate(by_id)}
        clips = list(by_id.values())
        if len(lengths := {len(clip) for clip in clips}) > 1:
            raise DataError(
                f"expected clips of one length, got some of {' and '.join(map(str, sorted(lengths)))} steps"
            )
        returns = np.empty((len(self.members), len(clips)))
        size = max(1, max_steps // len(clips[0])) if clips else 1
        for start in range(0, len(clips), size):
            batch = clips[start : start + size]
            observations = torch.as_tensor(np.concatenate([clip.observations for clip in batch]))
            actions = torch.as_tensor(np.concatenate([clip.actions for clip in batch]))
            rewards = self.raw_rewards(observations, actions).reshape(len(self.members), len(batch), -1)
            returns[:, start : start + size] = discounted_return(rewards, self.config.discount).double().numpy()
        left, right = ([column[pair[side].id] for pair in pairs] for side in (0, 1))
        return np.asarray(returns[:, left] - returns[:, right])

    def fit(self, labels: LabelBuffer, *, epochs: int) -> FitMetrics:
        """Go over the usable labels so many times; the regularisation is adapted after each."""
        usable = labels.usable
        if not usable or epochs < 1:
            return FitMetrics()
        first = len(labels.with_answer) - len(usable)
        weights = [member.bootstrap_weights(len(usable), first) for member in self.members]
        pairs = LabelledPairs(labels, usable, target=self.config.target)
        metrics = FitMetrics()
        for _ in range(epochs):
            metrics = FitMetrics()
            for member, member_weights in zip(self.members, weights, strict=True):
                member.fit_epoch(pairs, member_weights, self.epochs)
                train_loss, held_out_loss, accuracy = member.evaluate(pairs, member_weights)
                metrics.train_loss.append(float("nan") if train_loss is None else train_loss)
                metrics.held_out_loss.append(held_out_loss)
                metrics.accuracy.append(accuracy)
                metrics.l2.append(member.l2)
            self.epochs += 1
        return metrics

    def state(self) -> dict[str, Tensor]:
        """Everything that fitting and predicting depend on, as tensors."""
        l2 = torch.tensor([member.l2 for member in self.members], dtype=torch.float64)
        state = {"epochs": torch.tensor(self.epochs), "l2": l2}
        state["running"] = torch.stack([member.reward_scale.state() for member in self.members])
        for m, member in enumerate(self.members):
            state |= with_prefix(f"member{m}.", member.state())
        return state

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.epochs = int(state["epochs"])
        scales = zip(self.members, state["l2"].tolist(), state["running"], strict=True)
        for m, (member, l2, scale) in enumerate(scales):
            member.l2 = l2
            member.reward_scale.load_state(scale)
            member.load_state(strip_prefix(state, f"member{m}."))
