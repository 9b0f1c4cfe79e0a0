"""Plots of studies: what a strict page forbids is not in them, what they show is, whatever the names say."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from preflab.errors import ConfigError
from preflab.maths.statistics import Estimate
from preflab.reporting.study_plots import (
    MOST_ROWS,
    _attributes,
    _without_styles,
    agreement_plot,
    annotators_plot,
    elo_plot,
    progress_plot,
)

SVG = "{http://www.w3.org/2000/svg}"
HOUR = 3_600_000
HOSTILE = (
    '"><script>alert(1)</script>',
    "<style>*{display:none}</style>",
    'x" onload="alert(1)" style="fill:red',
    "<image href='https://example.org/x.png'/>",
    "]]></text><a href='javascript:alert(1)'>",
    "&lt;b&gt; $\\frac{1}{2}$ \u202eabc\x00\x1b",
)


def some(value: float, reach: float = 0.1) -> Estimate:
    return Estimate(value, value - reach, value + reach, 40, 20)


def all_plots(*labels: str) -> list[str]:
    return [
        progress_plot([(0, 1), (HOUR, 20), (5 * HOUR, 60)], target=100),
        agreement_plot([(label, some(0.8), some(0.6)) for label in labels] + [("other", some(0.7), None)]),
        annotators_plot([(label, {"gold": some(0.9, 0.05), "left": some(0.5)}) for label in (*labels, "bob")]),
        elo_plot({label: some(120.0 - k, 30.0) for k, label in enumerate((*labels, "base"))}),
    ]


@pytest.fixture(scope="module")
def plots() -> list[str]:
    return all_plots("ann")


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_strict_page_may_hold_them(plots: list[str]) -> None:
    for svg in plots:
        assert svg.startswith("<svg ") and svg.endswith("</svg>")
        for forbidden in ("style=", "<style", "<script", "<image", "<foreignObject", "javascript:", "xlink", "<!"):
            assert forbidden not in svg
        assert svg.count("http") == 1  # the namespace
        assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', svg))
        assert all(link.startswith("#") for link in re.findall(r"url\(([^)]*)\)", svg))


def test_hostile_names_stay_text(plots: list[str]) -> None:
    harmless = {node.tag for svg in plots for node in ET.fromstring(svg).iter()}
    for svg in all_plots(*HOSTILE):
        for node in ET.fromstring(svg).iter():
            assert node.tag in harmless
            assert not any(name.lower().startswith("on") or name == "style" for name in node.attrib)
            assert node.attrib.get("href", "#").startswith("#")
    found = texts(svg)
    for label in HOSTILE:
        assert any(label[:5] == text[:5] for text in found), label


def test_looks_survive_as_attributes(plots: list[str]) -> None:
    root = ET.fromstring(plots[3])
    words = [node for node in root.iter(f"{SVG}text") if node.text == "base"]
    assert words[0].attrib["font-size"] == "9px" and words[0].attrib["text-anchor"] == "end"
    assert "DejaVu Sans" in words[0].attrib["font-family"]
    assert root.attrib["stroke-linejoin"] == "round"
    assert any(node.attrib.get("stroke") == "#0072b2" for node in root.iter())


def test_the_short_form_of_a_font_is_taken_apart() -> None:
    assert _attributes("font: 9px 'DejaVu Sans', sans-serif; text-anchor: middle; isolation: isolate") == {
        "font-size": "9px",
        "font-family": "'DejaVu Sans', sans-serif",
        "text-anchor": "middle",
    }
    assert _attributes("font: italic 700 10.5px Arial; fill: #333") == {
        "font-style": "italic", "font-weight": "700", "font-size": "10.5px", "font-family": "Arial", "fill": "#333",
    }  # fmt: skip
    assert _attributes("") == {}


@pytest.mark.parametrize("plot", [progress_plot, agreement_plot, annotators_plot])
def test_nothing_gives_nothing(plot: Callable[[list[object]], str]) -> None:
    assert plot([]) == ""
    assert elo_plot({}) == ""
    assert agreement_plot([("nothing known", None, None)]) == ""
    assert annotators_plot([("ann", {"gold": None})]) == ""


@pytest.mark.parametrize(
    ("span", "unit"), [(10 * 60_000, "minutes"), (5 * HOUR, "hours"), (9 * 24 * HOUR, "days"), (0, "minutes")]
)
def test_time_has_a_fitting_unit(span: int, unit: str) -> None:
    assert f"{unit} since the first judgement" in texts(progress_plot([(7, 1), (7 + span, 12)]))


def test_what_is_wanted_is_marked_unless_it_is_far_away() -> None:
    near = progress_plot([(0, 1), (HOUR, 60)], target=100)
    far = progress_plot([(0, 1), (HOUR, 60)], target=10_000)
    assert "100 wanted" in texts(near) and "10000 wanted" not in texts(far)
    assert "60 judgements that count in 60 minutes, of 10000 wanted." in far


def test_policies_stand_in_the_order_of_their_elo() -> None:
    found = texts(elo_plot({"worst": some(-200.0), "best": some(150.0), "middle": some(50.0)}, reference="base"))
    names = [text for text in found if text in ("worst", "best", "middle")]
    assert names == ["best", "middle", "worst"]
    assert "Elo above base" in found


def test_too_many_rows_are_cut_and_that_is_said() -> None:
    rows = [(f"p{k:03}", {"gold": some(0.5)}) for k in range(100)]
    svg = annotators_plot(rows)
    assert f"Of 100 rows the first {MOST_ROWS} are shown." in svg
    assert "p039" in texts(svg) and "p040" not in texts(svg)


def test_an_open_interval_and_a_low_alpha_are_drawn() -> None:
    svg = agreement_plot([("one item", some(0.5), Estimate(-0.6, -math.inf, math.inf, 1))])
    assert "one item" in texts(svg) and "inf" not in svg and "nan" not in svg


def test_an_unknown_share_is_refused() -> None:
    with pytest.raises(ConfigError, match="got speed"):
        annotators_plot([("ann", {"speed": some(0.5)})])


def test_a_link_to_the_outside_is_refused() -> None:
    outside = '<svg xmlns="http://www.w3.org/2000/svg"><use href="https://example.org/#a"/></svg>'
    with pytest.raises(ConfigError, match="own parts only"):
        _without_styles(outside)


def test_ids_differ_between_plots_of_one_page(plots: list[str]) -> None:
    ids = [node.attrib["id"] for svg in plots for node in ET.fromstring(svg).iter() if "id" in node.attrib]
    assert len(ids) == len(set(ids))
