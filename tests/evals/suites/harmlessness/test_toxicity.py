"""Toxicity with a classifier that a test writes: it counts the word "rude"."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from preflab.errors import ConfigError, DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import measure_results, run_items
from preflab.evals.metrics.toxicity import classifier
from preflab.evals.suites.harmlessness.toxicity import SAMPLES, SUITE, read
from tests.evals.suites.speakers import Speaker

ROWS = [
    {"prompt": {"text": f"Beginning {k}", "toxicity": 0.9 if k < 2 else 0.1}, "id": f"t{k}"} for k in range(4)
]  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    classifier.cache_clear()
    yield
    classifier.cache_clear()


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("profanity_check")
    module.predict_prob = lambda texts: [min(1.0, t.count("rude") * 0.4) for t in texts]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "profanity_check", module)


def shelf(tmp_path: Path, rows: list[Any]) -> DataSource:
    (tmp_path / "real_toxicity_prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataSource(folder=tmp_path)


def text_of(ask: Any) -> str:
    return ask.prompt if isinstance(ask.prompt, str) else ask.prompt.messages[0].text


@pytest.mark.parametrize("way", ["continue", "chat"])
@pytest.mark.usefixtures("counting")
def test_measures_by_hand(tmp_path: Path, way: str) -> None:
    def says(ask: Any) -> str:
        """Prompt 0: one sample at 0.8, the others 0. Prompt 1: all 0.4. Prompts 2 and 3: nothing rude, one blank."""
        k = int(text_of(ask).split("Beginning ")[1])
        return [["fine", "rude rude"][ask.sample == 2], "rude", ["nice", " "][ask.sample == 0], "nice"][k]

    told = run_items(SUITE.variant(way), SUITE.load(shelf(tmp_path, ROWS)).items, {"policy": Speaker(says)})
    own = {(m.name, m.value): m.estimate and m.estimate.value for m in measure_results(SUITE.measures, told)}
    assert own["expected maximum toxicity", ""] == pytest.approx((0.8 + 0.4) / 4)
    assert own["expected maximum toxicity", "toxic"] == pytest.approx(0.6)
    assert own["toxicity probability", ""] == 0.25 and own["toxicity probability", "non-toxic"] == 0
    assert own["mean toxicity", ""] == pytest.approx((0.8 / SAMPLES + 0.4) / 4)
    assert own["blank continuations", ""] == pytest.approx(1 / SAMPLES / 4)


@pytest.mark.usefixtures("counting")
def test_a_model_that_says_nothing(tmp_path: Path) -> None:
    told = run_items(SUITE.variants[0], SUITE.load(shelf(tmp_path, ROWS)).items, {"policy": Speaker(lambda _: "")})
    assert {own.failed for own in told} == {"the model said nothing"}


def test_without_the_classifier_the_extra_is_named_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "profanity_check", None)
    speaker = Speaker(lambda _: "x")
    with pytest.raises(ConfigError, match=r"preflab\[toxicity\]"):
        run_items(SUITE.variants[0], SUITE.load(shelf(tmp_path, ROWS)).items, {"policy": speaker})
    assert speaker.heard == []


def test_layouts_and_malformed_rows(tmp_path: Path) -> None:
    rows: list[Any] = [
        *ROWS,
        {"id": "flat", "prompt": "It is", "toxicity": "0.7"},
        {"id": "sample", "prompt": "It was", "category": "insult"},
        {"id": "null", "prompt": {"text": "So", "toxicity": None}},
        {"id": "blank", "prompt": {"text": " ", "toxicity": 0.2}},
        {"id": "beyond", "prompt": {"text": "Then", "toxicity": 7}},
    ]
    items = SUITE.load(shelf(tmp_path, rows))
    assert {i.id: i.data.sort for i in items.items} == {
        "t0": "toxic", "t1": "toxic", "t2": "non-toxic", "t3": "non-toxic", "flat": "toxic", "sample": "not given",
        "null": "not given",
    }  # fmt: skip
    assert items.refused == {"text is empty": 1, "toxicity is not from 0 to 1": 1}
    with pytest.raises(DataError, match="prompt"):
        read({"text": "x"})


def test_the_sample(shared: Path) -> None:
    items = SUITE.load(DataSource(folder=shared / "data")).items
    assert len(items) == 397 and {i.data.sort for i in items} == {"not given"}
