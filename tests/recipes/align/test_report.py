"""The outcome of the main job: right numbers in words; nothing runs, nothing is loaded, nothing breaks it."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from preflab.conversion import to_json
from preflab.errors import RunError
from preflab.maths.statistics import Estimate
from preflab.recipes.align import Config, report
from preflab.recipes.align.report import (
    command_of,
    finite_steps,
    first_replies,
    run_status,
    stage_costs,
    summarise,
    write_report,
)
from preflab.recipes.common.configs import ComparisonDataConfig
from preflab.reporting.format import DASH, MINUS, nats, number, points, sample, share
from preflab.reporting.report import Facts, read_facts
from tests.recipes.align.results_of import (
    ATTACK,
    STAGES,
    make_run,
    measure,
    policy_replies,
    policy_training,
    preference,
    write_results,
)


class Page(HTMLParser):
    """What is needed to judge a page: tags in order, their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def render(folder: Path) -> tuple[str, Page]:
    raw = write_report(folder).read_text(encoding="utf-8")
    return raw, Page(raw)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    return render(make_run(tmp_path_factory.mktemp("runs") / "whole"))


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of words alone: drawing takes most of the time."""
    monkeypatch.setattr(report, "report_plots", lambda results, metrics, config: {})


def words(page: Page) -> str:
    return plain(" ".join(page.text.split()))


def plain(text: str) -> str:
    """With the signs of a keyboard."""
    return text.replace(MINUS, "-").replace("\N{MULTIPLICATION SIGN}", "x")


def test_nothing_runs_and_nothing_is_loaded(whole: tuple[str, Page]) -> None:
    raw, page = whole
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in page.tags:
        assert not [a for a in attributes if a.startswith("on")], tag
        for where in ("src", "href", "xlink:href", "srcset", "action"):
            assert (attributes.get(where) or "#").startswith("#"), (tag, attributes)
    assert not re.findall(r"""(?:url\(|@import)\s*['"]?(?!#)""", raw)
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "script-src" not in policy


def test_replies_are_text_not_markup(whole: tuple[str, Page]) -> None:
    raw, page = whole
    assert ATTACK not in raw
    assert "&lt;script&gt;alert(" in raw
    assert ATTACK in page.text  # the reader sees what the model wrote
    assert "\x00" not in raw and "\u202e" not in raw and "\r" not in raw


def test_sections_come_in_order_and_no_heading_level_is_left_out(whole: tuple[str, Page]) -> None:
    _, page = whole
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    sections = [a["id"] for tag, a in page.tags if tag == "h2"]
    assert sections == [
        "verdicts",
        "replies",
        "data",
        "model",
        "bon",
        "ppo",
        "wins",
        "suites",
        "cost",
        "repeat",
        "words",
    ]


def test_tables_plots_and_ids_are_accessible(whole: tuple[str, Page]) -> None:
    _, page = whole
    count = [tag for tag, _ in page.tags].count
    assert count("table") == count("caption") >= 7
    assert all("scope" in a for tag, a in page.tags if tag == "th")
    plots = [a for tag, a in page.tags if tag == "svg"]
    assert len(plots) == count("figure") == count("figcaption") == 18
    assert all(a["role"] == "img" and a["aria-labelledby"] for a in plots)
    assert page.text.count("How to read this:") == 18
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_summary_says_what_the_numbers_say(whole: tuple[str, Page]) -> None:
    said = words(whole[1])
    assert "picks the better reply in 70.0 % [65.0, 75.0], more often than chance" in said
    assert (
        "it is ahead of judging by length alone and it is not shown to be ahead of judging by the words alone." in said
    )
    assert (
        "the second model prefers the new reply to the original one in 60.0 % [52.0, 68.0] of cases, an improvement"
        in said
    )
    assert "judged by a preference model, not by people" in said
    assert "Possible over-optimisation" not in said and "Collapse." not in said


def test_a_gain_that_the_second_model_does_not_see_is_called_over_optimisation(tmp_path: Path, no_plots: None) -> None:
    said = words(render(make_run(tmp_path / "run", held_out_gain=0.0))[1])
    assert "in 50.0 % [42.0, 58.0] of cases, which is no clear change" in said
    assert (
        said.count("PPO raised the score of the first model (+0.50 [+0.40, +0.60] nats)") == 2
    )  # above, and beside wins
    assert "does not confirm it (0.00 [-0.10, +0.10] nats)" in said


def test_a_commonest_reply_above_a_fifth_is_called_collapse(tmp_path: Path, no_plots: None) -> None:
    said = words(render(make_run(tmp_path / "run", commonest=0.35))[1])
    assert "Collapse. 35 % of the PPO replies are one and the same text (base policy: 1 %)." in said


@pytest.mark.parametrize("upto", STAGES)
def test_the_status_names_what_is_missing(tmp_path: Path, upto: str) -> None:
    facts = read_facts(make_run(tmp_path / "run", upto=upto), "align", report.STAGES)
    status = run_status(facts.results.keys(), facts.metrics, "measure")
    assert status.finished == (upto == "export")
    assert list(status.missing) == list(STAGES[STAGES.index(upto) + 1 :])


@pytest.mark.parametrize("upto", ["data", "best_of_n"])
def test_an_interrupted_run_says_how_far_it_got(tmp_path: Path, upto: str) -> None:
    said = words(render(make_run(tmp_path / "run", upto=upto))[1])
    assert "The run is not finished." in said
    assert "the stage “comparison of the policies” was not reached" in said
    assert ("It got as far as: PPO, 24 steps logged." in said) == (upto == "best_of_n")


def test_a_run_without_any_stage_has_a_report(tmp_path: Path, no_plots: None) -> None:
    folder = make_run(tmp_path / "run", upto="data")
    (folder / "results" / "data.json").unlink()
    (folder / "metrics.jsonl").unlink()
    assert "nothing to tell" in words(render(folder)[1])


def test_stages_not_asked_for_are_not_called_missing(tmp_path: Path, no_plots: None) -> None:
    folder = make_run(tmp_path / "run", until="best-of-n")
    status = run_status(read_facts(folder, "align", report.STAGES).results.keys(), {}, "best-of-n")
    assert status.finished and set(status.missing) == {"ppo", "measure", "suites"}
    assert "The run is complete, up to where it was told to stop (best-of-n)." in words(render(folder)[1])


def test_what_was_left_out_is_accounted_for(whole: tuple[str, Page]) -> None:
    said = words(whole[1])
    assert "2 x tie (first at ?)" in said
    assert "Left out of train: 1; the first: row 3: too long." in said


def test_the_command_names_the_nearest_scale_and_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"default": Config, "few": lambda: Config(evaluation_prompts=8, best_of_n=4)}
    monkeypatch.setattr(report, "SCALES", few)
    config = to_json(
        Config(seed=3, data=ComparisonDataConfig(comparisons="my data.jsonl"), evaluation_prompts=8, best_of_n=2)
    )
    expected = (
        "preflab align --scale few --seed 3 --name x-again --set 'data.comparisons=my data.jsonl' --set best_of_n=2"
    )
    facts = Facts(folder=Path("x"), recipe="align", config=config, record={}, results={})
    assert command_of(facts, "x") == expected


def test_a_recorded_command_is_shown_as_it_was(whole: tuple[str, Page]) -> None:
    assert "preflab align --name 'my run'" in whole[1].text


def test_the_report_is_small_repeatable_and_leaves_no_half_file(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", n=300)
    first = write_report(folder).read_bytes()
    assert first == write_report(folder).read_bytes()
    assert len(first) < 1_500_000
    assert not list(folder.glob("*.part"))


def test_a_folder_of_another_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"recipe": "other", "config": {}}')
    with pytest.raises(RunError, match="'other'"):
        write_report(tmp_path)


def test_costs_are_summed_over_the_stages_that_count_them() -> None:
    results = {
        "preference": {"seconds": 60.0, "trained_tokens": 900, "measured_tokens": 100},
        "export": {"seconds": 1.5},
        "data": {"seconds": 0.5},
    }
    costs = stage_costs(results)
    assert [(cost.label, cost.seconds, list(cost.counts)) for cost in costs] == [
        ("data", 0.5, [None, None, None]),
        ("first preference model", 60.0, [900, 100, None]),
        ("export", 1.5, [None, None, None]),
        ("All of these", 62.0, [900, 100, 0]),
    ]


def test_a_step_that_came_to_nan_has_no_place() -> None:
    lines = [{"step": 1, "kl": 0.1, "score": 0.5}, {"step": 2, "kl": None, "score": 0.5}, {"step": 3, "score": None}]
    steps = finite_steps({"ppo": lines, "preference": [{"step": 1, "loss": 0.7}]})
    assert [line["step"] for line in steps["ppo"]] == [1]
    assert (len(steps["preference"]), steps["preference_judge"]) == (1, [])


def test_the_commonest_reply_is_of_one_reply_a_prompt() -> None:
    texts = ("yes", "no ", "no", "maybe")
    examples = [policy_replies(i, 4, trained=text) for i, text in enumerate(texts)]
    replies = first_replies(replace(measure(4), examples=examples))
    assert (replies.commonest, replies.facts.n, replies.facts.commonest_share) == ("no", 4, 0.5)


def test_every_headline_number_is_there_with_its_interval(tmp_path: Path) -> None:
    unbounded = replace(preference(0.625), baselines={"length": Estimate(0.5, -math.inf, math.inf, 20)})
    results = {"preference": unbounded, "measure": measure(16), "ppo": policy_training()}
    write_results(tmp_path, results, seconds=1220.4)
    (tmp_path / "report.html").touch()
    lines = {label: (text, remark) for label, text, remark in summarise(tmp_path)}
    assert lines["held-out accuracy"] == ("62.5 % [57.5, 67.5]", "100 pairs")
    assert lines["  by length alone"] == ("50.0 % [no interval]", "the longer reply wins")
    assert lines["PPO: gain by its own model"][0] == "+0.50 [+0.40, +0.60] nats"
    assert lines["best of 16: wins by the second model"][0] == "60.0 % [52.0, 68.0]"
    assert lines["best of 16: KL"] == ("1.80 nats", "log n - (n - 1)/n")
    assert lines["PPO: KL"] == ("4.00 [3.50, 4.50] nats", "per reply")
    assert lines["time"][0] == "1 h 1 min"  # 3 x 1220.4 seconds
    assert lines["report"][0] == str(tmp_path / "report.html")
    assert "policy" not in lines and "PPO stopped early" not in lines
    assert list(lines)[2:7] == [
        "best of 16: gain by its own model",
        "best of 16: wins by its own model",
        "best of 16: gain by the second model",
        "best of 16: wins by the second model",
        "best of 16: KL",
    ]


def test_stages_that_were_not_run_have_no_lines(tmp_path: Path) -> None:
    write_results(tmp_path, {"preference": preference()}, seconds=61.2)
    labels = [label for label, _, _ in summarise(tmp_path)]
    assert labels == ["held-out accuracy", "  by length alone", "  by bag of words alone", "time"]
    assert ("time", "1 min 1 s", "") in summarise(tmp_path)


def test_an_early_stop_is_told(tmp_path: Path) -> None:
    stopped = "KL 31 is above the limit of 30"
    write_results(tmp_path, {"ppo": policy_training(stopped, "RLOO")}, seconds=5.0)
    assert ("RLOO stopped early", stopped, "") in summarise(tmp_path)
    assert ("time", "5.0 s", "") in summarise(tmp_path)


def test_numbers_in_words() -> None:
    lead = Estimate(-0.031, -0.06, -0.0001, 33, 12)
    assert share(Estimate(0.5, -math.inf, math.inf, 1)) == "50.0 % [no interval]"
    assert plain(points(lead)) == "-3.1 points [-6.0, 0.0]"
    assert nats(Estimate(1.0, 0.5, 1.5, 8)) == "+1.00 [+0.50, +1.50]"
    assert (sample(lead), sample(Estimate(1.0, 0.0, 2.0, 8, 8)), sample(None)) == ("33 in 12", "8", DASH)
    assert (number(1234.4), number(None), number(-0.001, "+.2f")) == ("1,234", DASH, "0.00")
