"""The report of the main job: right numbers in words; nothing runs, nothing is loaded, nothing breaks it."""

import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from preflab.conversion import to_json
from preflab.errors import RunError
from preflab.maths.statistics import Estimate
from preflab.recipes.align import Config, report
from preflab.recipes.align.report import command, examples, read_facts, status, write_report
from preflab.recipes.common.configs import ComparisonDataConfig
from preflab.reporting.format import DASH, MINUS, nats, number, points, sample, share

ATTACK = '<script>alert("x")</script><img src="http://evil.example/a.png" onerror=alert(1)>'
STAGES = ("data", "preference", "preference_judge", "best_of_n", "ppo", "measure", "suites", "export")
PARTS = ("train", "judge", "held_out")


def estimate(value: float, half: float, n: int = 100, clusters: int | None = 40) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": n, "clusters": clusters, "level": 0.95}


def preference(accuracy: float) -> dict[str, Any]:
    bins = [{"low": p, "high": p, "mean_prob": p, "frequency": p, "n": 10} for p in (0.2, 0.5, 0.8)]
    return {
        "accuracy": estimate(accuracy, 0.05),
        "by_category": {"helpfulness": estimate(0.7, 0.1, 50), "$x^2$ <b>": estimate(0.6, 0.2, 50)},
        "calibration": bins,
        "calibration_error": 0.05,
        "loss": 0.6,
        "baselines": {"length": estimate(0.55, 0.05), "bag of words": estimate(0.6, 0.05)},
        "lead": {"length": estimate(0.15, 0.06), "bag of words": estimate(0.02, 0.06)},
        "baseline_notes": {"length": "the longer reply wins", "bag of words": "9 words"},
        "steps": 8,
        "trained_tokens": 900,
        "measured_tokens": 100,
        "without_pairs": 0,
        "seconds": 3.0,
    }


def best_of_n() -> dict[str, Any]:
    curve = [
        {
            "n": n,
            "kl": math.log(n) - (n - 1) / n,
            "score": estimate(0.4 * k, 0.2),
            "judge_score": estimate(0.2 * k, 0.3),
        }
        for k, n in enumerate((1, 2, 4, 8, 16))
    ]
    return {"curve": curve, "centre": {"pm": -1.0, "pm_judge": 0.0}, "base": {}, "best": {}, "seconds": 2.0}


def measure(n: int, *, judge_gain: float = 0.4, commonest: float = 0.01) -> dict[str, Any]:
    fact = {"n": n, "mean_words": 20.0, "median_words": 19.0, "empty_share": 0.0, "distinct_1": 0.5, "distinct_2": 0.8}
    fact |= {"distinct_3": 0.9, "commonest_share": 0.01}
    gain = {"pm": estimate(0.5, 0.1), "pm_judge": estimate(judge_gain, 0.1)}
    win = {"pm": estimate(0.7, 0.1), "pm_judge": estimate(0.5 + judge_gain / 4, 0.08, n)}
    shown = [
        {
            "prompt": [{"role": "user", "content": f"Question {i}?\r\nPlease."}],
            "category": "helpfulness",
            "base": ATTACK,
            "best_of_n": "A plain reply\x00 with \u202e odd \ud800 characters.",
            "ppo": f"Reply {i}. " + "It goes on for a while, as replies do. " * 4,
            "judge": {"base": 0.0, "best_of_n": 0.1, "ppo": (i - n / 2) / 10},
        }
        for i in range(n)
    ]
    verdict = {"claim": "PPO wins", "outcome": "holds", "estimate": win["pm_judge"], "threshold": 0.5, "unit": "share"}
    return {
        "n": 16,
        "gain": {"best_of_n": gain, "ppo": gain},
        "win_rate": {"best_of_n": win, "ppo": win},
        "win_rate_by_category": {"helpfulness": win["pm_judge"]},
        "kl": {"best_of_n": 1.8, "ppo": estimate(4.0, 0.5)},
        "facts": {"base": fact, "best_of_n": fact, "ppo": fact | {"commonest_share": commonest}},
        "root_kl_fit": {"slope": 1.0, "intercept": -1.0, "r_squared": 0.93, "r_squared_in_kl": 0.81, "n": 24},
        "examples": shown,
        "verdicts": [verdict | {"source": "Bai et al. 2022"}],
        "seconds": 4.0,
    }


def suite() -> dict[str, Any]:
    """One starter suite, before and after."""
    own = {"low": 0.4, "high": 0.6, "n": 48, "clusters": 12, "level": 0.95}
    gap = own | {"value": 0.05, "low": 0.01, "high": 0.09}
    found = {"a": {"value": 0.5} | own, "b": {"value": 0.55} | own, "gap": gap}
    measure = {"name": "accuracy", "unit": "share", "better": "higher", "outcome": "better"}
    failed = {"before": {}, "after": {"the model said nothing": 2}}
    return {"title": "Suite <X>", "summary": "", "items": 48, "failed": failed, "differences": [measure | found]}


def make_run(folder: Path, *, upto: str = "export", until: str = "measure", n: int = 12, **replies: float) -> Path:
    """A run folder by hand, with the stages up to ``upto``."""
    (folder / "results").mkdir(parents=True)
    config = to_json(Config()) | {"until": until}
    (folder / "config.json").write_text(json.dumps({"recipe": "align", "config": config}))
    counts = {"counts": {"train": {"shortened": 0, "refused": ["row 3: too long"]}}}
    record = {
        "data": {"source": "starter", "format": "f", "digest": "sha256:abc", "records": 60, "refused": {"tie": 2}}
    }
    typed = {"command": ["preflab", "align", "--name", "my run"]}
    (folder / "record.json").write_text(json.dumps(record | counts | typed))
    tokens = dict.fromkeys(PARTS, 1000)
    data = dict.fromkeys(("comparisons", "pairs", "tokens", "tokens_pair_by_pair", "shortened", "refused"), tokens)
    ppo = {"steps": 24, "stopped": "", "prompts": 48, "refused_prompts": 0, "sampled_tokens": 192.0, "seconds": 61.0}
    results = {
        "data": data | {"evaluation_prompts": n, "stop_token": "<|end|>", "seconds": 0.2},
        "preference": preference(0.7),
        "preference_judge": preference(0.68),
        "best_of_n": best_of_n(),
        "ppo": ppo,
        "measure": measure(n, **replies),
        "suites": {"suites": {"starter_x": suite()}, "measured_tokens": 900, "seconds": 2.0},
        "export": {"saved": {"policy": "AutoModelForCausalLM"}, "seconds": 1.0},
    }
    left_out = {
        "best-of-n": {"ppo", "measure", "suites"},
        "preference": {"best_of_n", "ppo", "measure", "suites"},
    }.get(until, set())
    for name in STAGES[: STAGES.index(upto) + 1]:
        if name not in left_out:
            (folder / "results" / f"{name}.json").write_text(json.dumps(results[name]))
    fitting = [{"stage": "preference", "step": i, "loss": 0.7 - i / 100, "accuracy": 0.6} for i in range(1, 9)]
    steps = [{"stage": "ppo", "step": i, **ppo_step(i)} for i in range(1, 25)] if "ppo" not in left_out else []
    lines = [json.dumps(line) for line in (*fitting, *steps)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"stage": "ppo", "st')  # the last one cut off by a kill
    return folder


def ppo_step(i: int) -> dict[str, Any]:
    same = dict.fromkeys(("entropy", "reply_tokens", "ended_share", "explained_variance", "sampler_gap"), 0.5)
    return same | {"score": i / 12 - 1, "score_std": 0.8, "reward": i / 20 - 1, "kl": i / 6, "kl_error": 0.1,
                   "kl_coefficient": 0.05, "clip_fraction": None if i == 24 else 0.1}  # fmt: skip


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
    monkeypatch.setattr(report, "plots", lambda facts: {})


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
    said = words(render(make_run(tmp_path / "run", judge_gain=0.0))[1])
    assert "in 50.0 % [42.0, 58.0] of cases, which is no clear change" in said
    assert (
        said.count("PPO raised the score of the first model (+0.50 [+0.40, +0.60] nats)") == 2
    )  # above, and beside wins
    assert "does not confirm it (0.00 [-0.10, +0.10] nats)" in said


def test_a_commonest_reply_above_a_fifth_is_called_collapse(tmp_path: Path, no_plots: None) -> None:
    said = words(render(make_run(tmp_path / "run", commonest=0.35))[1])
    assert "Collapse. 35 % of the PPO replies are one and the same text (base policy: 1 %)." in said


def test_examples_are_the_extremes_and_the_middle() -> None:
    found = examples({"measure": measure(12)})  # gains -0.6, -0.5 ... 0.5 for prompts 1 to 12
    shown = [[e["number"] for e in stratum["examples"]] for stratum in found["strata"]]
    assert shown == [[12, 11, 10], [8, 7, 6], [3, 2, 1]]
    assert [e["number"] for e in found["rest"]] == [9, 5, 4]


@pytest.mark.parametrize(("n", "each", "rest"), [(9, 3, 0), (8, 2, 2), (3, 1, 0), (2, 0, 2)])
def test_few_examples_are_never_shown_twice(n: int, each: int, rest: int) -> None:
    found = examples({"measure": measure(n)})
    assert [len(s["examples"]) for s in found["strata"]] == ([each] * 3 if each else [])
    assert len(found["rest"]) == rest


@pytest.mark.parametrize("upto", STAGES)
def test_the_status_names_what_is_missing(tmp_path: Path, upto: str) -> None:
    found = status(read_facts(make_run(tmp_path / "run", upto=upto)))
    assert found["finished"] == (upto == "export")
    assert list(found["missing"]) == list(STAGES[STAGES.index(upto) + 1 :])


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
    found = status(read_facts(folder))
    assert found["finished"] and set(found["missing"]) == {"ppo", "measure", "suites"}
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
    assert command({"record": {}, "config": config, "name": "x"}) == expected


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


def test_numbers_in_words() -> None:
    lead = Estimate(-0.031, -0.06, -0.0001, 33, 12)
    assert share(Estimate(0.5, -math.inf, math.inf, 1)) == f"50.0 % [{MINUS}∞, ∞]"
    assert plain(points(lead)) == "-3.1 points [-6.0, 0.0]"
    assert nats(Estimate(1.0, 0.5, 1.5, 8)) == "+1.00 [+0.50, +1.50]"
    assert (sample(lead), sample(Estimate(1.0, 0.0, 2.0, 8, 8)), sample(None)) == ("33 in 12", "8", DASH)
    assert (number(1234.4), number(None), number(-0.001, "+.2f")) == ("1,234", DASH, "0.00")
