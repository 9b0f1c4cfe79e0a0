"""The report and the lines at the end of a run."""

import re
from pathlib import Path

from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.bias.bbq import load as load_bbq
from preflab.recipes.ganguli2023_self_correction.report import summarise, write_report
from preflab.recipes.ganguli2023_self_correction.study import STARTER


def test_the_report_warns_names_licences_and_prints_no_items(finished: Path) -> None:
    """One file without scripts; claims, tables, plots; of BBQ not one context."""
    page = write_report(finished).read_text("utf-8")
    assert "<script" not in page
    for words in ("Content.", "CC-BY-4.0", "MIT", "GPL-3.0", "Relative reduction", "Pronouns under Q+IF+CoT",
                  "against steps of RLHF", "log10 of parameters at 50 steps",
                  "SD of these", "No model should decide on admissions"):  # fmt: skip
        assert words in page, words
    for item in load_bbq(DataSource(folder=STARTER)).items:
        assert item.data.context not in page
    assert len(re.findall(r"<svg", page)) >= 8


def test_the_summary_has_a_line_for_each_measure(finished: Path) -> None:
    """And how many claims came out how."""
    lines = summarise(finished)
    named = [what for what, _, _ in lines]
    assert "tiny-0, winogender: rho, Q" in named
    assert "claims" in named
