"""A preference model that judges: the probability that Bradley and Terry's model gives to its scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from preflab.config_overrides import check_types
from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError
from preflab.feedback.labellers.settings import Openers, labeller_name, read_settings, two_replies
from preflab.interfaces import Labels, Scorer
from preflab.rollouts.requests.responders import ScorerResponder
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import Failure, Response, RewardScores, ScoreReplies


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceModelSettings:
    """Settings of a preference model that labels."""

    temperature: float = 1.0
    """Nats that the gap of two scores is divided by; 0 decides by the sign of the gap."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.temperature < 0:
            raise ConfigError(f"temperature must not be negative, got {self.temperature}")


class PreferenceModelLabeller:
    """``P(first is better) = sigmoid((score of the first - score of the second) / temperature)``, scores in nats.

    Every reply is scored once, however many pairs it is in. A pair is not labelled where a reply has no score: it is
    too long for the model, or the score is not a number.

    Args:
        scorer  of finished dialogues.
        name    stands in the labels.
        digest  of the scorer, for the cache.
        cache   of scores; without one they are kept for a call alone.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        name: str = "preference model",
        digest: str = "",
        settings: PreferenceModelSettings = PreferenceModelSettings(),
        cache: ResponseCache | None = None,
    ) -> None:
        self.name, self.settings = name, settings
        self._responder = ScorerResponder(scorer, name=name, digest=digest)
        self._cache = cache

    def __call__(self, pairs: Sequence[Comparison]) -> Labels:
        """Labels of pairs of replies."""
        by_prompt: dict[Dialogue, dict[str, None]] = {}
        for pair in pairs:
            by_prompt.setdefault(pair.prompt, {}).update(dict.fromkeys(two_replies(pair)))
        scores = self._scores([(prompt, reply) for prompt, replies in by_prompt.items() for reply in replies])
        return Labels.of([self._label(scores, pair) for pair in pairs])

    def _scores(self, replies: Sequence[tuple[Dialogue, str]]) -> dict[tuple[Dialogue, str], Response]:
        """The score of each reply, or why there is none; replies to one prompt stand side by side and share it."""
        cache = self._cache or ResponseCache(None)
        requests = [ScoreReplies(prompt=prompt, replies=(reply,)) for prompt, reply in replies]
        responses = dict(cache.respond(self._responder, requests))
        return {reply: responses[i] for i, reply in enumerate(replies)}

    def _label(self, scores: Mapping[tuple[Dialogue, str], Response], pair: Comparison) -> float | str:
        nats = []
        for reply in two_replies(pair):
            response = scores[pair.prompt, reply]
            if isinstance(response, Failure):
                return response.reason
            assert isinstance(response, RewardScores)
            nats.append(response.scores[0])
        return prob_of_gap(nats[0] - nats[1], self.settings.temperature)


def prob_of_gap(gap: float, temperature: float) -> float:
    """``sigmoid(gap / temperature)``; at temperature 0 it is 1, 0, or 0.5 by the sign of the gap."""
    if temperature == 0:
        return 0.5 if gap == 0 else float(gap > 0)
    return 0.5 + 0.5 * math.tanh(gap / temperature / 2)


def open_from_spec(subject: str, settings: Mapping[str, str], openers: Openers) -> PreferenceModelLabeller:
    """``pm:FOLDER``, or the run whose preference model it is."""
    chosen = read_settings(PreferenceModelSettings(), settings, "pm")
    scorer, digest = openers.scorer(subject)
    name = labeller_name(f"pm:{subject}", digest, chosen.temperature)
    return PreferenceModelLabeller(scorer, name=name, digest=digest, settings=chosen, cache=openers.cache)
