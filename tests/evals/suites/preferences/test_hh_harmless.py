"""HH pairs: both layouts, accuracy by turn and by gap, and the rule of length."""

from pathlib import Path
from typing import Any

import pytest

from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.preferences.hh_harmless import SUITE
from tests.evals.suites.scripted import Scripted, shelf_of, tell, values

START = "\n\nHuman: May I paint the fence?"
LONGER = START + "\n\nAssistant: Which?\n\nHuman: My own."


def whole(prompt: str, chosen: str, rejected: str) -> dict[str, str]:
    return {"chosen": f"{prompt}\n\nAssistant: {chosen}", "rejected": f"{prompt}\n\nAssistant: {rejected}"}


def parted(prompt: str, chosen: str, rejected: str) -> dict[str, str]:
    return {"prompt": f"{prompt}\n\nAssistant:", "chosen": f" {chosen}", "rejected": f" {rejected}"}


def test_both_layouts_give_the_same_item(tmp_path: Path) -> None:
    records = [make(LONGER, "Go on.", "No.") for make in (whole, parted)]
    first, second = (SUITE.load(shelf_of(tmp_path, [own], "hh_harmless")).items[0] for own in records)
    assert (first.id, first.group, first.data) == (second.id, second.group, second.data)
    assert (first.data.better, first.data.worse, first.data.marks) == ("Go on.", "No.", {"turn": "2"})
    assert first.group == "May I paint the fence?"


def test_accuracy_by_turn_and_gap_beside_what_length_scores(tmp_path: Path) -> None:
    """A preference model that gives 0.1 nats a letter.

    Item 1: 3 letters against 13, gap -1, wrong. Item 2: 6 against 4, gap 0.2, right. Longer is better in 1 of 2, so
    the lead over length is 0. Loss: (ln(1 + e) + ln(1 + e^-0.2)) / 2 = (1.31326 + 0.59814) / 2.
    """
    records = [whole(START, "Yes", "No, you may n"), whole(LONGER, "Go on.", "Nope")]
    shelf = shelf_of(tmp_path, records, "hh_harmless")
    pm = Scripted(rate=lambda ask: [0.1 * len(reply) for reply in ask.replies])
    found = values(SUITE, tell(SUITE, shelf, "pm", pm=pm))
    assert found["accuracy"] == 0.5
    assert (found["accuracy [turn=1]"], found["accuracy [turn=2]"]) == (0.0, 1.0)
    assert (found["accuracy by gap [band=1 to 2]"], found["accuracy by gap [band=0 to 0.5]"]) == (0.0, 1.0)
    assert (found["longer reply"], found["lead over length"]) == (0.5, 0.0)
    assert found["loss"] == pytest.approx((1.31326 + 0.59814) / 2, abs=1e-5)


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    good = whole(START, "Yes.", "No.")
    bad: list[dict[str, Any]] = [
        whole(START, "Yes.", " "),
        {"chosen": good["chosen"], "rejected": LONGER + "\n\nAssistant: No."},
        {"chosen": START, "rejected": START},
        {"chosen": "no markers", "rejected": "none at all"},
    ]
    items = SUITE.load(shelf_of(tmp_path, [good, *bad], "hh_harmless"))
    assert len(items.items) == 1 and sum(items.refused.values()) == 4


def test_every_way_runs_on_the_real_file(shared: Path) -> None:
    same = Scripted(choose=lambda ask: (0.5, 0.5), rate=lambda ask: (0.0, 0.0))
    for way in SUITE.variants:
        told = tell(SUITE, DataSource(folder=shared / "data"), way.name, policy=same, pm=same)
        assert len(told) > 1600 and all(own.outcome is not None for own in told)
    assert all(own.outcome and own.outcome["mutual"] == 0.5 for own in told)
