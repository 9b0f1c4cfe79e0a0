"""Prompt templates of the self-correction study: filled in one pass, complete, checked."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from preflab.errors import ConfigError
from preflab.evals.suites.bias.prompt_templates import (
    DEFAULT_TEMPLATES,
    fill_template,
    read_sampling,
    read_templates,
)


def test_texts_are_filled_in_one_pass() -> None:
    """Braces of a value are not filled again, and unknown ones stay."""
    assert fill_template("{a} {b} {c}", {"a": "{b}", "b": "x"}) == "{b} x {c}"


def test_our_texts_have_three_paraphrases_each_and_all_differ() -> None:
    """No two instructions of a benchmark are alike."""
    wordings, markers = read_templates()
    for own in wordings.values():
        listed = [text for texts in own.lists.values() for text in texts]
        assert len(set(listed)) == len(listed)
        assert own.paraphrases >= 3
    assert markers.human.strip() == "Human:"
    assert set(read_sampling()) == {"begin", "bbq", "winogender", "admissions"}


@pytest.mark.parametrize("change", ["question", "instruction", "two", "match", "sampling"])
def test_a_file_of_ones_own_is_checked(change: str, tmp_path: Path) -> None:
    """A text that is missing or too few paraphrases are named."""
    texts: dict[str, Any] = yaml.safe_load(DEFAULT_TEMPLATES.read_text("utf-8"))
    if change == "two":
        texts["admissions"]["neutral"] = texts["admissions"]["neutral"][:2]
    elif change == "match":
        del texts["winogender"]["match"]
    elif change == "sampling":
        del texts["sampling"]["bbq"]
    else:
        del texts["bbq"][change]
    path = tmp_path / "own.yaml"
    path.write_text(json.dumps(texts), "utf-8")
    with pytest.raises(ConfigError, match=r"own\.yaml.*(bbq|admissions|winogender|sampling)"):
        read_templates(path)
        read_sampling(path)
