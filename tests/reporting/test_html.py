"""Pages: text of models and data stays text, commands can be typed again, series have their gaps."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from preflab.reporting.html import metric_series, render_page, repeat_command, truncate, write_page


@dataclass(frozen=True)
class Config:
    seed: int = 0
    steps: int = 10
    data: str = "starter"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<b>&", "&lt;b&gt;&amp;"),
        ("a\x07b", "a\N{SYMBOL FOR BELL}b"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("left \u202eright", "left \ufffdright"),
        ("\ud800", "\ufffd"),
    ],
)
def test_text_is_escaped_and_printable(tmp_path: Path, text: str, expected: str) -> None:
    template = tmp_path / "page.html.j2"
    template.write_text("<p>{{ text }}</p>")
    assert write_page(tmp_path, template, text=text).read_text("utf-8") == f"<p>{expected}</p>"


def test_a_page_is_replaced_whole_and_numbers_have_filters(tmp_path: Path) -> None:
    template, page = tmp_path / "page.html.j2", tmp_path / "deep" / "page.html"
    template.write_text("{{ value|number('.1f') }}")
    for value in (1.25, 2.5):
        render_page(page, template, value=value)
    assert page.read_text() == "2.5"
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


def test_a_name_that_a_template_lacks_is_an_error(tmp_path: Path) -> None:
    template = tmp_path / "page.html.j2"
    template.write_text("{{ missing }}")
    with pytest.raises(Exception, match="missing"):
        render_page(tmp_path / "page.html", template)


def facts(config: dict[str, Any], **record: Any) -> dict[str, Any]:
    return {"record": record, "config": config, "name": "r"}


def test_the_command_names_the_nearest_scale_and_what_differs() -> None:
    scales = {"default": Config, "long": lambda: Config(steps=100)}
    settings = {"seed": 3, "steps": 100, "data": "my data.jsonl"}
    command = repeat_command("preflab run sft", scales, facts(settings))
    expected = ["preflab", "run", "sft", "--scale", "long", "--seed", "3", "--name", "r-again"]
    assert shlex.split(command) == [*expected, "--set", "data=my data.jsonl"]


def test_a_recorded_command_is_repeated_as_it_was() -> None:
    assert repeat_command("x", {}, facts({}, command="preflab align")) == "preflab align"
    assert repeat_command("x", {}, facts({}, command=["preflab", "--name", "a b"])) == "preflab --name 'a b'"


def test_a_logged_number_over_the_steps() -> None:
    lines = [{"step": 1, "loss": 0.5}, {"step": 2}, {"step": 3, "loss": 0.25}]
    series = metric_series("loss", lines, "loss", colour=2)
    assert (list(series.x), list(series.y), series.colour) == ([1, 2, 3], [0.5, None, 0.25], 2)
    banded = metric_series("loss", lines, "loss", [0.125, None, None])
    assert (banded.low, banded.high) == ([0.25, None, None], [0.75, None, None])


def test_long_texts_are_cut_and_say_so() -> None:
    assert truncate("abc", 3) == "abc"
    assert truncate("a" * 1500, 100) == "a" * 100 + " … (1,400 more characters)"
