"""Stacked bars: what is drawn, and what is not."""

import xml.etree.ElementTree as ET

import pytest

from preflab.errors import ConfigError
from preflab.reporting.plots import Frame
from preflab.reporting.stacked_plot import MOST_ROWS, stacked_plot

FRAME = Frame(name="jobs", title="Pronouns", x_label="probability", x_percent=True)


def texts(svg: str) -> list[str]:
    """All text of a plot."""
    return ["".join(own.itertext()) for own in ET.fromstring(svg).iter() if own.tag.endswith("text")]


def test_rows_parts_and_marks_are_named() -> None:
    """Every label stands as text, none of it as markup."""
    svg = stacked_plot([("baker", (0.5, 0.2, 0.3), 0.6), ("<b>x", (0.1, 0.1, 0.8), None)], ["f", "n", "m"], FRAME,
                       mark="told")  # fmt: skip
    found = texts(svg)
    assert {"baker", "<b>x", "f", "n", "m", "told", "probability"} <= set(found)


def test_no_rows_no_plot() -> None:
    """An empty string, which a page leaves out."""
    assert stacked_plot([], ["a"], FRAME) == ""


def test_many_rows_are_thinned_evenly() -> None:
    """The first and the last stay."""
    rows = [(f"job {k}", (0.5, 0.5), None) for k in range(300)]
    found = [own for own in texts(stacked_plot(rows, ["a", "b"], FRAME)) if own.startswith("job")]
    assert len(found) == MOST_ROWS
    assert (found[0], found[-1]) == ("job 0", "job 299")


def test_a_share_that_is_missing() -> None:
    """Rows must have one for each part."""
    with pytest.raises(ConfigError, match="one share for each"):
        stacked_plot([("a", (1.0,), None)], ["x", "y"], FRAME)
