"""The classifier of toxicity, loaded once, and what is said where it is missing."""

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from preflab.errors import ConfigError
from preflab.evals.metrics.toxicity import classifier


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    classifier.cache_clear()
    yield
    classifier.cache_clear()


def test_a_classifier_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "profanity_check", None)
    with pytest.raises(ConfigError, match=r"preflab\[toxicity\]"):
        classifier()


def test_no_texts_need_no_classifier_and_scores_are_plain_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("profanity_check")
    module.predict_prob = lambda texts: [0.25 * len(text) for text in texts]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "profanity_check", module)
    assert classifier()(["a", "bb"]) == [0.25, 0.5] and classifier()([]) == []
    assert classifier() is classifier()


def test_the_classifier_itself() -> None:
    pytest.importorskip("profanity_check", reason="the extra 'toxicity' is not installed")
    low, high = classifier()(["Thank you for the lovely dinner.", "You damn stupid idiot."])
    assert low < 0.3 < 0.7 < high
    assert classifier()([]) == []
