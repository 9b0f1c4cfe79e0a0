"""The whole loop over HTTP: a server, a run and five annotators, each by itself; once undisturbed, once under kills."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.annotators import Page
from benchmarks.online_loop import run

FEW = ["data.max_comparisons=30", "evaluation_prompts=3", "poll_seconds=0.2"]


def check(found: dict[str, Any], *, choices: int) -> None:
    assert found["faults"] == []
    assert found["sound"]
    assert found["annotators"] >= 2
    # every vote the site acknowledged counts; the ends of conversations count besides
    votes = found["judgements"]["counted"] - found["ended"]
    assert votes == found["votes"] >= found["acknowledged"] > 0
    assert all(n >= choices for n in found["choices"].values())
    assert set(found["elo"]) >= {"start", "round-0"}
    assert all(value is not None for value in found["agrees_with_known"].values())


def test_people_over_http_teach_a_policy_and_are_shown_the_next_one(tmp_path: Path) -> None:
    settings = [*FEW, "rounds=1", "judgements=5", "final_judgements=3"]
    check(run("smoke", tmp_path, settings, people=3), choices=3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_server_and_run_killed_on_the_way_lose_nothing(seed: int, tmp_path: Path) -> None:
    check(run("smoke", tmp_path, FEW, people=5, kills=6, seed=seed), choices=6)


def test_a_page_is_read_as_a_person_sees_it() -> None:
    page = Page(
        '<p class="topic">Suggestion: <bdi>a &amp; b</bdi></p><article class="message user"><bdi>me</bdi></article>'
        '<ol><li class="reply done"><div><bdi>one\n&lt;b&gt;</bdi></div></li><li class="reply"><bdi>two</bdi></li></ol>'
        '<form method="post" action="/s/x/vote/0"><input type="hidden" name="csrf" value="t">'
        '<input type="radio" name="scale" value="-1"><input type="radio" name="scale" value="1">'
        '<input type="checkbox" name="both_bad" value="1"></form><div aria-busy="true"></div>',
        "http://here/s/x/task/1",
        200,
    )
    assert (page.topic, page.turns, page.busy) == ("a & b", 1, True)
    assert page.replies == ["one\n<b>", "two"]
    (form,) = page.forms
    assert form.action == "http://here/s/x/vote/0"
    assert form.fields == {"csrf": "t"} and form.choices == {"scale": ["-1", "1"]}
