"""What a template does to replies is told where people look."""

from pathlib import Path
from typing import Any

from preflab.reporting.report import Facts, data_section
from preflab.reporting.template_text import template_text

DIFFERENCES = {"single turn": "'An apple.' is told as '<think></think>An apple.'", "system message": "refused: No!"}


def test_a_plain_template_needs_no_words() -> None:
    assert template_text({}) == []


def test_each_kind_of_dialogue_has_a_line_behind_one_that_says_what_follows_from_it() -> None:
    head, *lines = template_text({"template_differences": DIFFERENCES})
    assert "trained and measured on what the template tells" in head
    assert lines == [
        "single turn: 'An apple.' is told as '<think></think>An apple.'",
        "system message: refused: No!",
    ]


def test_the_date_that_a_template_was_given_is_told() -> None:
    sentences = template_text({"template_moment": "2024-02-29T23:59:00"})
    assert sentences == ["The chat template tells a date: that of the run's start, 2024-02-29T23:59:00 (UTC)."]


def test_the_section_on_the_data_ends_with_it(tmp_path: Path) -> None:
    record: dict[str, Any] = {
        "data": {"source": "starter", "format": "jsonl", "records": 2},
        "counts": {},
        "model": {"template_differences": DIFFERENCES},
    }
    facts = Facts(folder=tmp_path, recipe="demo", config={}, record=record, results={})
    after = data_section(facts, {"Comparisons": {"train": 2}}).after
    assert list(after) == ["Nothing was refused.", *template_text({"template_differences": DIFFERENCES})]
