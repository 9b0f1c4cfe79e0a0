"""Checkpoints by name, and their names in files."""

import pytest

from preflab.errors import ConfigError
from preflab.recipes.ganguli2023_self_correction.checkpoints import (
    Checkpoint,
    condition_key,
    format_size,
    parse_checkpoint,
    slug,
)


@pytest.mark.parametrize(
    ("text", "found", "name"),
    [
        ("smollm2", Checkpoint("smollm2"), "smollm2"),
        ("runs/a@steps=200", Checkpoint("runs/a", None, 200), "a-200"),
        ("Org/Model@size=1.5B@steps=0", Checkpoint("Org/Model", 1.5e9, 0), "model-1.5b-0"),
        ("http://me@host:80@size=70B", Checkpoint("http://me@host:80", 7e10), "me-host-80-70b"),
    ],
)
def test_checkpoints_by_name(text: str, found: Checkpoint, name: str) -> None:
    """Size and steps behind the name; an @ of the name's own stays."""
    assert parse_checkpoint(text) == found
    assert slug(found) == name


@pytest.mark.parametrize("text", ["a@size=big", "@steps=1", "a@steps=few"])
def test_checkpoints_that_are_none(text: str) -> None:
    """The message says the form."""
    with pytest.raises(ConfigError, match="expected NAME"):
        parse_checkpoint(text)


def test_names_of_conditions_and_sizes() -> None:
    """The plain question has no paraphrases."""
    assert condition_key("q", 2) == "q"
    assert condition_key("if", 2) == "if.2"
    assert [format_size(size) for size in (None, 950.0, 135e6, 1.5e9)] == ["unknown", "950", "135M", "1.5B"]
