"""The outcome of ``rafailov2023_dpo``: the numbers of the results in lines, words and tables."""

from dataclasses import replace
from pathlib import Path

import pytest

from preflab.errors import RunError
from preflab.recipes.rafailov2023_dpo.config import Config
from preflab.recipes.rafailov2023_dpo.report import summarise, write_report
from preflab.recipes.rafailov2023_dpo.results import MeasureResult
from preflab.recipes.sft import report as sft_report
from preflab.training.dpo import DPOConfig
from tests.recipes.page import Page
from tests.recipes.rafailov2023_dpo.results_of import dpo, make_run, measure, without_preference_model


def page_of(folder: Path, compared: MeasureResult, config: Config | None = None) -> Page:
    write_report(make_run(folder, {"dpo": dpo(), "measure": compared}, config or Config(held_out_pm_share=0.5)))
    return Page(folder)


def test_tables_hold_the_numbers_of_the_results(tmp_path: Path) -> None:
    page = page_of(tmp_path / "r", measure())
    assert page.tables["On held-out pairs"][1:] == [
        ["implicit rewards", "70.0 % [60.0, 80.0]", "60 in 40"],
        ["length", "55.0 % [45.0, 65.0]", "60 in 40"],
        ["bag of words", "65.0 % [55.0, 75.0]", "60 in 40"],
        ["implicit rewards: helpfulness", "60.0 % [40.0, 80.0]", "20 in 40"],
    ]
    assert page.tables["On held-out prompts [95 % interval]"][1:] == [
        ["KL, nats per reply", "+3.00 [+2.50, +3.50]", "60 in 40"],
        ["win rate by the held-out preference model", "65.0 % [55.0, 75.0]", "60 in 40"],
        ["gain in its score, nats", "+0.50 [+0.30, +0.70]", "60 in 40"],
        ["win rate: helpfulness", "60.0 % [40.0, 80.0]", "20 in 40"],
    ]
    assert page.tables["What the replies look like"][1:] == [
        ["before", "6", "20.0", "50 %", "0.80", "10.0 %"],
        ["after", "6", "20.0", "75 %", "0.80", "10.0 %"],
    ]


def test_every_verdict_stands_in_the_table_of_claims(tmp_path: Path) -> None:
    rows = page_of(tmp_path / "r", measure()).tables["What this run claims, and whether it holds"][1:]
    expected = [(v.claim, v.outcome) for v in (*dpo().verdicts, *measure().verdicts)]
    assert [(row[0], row[1].split()[-1]) for row in rows] == expected


def test_the_summary_says_what_the_numbers_say(tmp_path: Path) -> None:
    text = page_of(tmp_path / "r", measure()).text
    assert "implicit rewards pick the better reply in 70.0 % [60.0, 80.0]; length alone in 55.0 % [45.0, 65.0]" in text
    assert "Its replies lie +3.00 [+2.50, +3.50] nats from the reference's." in text
    assert "prefers them in 65.0 % [55.0, 75.0] of cases" in text
    assert "1,234 rows, 3 steps, beta 0.1, label smoothing 0." in text


def test_replies_are_never_markup_and_nothing_is_loaded(tmp_path: Path) -> None:
    page = page_of(tmp_path / "r", measure())
    assert page.loads_nothing()
    assert "&lt;script&gt;alert(1)" in page.raw
    assert "Say <b>hi</b>." in page.text


def test_without_a_held_out_preference_model_no_win_rate_is_told(tmp_path: Path) -> None:
    page = page_of(tmp_path / "r", without_preference_model(measure()), Config(held_out_pm_share=0.0))
    assert [row[0] for row in page.tables["On held-out prompts [95 % interval]"][1:]] == ["KL, nats per reply"]
    assert "Its replies lie +3.00" in page.text and "of cases" not in page.text
    names = [name for name, _, _ in summarise(tmp_path / "r")]
    assert "KL" in names and "wins by the held-out model" not in names


@pytest.mark.parametrize(
    ("compared", "warning"),
    [
        (measure(commonest=0.3), "30 % of the replies are one and the same text."),
        (measure(mean_words=26.0), "went from 20.0 to 26.0 words"),  # 1.3 times as long
        (measure(mean_words=15.0), "went from 20.0 to 15.0 words"),  # 0.75
    ],
)
def test_replies_that_changed_in_looks_are_warned_of(compared: MeasureResult, warning: str, tmp_path: Path) -> None:
    assert warning in page_of(tmp_path / "r", compared).text


def test_replies_that_look_as_before_are_not_warned_of(tmp_path: Path) -> None:
    text = page_of(tmp_path / "r", measure(mean_words=25.0, commonest=0.2)).text  # just within both limits
    assert "one and the same text" not in text and "The mean length" not in text


def test_the_loss_is_in_the_unit_of_the_method_and_starts_at_the_references(tmp_path: Path) -> None:
    by_dpo = page_of(tmp_path / "dpo", measure())
    assert "nats per comparison" in by_dpo.text and "with DPO" in by_dpo.text
    by_ipo = page_of(tmp_path / "ipo", measure(), Config(dpo=DPOConfig(loss="ipo")))
    assert "squared nats" in by_ipo.text and "with IPO" in by_ipo.text


def test_lines_for_the_terminal(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r", {"dpo": dpo(), "measure": measure()}, Config())
    lines = {name: (number, remark) for name, number, remark in summarise(folder)}
    assert lines["held-out accuracy"] == ("70.0 % [60.0, 80.0]", "60 pairs, implicit rewards")
    assert lines["  by length alone"] == ("55.0 % [45.0, 65.0]", "the longer reply wins")
    assert lines["wins by the held-out model"][0] == "65.0 % [55.0, 75.0]"
    assert lines["gain by the held-out model"][0] == "+0.50 [+0.30, +0.70] nats"
    assert lines["KL"] == ("3.00 [2.50, 3.50] nats", "per reply")
    assert lines["time"][0] == "4.0 s"
    assert "SFT: gain" not in lines and "policy" not in lines


def test_an_unfinished_run_has_a_report_too(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r", {}, Config())
    (folder / "metrics.jsonl").unlink()
    write_report(folder)
    page = Page(folder)
    assert "The run is not finished" in page.text
    assert "DPO has not finished yet, so there is nothing to tell." in page.text
    assert "fit" not in page.sections and "unseen" not in page.sections
    with pytest.raises(RunError, match="a run of 'rafailov2023_dpo'"):
        sft_report.write_report(folder)


def test_a_finished_run_says_so_with_every_figure(finished: Path) -> None:
    write_report(finished)
    page = Page(finished)
    assert "Fitting tiny to preferences with DPO" in page.text
    assert page.tags.count("svg") == 7  # SFT, loss, accuracy, rewards, log-probabilities, unseen, reliability
    assert page.loads_nothing()
    assert "The run is complete." in page.text and "preflab run rafailov2023_dpo" in page.text
    lines = {name: number for name, number, _ in summarise(finished)}
    assert {"  by the held-out model", "SFT: gain", "KL"} <= set(lines)
    assert lines["policy"] == str(finished / "policy")
    first_row = page.tables["Nats per reply token on held-out replies [95 % interval]"][1]
    assert first_row[0] == "before"


def test_a_note_stands_behind_its_baseline(tmp_path: Path) -> None:
    page = page_of(tmp_path / "r", replace(measure(), examples=[]))
    assert "length: the longer reply wins." in page.text and "bag of words: 9 words." in page.text
