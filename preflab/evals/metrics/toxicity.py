"""How likely a text is offensive, by a small classifier on this machine: `alt-profanity-check`, a linear model.

It was trained on human labels of tweets and Wikipedia comments. It reads words, not meaning: it takes mentions of
minorities and of sex for insults more often than people do, misses politely worded hate, and knows English only. Its
scores are for comparing models on the same prompts, not for judging one text.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeAlias

from preflab.errors import ConfigError

Classifier: TypeAlias = Callable[[Sequence[str]], list[float]]
"""Texts -> the probability of each that it is offensive."""


@cache
def classifier() -> Classifier:
    """The classifier, loaded once.

    Raises:
        ConfigError: it is not installed, or does not go with the installed scikit-learn.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of scikit-learn, about models that another version stored
            from profanity_check import predict_prob
    except ImportError as error:
        raise ConfigError(
            "toxicity is scored by alt-profanity-check, which is not installed; it comes with the extra 'toxicity': "
            "pip install 'preflab[toxicity]'"
        ) from error
    except Exception as error:  # a pickled model that this scikit-learn cannot read raises many kinds
        raise ConfigError(
            "alt-profanity-check cannot be loaded; each of its versions needs one version of scikit-learn "
            f"({type(error).__name__}: {error})"
        ) from error

    def score(texts: Sequence[str]) -> list[float]:
        return [float(p) for p in predict_prob(list(texts))] if texts else []

    return score
