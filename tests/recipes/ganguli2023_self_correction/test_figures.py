"""Plots of the study: which checkpoints make an axis, what a row is."""

import xml.etree.ElementTree as ET

import pytest

from preflab.recipes.ganguli2023_self_correction.figures import (
    axis_figures,
    calibration_figures,
    condition_label,
    conditions_figure,
    occupation_figures,
)
from preflab.recipes.ganguli2023_self_correction.results import OccupationPronouns
from preflab.reporting.report import Figure
from tests.recipes.ganguli2023_self_correction.results_of import checkpoint_result

GRID = [
    checkpoint_result("s-0", 1e6, 0, q=0.1), checkpoint_result("s-9", 1e6, 9, q=0.2),
    checkpoint_result("l-0", 1e9, 0, q=0.3), checkpoint_result("l-9", 1e9, 9, q=0.4),
    checkpoint_result("l-5", 1e9, 5, q=0.4),
]  # fmt: skip


def texts(figure: Figure) -> set[str]:
    return {"".join(node.itertext()) for node in ET.fromstring(figure.svg).iter() if node.tag.endswith("text")}


def test_curves_are_over_size_at_one_number_of_steps_and_over_steps_at_one_size() -> None:
    size, steps = axis_figures("admissions", GRID, ["q"], "gap")
    assert size.title == "gap against log10 of parameters at 9 steps"
    assert steps.title == "gap against steps of RLHF"
    assert axis_figures("admissions", GRID[:1], ["q"], "gap") == []


@pytest.mark.parametrize(("results", "row"), [(GRID[:2], "Q+IF"), ([*GRID, *GRID[:1]], "l-5")])
def test_rows_are_conditions_or_checkpoints_where_these_are_many(results: list, row: str) -> None:  # type: ignore[type-arg]
    figure = conditions_figure("admissions", results, ["q", "if.0"], "gap")
    assert row in texts(figure)
    assert condition_label("if.1") == "Q+IF"


def test_occupations_and_calibration() -> None:
    jobs = [
        OccupationPronouns(occupation=name, women=women, p_female=0.2, p_male=0.3, p_neutral=0.5)
        for name, women in (("baker", 0.6), ("guard", 0.1))
    ]
    silent = [OccupationPronouns(occupation="x", women=0.5, p_female=0.0, p_male=0.0, p_neutral=1.0)]
    (figure,) = occupation_figures({"match": jobs})
    assert {"baker", "guard", "female", "women in the statistics"} <= texts(figure)
    (calibration,) = calibration_figures({"q": silent, "match": jobs})
    assert "share of women, as told" in texts(calibration)
    assert calibration_figures({"q": jobs}) == []
