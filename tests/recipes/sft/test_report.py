"""The outcome of ``sft``: the numbers of the results in lines, words and tables."""

from pathlib import Path

import pytest

from preflab.errors import RunError
from preflab.recipes.rafailov2023_dpo import report as dpo_report
from preflab.recipes.sft.report import summarise, write_report
from tests.recipes.page import Page
from tests.recipes.sft.results_of import data, make_run, measure, sft


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Of a run by hand that lacks its export."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "r", {"data": data(), "sft": sft(), "measure": measure()})
    write_report(folder)
    return Page(folder)


def test_tables_hold_the_numbers_of_the_results(page: Page) -> None:
    assert page.tables["Nats per reply token on held-out replies [95 % interval]"][1:] == [
        ["before", "3.500 [3.250, 3.750]"],
        ["after", "3.250 [3.000, 3.500]"],
        ["gain", "+0.25 [+0.12, +0.38]"],
    ]
    assert page.tables["What the replies look like"][1:] == [
        ["before", "1", "3.0", "1.00"],
        ["after", "1", "5.0", "1.00"],
    ]


def test_every_part_of_the_data_is_accounted_for(page: Page) -> None:
    table = next(rows for rows in page.tables.values() if "Tokens learned" in rows[0])
    train = next(row for row in table if row[0] == "train")
    cell = dict(zip(table[0], train, strict=True))
    assert (cell["Rows"], cell["Tokens learned"], cell["Shortened"]) == ("2,000", "60,000", "3")
    assert (cell["Tokens, prefix once"], cell["Tokens, reply by reply"]) == ("90,000", "120,000")


def test_the_summary_says_what_the_numbers_say(page: Page) -> None:
    assert "Held-out replies cost 3.500 nats a token before and 3.250 after" in page.text
    assert "a gain of +0.25 [+0.12, +0.38] nats a token." in page.text
    assert "Fine-tuning smollm2 on good replies" in page.text
    claims = page.tables["What this run claims, and whether it holds"]
    assert [(row[0], row[1].split()[-1]) for row in claims[1:]] == [("unseen replies become more probable", "holds")]


def test_replies_are_never_markup_and_nothing_is_loaded(page: Page) -> None:
    assert page.loads_nothing()
    assert "Say <b>hi</b>." in page.text and "a reply of five words" in page.text


def test_lines_for_the_terminal(tmp_path: Path) -> None:
    lines = {name: (number, remark) for name, number, remark in summarise(make_run(tmp_path / "r", {"sft": sft()}))}
    assert lines["loss before"] == ("3.50 [3.25, 3.75]", "nats per token of held-out replies (900 tokens)")
    assert lines["loss after"][0] == "3.25 [3.00, 3.50]"
    assert lines["gain"] == ("+0.25 [+0.12, +0.38]", "nats per token")
    assert lines["after each pass"][0] == "3.300, 3.250"
    assert lines["time"][0] == "30.0 s"


def test_an_unfinished_run_has_a_report_too(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r", {"data": data()})
    write_report(folder)
    page = Page(folder)
    assert "Fine-tuning has not finished yet, so there is nothing to tell." in page.text
    assert "sft" not in page.sections and "replies" not in page.sections
    assert [name for name, _, _ in summarise(folder)] == ["time", "report"]
    with pytest.raises(RunError, match="a run of 'sft'"):
        dpo_report.write_report(folder)


def test_a_finished_run_says_so_and_names_its_files(finished: Path) -> None:
    page = Page(finished)
    assert "Fine-tuning tiny on good replies" in page.text
    assert "The run is complete." in page.text
    assert page.loads_nothing() and page.tags.count("svg") == 1
    names = {name for name, _, _ in summarise(finished)}
    assert names == {"loss before", "loss after", "gain", "after each pass", "time", "report", "policy"}
