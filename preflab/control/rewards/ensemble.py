"""An ensemble of reward predictors, each fitted to its own bootstrap of the labels (Christiano et al. 2017, 2.2.3).

The loss reads raw predictions: the sum of a clip's steps is its return, and a labeller answers at random a tenth of the
time. What the agent is given is another matter: each member is brought to zero mean and one fixed standard deviation by
its own running statistics, and then the members are averaged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from preflab.checkpoint import strip_prefix, with_prefix
from preflab.checks import check_above, check_at_least, check_within, refuse_unread
from preflab.config_overrides import check_types
from preflab.control.clips import Clip
from preflab.control.rewards.labelled_pairs import Pairs
from preflab.control.rewards.labels import Label, Labels
from preflab.control.running_stats import RunningMeanStd
from preflab.control.state_tensors import load_module_state, module_state
from preflab.errors import ConfigError, DataError, TrainingStopped
from preflab.maths.preference import preference_loss

_TINY = 1e-8


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig:
    """How members are fitted."""

    members: int = 3
    lapse: float = 0.1
    """Share of answers that are taken to be random (sec. 2.2.3)."""
    bootstrap: bool = True
    """Whether each member has its own sample of the labels; without, all have all and none is held out."""
    learning_rate: float = 1e-3
    """Of Adam. The paper gives none; rl-teacher's."""
    batch_labels: int = 64
    return_l2: float = 0.0
    """Weight of squared returns in the loss, of a clip all of whose steps earn what one step does, mean over steps;
    1e-3 is a normal prior of 22 nats. Ours; the paper has none. Certain answers drive gaps ever further apart, and an
    answer to the contrary then has no gradient left (with lapses 4e-8 of it at 20 nats): the first labels are locked
    in. What it does on which task: docs/control.md."""
    l2: float = 1e-4
    """Weight decay to begin with. Adapted where labels are held out."""
    l2_step: float = 0.1
    """Factor 1 + step up or 1 - step down after each epoch; 0 keeps it as it is."""
    low_ratio: float = 1.1
    high_ratio: float = 1.5
    """Validation loss over training loss is kept between these (sec. 2.2.3)."""
    target_std: float = 1.0
    """Standard deviation of the rewards that an agent is given: 1 on MuJoCo, 0.05 on Atari (appendix A)."""
    discount: float = 1.0
    """Of later steps of a clip in the loss; the paper discounts none and notes that one could."""
    target: bool = False
    """Fit the clip's true return by squared error in place of comparisons: the ablation "target" (sec. 3.3)."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "members", "batch_labels")
        check_at_least(self, 0, "l2", "return_l2")
        check_above(self, 0, "learning_rate", "target_std", "low_ratio")
        check_within(self, "[0, 1)", "lapse", "l2_step")
        check_within(self, "(0, 1]", "discount")
        if self.low_ratio > self.high_ratio:
            raise ConfigError(f"low_ratio must be at most high_ratio ({self.high_ratio}), got {self.low_ratio}")
        if self.target:
            refuse_unread(self, "target=true", "lapse", neutral=0)
        if not self.bootstrap:
            refuse_unread(self, "bootstrap=false, which holds no label out", "l2_step", neutral=0)
        if self.l2 == 0:
            refuse_unread(self, "l2=0", "l2_step", neutral=0)
        if not self.bootstrap or self.l2 == 0 or self.l2_step == 0:
            refuse_unread(self, "an l2 that is not adapted", "low_ratio", "high_ratio")


@dataclass
class Fit:
    """What one call of `RewardEnsemble.fit` found, a number a member."""

    train_loss: list[float] = field(default_factory=list)
    """Nats a label, after the last epoch."""
    held_out_loss: list[float | None] = field(default_factory=list)
    accuracy: list[float | None] = field(default_factory=list)
    """Share of decided held-out labels on the right side; ties have no side."""
    l2: list[float] = field(default_factory=list)


class _Told(NamedTuple):
    """Of each label."""

    loss: Float[Tensor, " label"]
    """Nats; for the ablation the squared error of both clips' returns."""
    gap: Float[Tensor, " label"]
    """Return of the left clip minus the right one's."""
    squares: Float[Tensor, " label"]
    """``(steps of a clip * reward)^2``, mean over the steps of both clips."""


class RewardEnsemble:
    """Members with weights, optimisers and statistics of their own.

    Args:
        make  a new predictor; called once a member, with torch's generator seeded for it.
        seed  where the members' weights, bootstraps and batches start.
    """

    def __init__(self, make: Callable[[], nn.Module], config: EnsembleConfig | None = None, *, seed: int = 0) -> None:
        self.config, self.seed = config or EnsembleConfig(), seed
        self.members: list[nn.Module] = []
        for m in range(self.config.members):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed * 1_000_003 + m)
                self.members.append(make().eval())
        self._optimisers = [
            torch.optim.Adam(member.parameters(), lr=self.config.learning_rate, fused=True) for member in self.members
        ]
        self.l2 = [self.config.l2] * self.config.members
        self.running = [RunningMeanStd(1) for _ in self.members]
        self.epochs = 0
        """Epochs of fitting so far."""

    # what an agent and a chooser of queries ask -----------------------------------------------------------

    @torch.no_grad()
    def raw(self, observations: Tensor, actions: Tensor) -> Float[Tensor, "member item"]:
        """Each member's own reward for each step, as the loss sees it."""
        return torch.stack([member(observations, actions) for member in self.members])

    def rewards(self, observations: Tensor, actions: Tensor, *, learn_scale: bool = True) -> Float[np.ndarray, " item"]:
        """What the agent is given: members normalised one by one, then averaged.

        Args:
            learn_scale  whether these predictions count for the running statistics.

        Raises:
            TrainingStopped: a prediction is not finite.
        """
        raw = self.raw(observations, actions).double().numpy()
        if not np.isfinite(raw).all():
            raise TrainingStopped("the reward predictor's output is not finite; a smaller learning rate may help")
        scaled = []
        for own, running in zip(raw, self.running, strict=True):
            if learn_scale:
                running.add(own[:, None])
            scaled.append(self.config.target_std * (own - running.mean[0]) / (running.std[0] + _TINY))
        return np.asarray(np.mean(scaled, axis=0))

    def reset_scale(self) -> None:
        """Forget the running statistics: predictions changed their scale (after pretraining)."""
        self.running = [RunningMeanStd(1) for _ in self.members]

    def pair_gaps(self, pairs: Sequence[tuple[Clip, Clip]], *, at_once: int = 4096) -> Float[np.ndarray, "member pair"]:
        """Return of the left clip minus the right one's, by each member, raw; a clip is looked at once, however many
        pairs it is in.

        Args:
            at_once  steps that go through the members together: pictures take room.

        Raises:
            DataError: clips differ in length.
        """
        clips = {clip.id: clip for pair in pairs for clip in pair}
        place = {own: k for k, own in enumerate(clips)}
        found = np.empty((len(self.members), len(clips)))
        held = list(clips.values())
        if len(lengths := {len(clip) for clip in held}) > 1:
            raise DataError(
                f"expected clips of one length, got some of {' and '.join(map(str, sorted(lengths)))} steps"
            )
        size = max(1, at_once // len(held[0])) if held else 1
        for start in range(0, len(held), size):
            part = held[start : start + size]
            observations, actions = (
                torch.as_tensor(np.concatenate([getattr(clip, what) for clip in part]))
                for what in ("observations", "actions")
            )
            raw = self.raw(observations, actions).reshape(len(self.members), len(part), -1)
            found[:, start : start + size] = self._returns(raw).double().numpy()
        left, right = ([place[pair[side].id] for pair in pairs] for side in (0, 1))
        return np.asarray(found[:, left] - found[:, right])

    # fitting ----------------------------------------------------------------------------------------------

    def weights_of(self, labels: Sequence[Label], first: int = 0) -> Float[np.ndarray, "member label"]:
        """How often each label counts for each member: drawn once, from a Poisson distribution of mean 1.

        A label keeps its weights however many come after it; about 1/e of the labels have weight 0 and are the
        member's held-out set.

        Args:
            first  number of the first of these labels among all of the run.
        """
        if not self.config.bootstrap:
            return np.ones((len(self.members), len(labels)))
        drawn = [
            [np.random.default_rng((self.seed, m, first + i)).poisson(1.0) for i in range(len(labels))]
            for m in range(len(self.members))
        ]
        return np.array(drawn, dtype=np.float64).reshape(len(self.members), len(labels))

    def fit(self, labels: Labels, *, epochs: int) -> Fit:
        """Go over the usable labels so many times; the regularisation is adapted after each."""
        usable = labels.usable
        if not usable or epochs < 1:
            return Fit()
        told = [label for label in labels.all if label.prob_left is not None]
        weights = self.weights_of(usable, first=len(told) - len(usable))
        data = Pairs(labels, usable, target=self.config.target)
        found = Fit()
        for _ in range(epochs):
            found = Fit()
            for m in range(len(self.members)):
                self._epoch(m, data, weights[m])
                self._judge(m, data, weights[m], found)
            self.epochs += 1
        return found

    def _epoch(self, m: int, data: Pairs, weights: np.ndarray) -> None:
        """One pass of one member over its bootstrap: each label once, counted as often as it was drawn."""
        if not weights.any():
            return
        member, optimiser = self.members[m], self._optimisers[m]
        rng = np.random.default_rng((self.seed, m, self.epochs, 7))
        order, counts = torch.as_tensor(rng.permutation(np.flatnonzero(weights))), torch.as_tensor(weights).float()
        member.train()
        optimiser.param_groups[0]["weight_decay"] = 2 * self.l2[m]  # Adam's: the gradient of l2 times the squared norm
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))  # of dropout
            for batch in torch.split(order, self.config.batch_labels):
                found = self._predict(member, data, batch)
                loss = (found.loss + self.config.return_l2 * found.squares) @ counts[batch] / counts[batch].sum()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        member.eval()

    @torch.no_grad()
    def _judge(self, m: int, data: Pairs, weights: np.ndarray, found: Fit) -> None:
        """Losses of one member on its own sample and on what it has not seen; adapts its regularisation."""
        member, config = self.members[m], self.config
        parts = [self._predict(member, data, at) for at in torch.split(torch.arange(len(weights)), data.at_once)]
        losses, gaps = torch.cat([part.loss for part in parts]), torch.cat([part.gap for part in parts])
        counts = torch.as_tensor(weights).float()
        held = counts == 0
        train = float((losses * counts).sum() / counts.sum()) if not held.all() else None
        held_out = float(losses[held].mean()) if held.any() else None
        if train is not None and held_out is not None and train > 0 and config.l2_step > 0:
            if held_out / train > config.high_ratio:
                self.l2[m] *= 1 + config.l2_step
            elif held_out / train < config.low_ratio:
                self.l2[m] *= 1 - config.l2_step
        found.train_loss.append(float("nan") if train is None else train)
        found.held_out_loss.append(held_out)
        found.accuracy.append(_accuracy(gaps[held], data.prob_left[held]))
        found.l2.append(self.l2[m])

    def _predict(self, member: nn.Module, data: Pairs, at: Tensor) -> "_Told":
        """What a member says of labels, with gradients."""
        observations, actions = data.inputs(at)
        pairs, _, steps = observations.shape[:3]
        rewards = member(observations.flatten(0, 2), actions.flatten(0, 2)).reshape(pairs, 2, steps)
        returns = self._returns(rewards)
        if data.targets is not None:
            loss = ((returns - data.targets[at]) ** 2).mean(dim=-1)
        else:
            loss = preference_loss(returns[:, 0], returns[:, 1], data.prob_left[at], lapse=self.config.lapse)
        return _Told(loss, returns[:, 0] - returns[:, 1], (steps * rewards).square().mean(dim=(1, 2)))

    def _returns(self, rewards: Float[Tensor, "... step"]) -> Float[Tensor, "..."]:
        """Sum over the steps of a clip."""
        if self.config.discount == 1:
            return rewards.sum(dim=-1)
        return (rewards * self.config.discount ** torch.arange(rewards.shape[-1])).sum(dim=-1)

    # keeping ----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Everything that fitting and predicting depend on, as tensors."""
        found = {"epochs": torch.tensor(self.epochs), "l2": torch.tensor(self.l2, dtype=torch.float64)}
        found["running"] = torch.stack([own.state() for own in self.running])
        for m, (member, optimiser) in enumerate(zip(self.members, self._optimisers, strict=True)):
            found |= with_prefix(f"member{m}.", module_state(member, optimiser))
        return found

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self.epochs, self.l2 = int(state["epochs"]), state["l2"].tolist()
        for own, kept in zip(self.running, state["running"], strict=True):
            own.load_state(kept)
        for m, (member, optimiser) in enumerate(zip(self.members, self._optimisers, strict=True)):
            load_module_state(member, optimiser, strip_prefix(state, f"member{m}."))


def _accuracy(gap: Float[Tensor, " label"], prob_left: Float[Tensor, " label"]) -> float | None:
    """Share of decided labels on the right side."""
    decided = (prob_left - 0.5).abs() > 0.25
    return float(((gap > 0).float() == prob_left)[decided].float().mean()) if decided.any() else None
