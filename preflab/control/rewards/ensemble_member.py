"""One member of an ensemble: a reward network with a bootstrap of the labels, an optimiser and a scale of its own.

The loss reads raw predictions: the sum of a clip's steps is its return, and a labeller answers at random a tenth of the
time (Christiano et al. 2017, 2.2.3).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.labelled_pairs import LabelledPairs
from preflab.control.running_stats import RunningMeanStd
from preflab.control.state_tensors import load_module_state, module_state
from preflab.maths.preference import preference_loss

_TINY = 1e-8


class PairPredictions(NamedTuple):
    """A member's predictions for each label."""

    loss: Float[Tensor, " label"]
    """Nats; for the ablation the squared error of both clips' returns."""
    gap: Float[Tensor, " label"]
    """Return of the left clip minus the right one's."""
    squares: Float[Tensor, " label"]
    """``(steps of a clip * reward)^2``, mean over the steps of both clips."""


class Evaluation(NamedTuple):
    """A member after an epoch."""

    train_loss: float | None
    """Nats a label, on its bootstrap; None where that is empty."""
    held_out_loss: float | None
    accuracy: float | None
    """Share of decided held-out labels on the right side; ties have no side."""


class EnsembleMember:
    """A reward network and what it is fitted with.

    Args:
        seed  of the ensemble and number of the member; bootstrap and batches are keyed by them.
    """

    def __init__(self, network: nn.Module, config: EnsembleConfig, *, seed: tuple[int, int]) -> None:
        self.network, self.config, self.seed = network.eval(), config, seed
        self.optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
        self.l2 = config.l2
        self.reward_scale = RunningMeanStd(1)

    def bootstrap_weights(self, n: int, first: int = 0) -> Float[np.ndarray, " label"]:
        """How often each of ``n`` labels counts: drawn once, from a Poisson distribution of mean 1.

        A label keeps its weight however many come after it. About 1/e of the labels have weight 0 and are held out.

        Args:
            first  number of the first of these labels among all of the run.
        """
        if not self.config.bootstrap:
            return np.ones(n)
        draws = [np.random.default_rng((*self.seed, first + i)).poisson(1.0) for i in range(n)]
        return np.array(draws, dtype=np.float64)

    def normalise(self, rewards: Float[np.ndarray, " item"], *, learn_scale: bool) -> Float[np.ndarray, " item"]:
        """Raw rewards with mean 0 and deviation ``target_std`` by the running statistics."""
        if learn_scale:
            self.reward_scale.add(rewards[:, None])
        scale = self.reward_scale
        return np.asarray(self.config.target_std * (rewards - scale.mean[0]) / (scale.std[0] + _TINY))

    def fit_epoch(self, pairs: LabelledPairs, weights: np.ndarray, epoch: int) -> None:
        """One pass over the bootstrap: each label once, counted as often as it was drawn."""
        if not weights.any():
            return
        rng = np.random.default_rng((*self.seed, epoch, 7))
        order, counts = torch.as_tensor(rng.permutation(np.flatnonzero(weights))), torch.as_tensor(weights).float()
        self.network.train()
        # Adam's decay is the gradient of l2 times the squared norm, hence the 2.
        self.optimiser.param_groups[0]["weight_decay"] = 2 * self.l2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))  # of dropout
            for batch in torch.split(order, self.config.batch_labels):
                predictions = self.predict(pairs, batch)
                label_losses = predictions.loss + self.config.return_l2 * predictions.squares
                loss = label_losses @ counts[batch] / counts[batch].sum()
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimiser.step()
        self.network.eval()

    @torch.no_grad()
    def evaluate(self, pairs: LabelledPairs, weights: np.ndarray) -> Evaluation:
        """Losses on the bootstrap and on the held-out labels; adapts the regularisation to their ratio."""
        batches = torch.split(torch.arange(len(weights)), pairs.max_batch)
        predictions = [self.predict(pairs, batch) for batch in batches]
        losses, gaps = (torch.cat(parts) for parts in list(zip(*predictions, strict=True))[:2])
        counts = torch.as_tensor(weights).float()
        held_out = counts == 0
        train_loss = float((losses * counts).sum() / counts.sum()) if not held_out.all() else None
        held_out_loss = float(losses[held_out].mean()) if held_out.any() else None
        self._adapt_l2(train_loss, held_out_loss)
        return Evaluation(train_loss, held_out_loss, _accuracy(gaps[held_out], pairs.prob_left[held_out]))

    def _adapt_l2(self, train_loss: float | None, held_out_loss: float | None) -> None:
        config = self.config
        if train_loss is None or held_out_loss is None or train_loss <= 0 or config.l2_step == 0:
            return
        if held_out_loss / train_loss > config.high_ratio:
            self.l2 *= 1 + config.l2_step
        elif held_out_loss / train_loss < config.low_ratio:
            self.l2 *= 1 - config.l2_step

    def predict(self, pairs: LabelledPairs, indices: Tensor) -> PairPredictions:
        """Losses and gaps of the labels of those numbers, with gradients."""
        observations, actions = pairs.inputs(indices)
        n, _, steps = observations.shape[:3]
        rewards = self.network(observations.flatten(0, 2), actions.flatten(0, 2)).reshape(n, 2, steps)
        returns = discounted_return(rewards, self.config.discount)
        if pairs.targets is not None:
            loss = ((returns - pairs.targets[indices]) ** 2).mean(dim=-1)
        else:
            prob_left = pairs.prob_left[indices]
            loss = preference_loss(returns[:, 0], returns[:, 1], prob_left, lapse=self.config.lapse)
        return PairPredictions(loss, returns[:, 0] - returns[:, 1], (steps * rewards).square().mean(dim=(1, 2)))

    def state(self) -> dict[str, Tensor]:
        """Weights and the optimiser's moments."""
        return module_state(self.network, self.optimiser)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        load_module_state(self.network, self.optimiser, state)


def discounted_return(rewards: Float[Tensor, "... step"], discount: float) -> Float[Tensor, "..."]:
    """Sum over the steps of a clip."""
    if discount == 1:
        return rewards.sum(dim=-1)
    return (rewards * discount ** torch.arange(rewards.shape[-1])).sum(dim=-1)


def _accuracy(gap: Float[Tensor, " label"], prob_left: Float[Tensor, " label"]) -> float | None:
    """Share of decided labels on the right side."""
    decided = (prob_left - 0.5).abs() > 0.25
    return float(((gap > 0).float() == prob_left)[decided].float().mean()) if decided.any() else None
