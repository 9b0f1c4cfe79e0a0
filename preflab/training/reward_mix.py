"""Several scorers as one, weighted by where a prompt comes from: help asked for is judged otherwise than an attack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, DataError
from preflab.interfaces import Scorer, scores_of


@dataclass(frozen=True)
class SourceMix:
    """A ``Scorer`` that is a weighted sum of others, with weights for each source of prompts.

    For bai2022_mixing (issue to come); docs/rl.md shows it in Python.

    Bai et al. 2022 train on helpful and on red-team prompts at once; with a preference model for each
    (helpfulness, harmlessness) the weights say how much each counts where. A scorer whose weight is 0 for a source is
    not run on it.

    Raises:
        ConfigError: a weight or an offset names a scorer that is not there, or a source has no weight above or below 0.
    """

    scorers: Mapping[str, Scorer]
    weights: Mapping[str, Mapping[str, float]]
    """Source -> scorer -> weight. A scorer that is not named has weight 0."""
    sources: Mapping[Dialogue, str]
    """Source of each prompt."""
    offsets: Mapping[str, float] = field(default_factory=dict)
    """Taken from a scorer's scores before they are weighted: preference models have no zero in common (Bai et al.
    take out each one's mean over the same held-out samples)."""

    def __post_init__(self) -> None:
        named = {name for by_scorer in self.weights.values() for name in by_scorer} | self.offsets.keys()
        if unknown := named - self.scorers.keys():
            raise ConfigError(f"no scorer {', '.join(sorted(unknown))}; there are {', '.join(sorted(self.scorers))}")
        if idle := [source for source, by_scorer in self.weights.items() if not any(by_scorer.values())]:
            raise ConfigError(f"source {idle[0]!r} has no scorer with a weight other than 0")

    def __call__(self, dialogues: Sequence[Dialogue]) -> Float[Tensor, " dialogue"]:
        """The weighted sum of each dialogue's source.

        Raises:
            DataError: a dialogue's prompt has no source, or its source no weights.
            ContractError: a scorer returned what is no score.
        """
        by_dialogue = [self._weights_of(dialogue) for dialogue in dialogues]
        total = torch.zeros(len(dialogues))
        for name, scorer in self.scorers.items():
            at = [i for i, weights in enumerate(by_dialogue) if weights.get(name, 0.0) != 0.0]
            if at:
                scores = scores_of(scorer, [dialogues[i] for i in at]).cpu() - self.offsets.get(name, 0.0)
                total[at] += torch.tensor([by_dialogue[i][name] for i in at]) * scores
        return total

    def _weights_of(self, dialogue: Dialogue) -> Mapping[str, float]:
        source = self.sources.get(dialogue.prompt)
        if source is None or source not in self.weights:
            fault = "no source" if source is None else f"source {source!r}, which has no weights"
            raise DataError(f"the prompt {dialogue.prompt.messages[-1].text!r:.60} has {fault}")
        return self.weights[source]
