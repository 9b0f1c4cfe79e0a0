"""Plots as SVG strings: well formed, the same every time, described, and safe whatever the labels say."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from preflab.errors import ConfigError
from preflab.maths.statistics import Bin, Estimate
from preflab.reporting.plots import COLOURS, Frame, Series, curve_plot, dot_plot, reliability_plot

NAN = float("nan")
INF = float("inf")
FRAME = Frame(name="demo", title="A title", description="What it shows", x_label="step", y_label="nats")
SVG = "{http://www.w3.org/2000/svg}"


def line(label: str = "score", **changes: object) -> Series:
    return replace(Series(label=label, x=[1, 2, 3], y=[0.1, 0.4, 0.2]), **changes)  # type: ignore[arg-type]


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(f"{SVG}text")]


def ids(svg: str) -> list[str]:
    return [node.attrib["id"] for node in ET.fromstring(svg).iter() if "id" in node.attrib]


def test_the_same_numbers_give_the_same_bytes() -> None:
    both = [line(low=[0, 0, 0], high=[1, 1, 1]), line("other", colour=1, style="points")]
    assert curve_plot(both, FRAME) == curve_plot(both, FRAME)


def test_nothing_but_the_namespace_points_outside() -> None:
    svg = curve_plot([line()], FRAME)
    assert svg.startswith("<svg ") and svg.endswith("</svg>")
    assert svg.count("http") == 1 and 'xmlns="http://www.w3.org/2000/svg"' in svg
    assert not any(part in svg for part in ("<metadata", "<!DOCTYPE", "<?xml", "<style", "<script", "<image"))


def test_title_and_description_are_there_for_those_who_cannot_see() -> None:
    root = ET.fromstring(curve_plot([line()], FRAME))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == "demo-title" and root.attrib["aria-describedby"] == "demo-desc"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and description is not None
    assert (title.attrib["id"], title.text, description.text) == ("demo-title", "A title", "What it shows")


def test_text_stays_text() -> None:
    found = texts(curve_plot([line(), line("other", colour=1)], replace(FRAME, hlines=((0.3, "half way"),))))
    assert {"step", "nats", "score", "other", "half way"} <= set(found)


def test_labels_are_neither_markup_nor_mathematics() -> None:
    label = "<b>$\\frac{1}$ & \x07co"
    svg = dot_plot([(label, [Estimate(0.5, 0.4, 0.6, 10)])], ["one"], replace(FRAME, title=label))
    assert "<b>" not in svg
    assert "<b>$\\frac{1}$ & co" in texts(svg)


def test_long_and_foreign_labels_do_no_harm() -> None:
    svg = dot_plot([("字" * 80, [Estimate(0.5, 0.4, 0.6, 10)])], ["one"], FRAME)
    assert "字" * 29 + "…" in texts(svg)


def test_ids_of_two_plots_differ() -> None:
    first, second = (ids(curve_plot([line()], replace(FRAME, name=name))) for name in ("first", "second"))
    assert not set(first) & set(second)


def test_every_reference_has_its_target() -> None:
    root = ET.fromstring(curve_plot([line(low=[0, 0, 0], high=[1, 1, 1])], FRAME))
    targets = ids(ET.tostring(root, encoding="unicode"))
    used = [node.attrib["href"][1:] for node in root.iter() if "href" in node.attrib]
    used += [node.attrib["clip-path"][5:-1] for node in root.iter() if "clip-path" in node.attrib]
    assert used and set(used) <= set(targets)
    assert len(targets) == len(set(targets))


def test_series_differ_in_shape_and_colour() -> None:
    svg = curve_plot([line(style="points"), line("other", colour=1, style="points")], FRAME)
    assert COLOURS[0].lower() in svg and COLOURS[1].lower() in svg
    shapes = {n.attrib["d"] for n in ET.fromstring(svg).iter(f"{SVG}path") if "-m" in n.attrib.get("id", "")}
    assert len(shapes) >= 4  # two ticks, two markers


@pytest.mark.parametrize("y", [[], [None], [NAN], [INF]])
def test_nothing_finite_gives_no_plot(y: list[float | None]) -> None:
    assert curve_plot([Series(label="none", x=[1] * len(y), y=y)], FRAME) == ""


def test_no_estimate_gives_no_plot() -> None:
    assert dot_plot([("a", [None])], ["one"], FRAME) == ""


def test_gaps_and_unbounded_intervals_are_left_out() -> None:
    svg = curve_plot(
        [Series(label="gaps", x=[1, 2, 3], y=[0.0, None, 1.0], low=[-INF, None, 0], high=[INF, None, 2])], FRAME
    )
    assert "nan" not in svg and "inf" not in svg
    svg = dot_plot([("a", [Estimate(0.5, -INF, INF, 1)]), ("b", [None])], ["one"], FRAME)
    assert "nan" not in svg and "inf" not in svg


def test_errors_become_two_standard_errors_to_either_side() -> None:
    made = Series.from_errors("kl", [1, 2, 3], [1.0, None, 2.0], [0.25, 0.1, None])
    assert made.low == [0.5, None, None]
    assert made.high == [1.5, None, None]


def test_reliability_has_one_marker_for_each_bin_and_wilsons_interval() -> None:
    bins = [Bin(low=p, high=p, mean_prob=p, frequency=0.5, n=4) for p in (0.1, 0.5, 0.9)]
    svg = reliability_plot({"model": bins}, FRAME)
    uses = [node for node in ET.fromstring(svg).iter(f"{SVG}use") if COLOURS[0].lower() in node.attrib.get("style", "")]
    assert len(uses) == 3


def test_powers_of_two_are_marked_by_their_value() -> None:
    svg = curve_plot([Series(label="n", x=[1, 2, 4, 16], y=[0, 1, 2, 3])], replace(FRAME, x_powers_of_two=True))
    assert [t for t in texts(svg) if t in {"1", "2", "4", "8", "16"}][:4] == ["1", "2", "4", "16"]


def test_a_name_that_cannot_start_an_id_is_refused() -> None:
    with pytest.raises(ConfigError, match="'a b'"):
        replace(FRAME, name="a b")


def test_a_row_needs_an_estimate_or_none_for_each_series() -> None:
    with pytest.raises(ConfigError, match="'a'"):
        dot_plot([("a", [None])], ["one", "two"], FRAME)
