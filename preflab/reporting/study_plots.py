"""Plots of a study of human judgements, as SVG that a page with a strict policy may hold.

The collection site allows no inline styles. So styles are written as presentation attributes (``fill="#333"``), never
in ``style``. Nothing is loaded and nothing runs. Input is plain numbers and estimates: these plots know no store and no
pages. Empty data give an empty string. Names (of annotators, categories, policies) may be any text.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

from preflab.errors import ConfigError
from preflab.maths.statistics import Estimate
from preflab.reporting.plots import Frame, Series, curve_plot, dot_plot

MOST_ROWS = 40
"""Rows of a plot; the description says how many were left out."""
SHARES = {
    "gold": "gold items as expected",
    "consistency": "repeats as before",
    "agreement": "agreement with others",
    "left": "left one picked",
}
"""Share of an annotator -> its label."""
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_ALLOWED = frozenset(
    f"{group}{part}".rstrip("-")
    for group, parts in {
        "fill-": ("", "opacity", "rule"),
        "font-": ("family", "size", "style", "weight"),
        "stroke-": ("", "dasharray", "dashoffset", "linecap", "linejoin", "miterlimit", "opacity", "width"),
        "": ("opacity", "text-anchor"),
    }.items()
    for part in parts
)
"""CSS properties that exist as presentation attributes, of those that matplotlib uses."""
_FONT = re.compile(r"(?P<style>italic |oblique )?(?P<weight>\d+ |bold )?(?P<size>[\d.]+px) (?P<family>.+)")
_UNITS = ((2 * 86_400_000, 86_400_000, "days"), (2 * 3_600_000, 3_600_000, "hours"), (0, 60_000, "minutes"))


def progress_plot(
    progress: Sequence[tuple[int, int]], *, target: int | None = None, name: str = "study-progress"
) -> str:
    """Judgements that count, over time.

    Args:
        progress  (milliseconds since 1970, judgements up to then), in order of time.
        target    judgements that the study asks for; drawn as a line unless it is over three times the count.
        name      prefix of the ids.
    """
    if not progress:
        return ""
    start, end = progress[0][0], progress[-1][0]
    unit_ms, unit = next((ms, word) for least, ms, word in _UNITS if end - start >= least)
    n = progress[-1][1]
    within_view = target is not None and target <= 3 * n
    description = f"{n} judgements that count in {(end - start) / unit_ms:.3g} {unit}"
    frame = Frame(
        name=name,
        title="Judgements over time",
        description=description + (f", of {target} wanted." if target is not None else "."),
        x_label=f"{unit} since the first judgement",
        y_label="judgements",
        hlines=((float(target), f"{target} wanted"),) if within_view and target is not None else (),
        y_limits=(0.0, 1.12 * max(n, target if within_view and target is not None else 0)),
    )
    times = [(time_ms - start) / unit_ms for time_ms, _ in progress]
    return _without_styles(curve_plot([Series(label="judgements", x=times, y=[k for _, k in progress])], frame))


def agreement_plot(
    rows: Sequence[tuple[str, Estimate | None, Estimate | None]], *, name: str = "study-agreement"
) -> str:
    """Agreement by question or category, with intervals.

    Args:
        rows  label, raw agreement, Krippendorff's alpha; None where there is none.
        name  prefix of the ids.
    """
    frame = Frame(
        name=name,
        title="Agreement between annotators",
        description="Raw agreement is the share of equal answers; alpha takes off what chance gives: 0 is chance, "
        "1 is full agreement. Bars are 95 % intervals." + _left_out(len(rows)),
        x_label="agreement",
        vlines=((0.0, "chance (alpha)"),),
        x_limits=(_lowest([alpha for _, _, alpha in rows]), 1.04),
    )
    drawn = [(label, (raw, alpha)) for label, raw, alpha in rows[:MOST_ROWS]]
    return _without_styles(dot_plot(drawn, ["raw agreement", "alpha"], frame))


def annotators_plot(rows: Sequence[tuple[str, Mapping[str, Estimate | None]]], *, name: str = "study-quality") -> str:
    """The quality of each annotator, with intervals.

    Args:
        rows  pseudonym and shares by the names in `SHARES`; what is missing or None is not drawn.
        name  prefix of the ids.

    Raises:
        ConfigError: a share of another name.
    """
    for _, shares in rows:
        if unknown := set(shares) - set(SHARES):
            raise ConfigError(f"shares of an annotator are {', '.join(SHARES)}; got {', '.join(sorted(unknown))}")
    measured = [key for key in SHARES if any(shares.get(key) is not None for _, shares in rows)]
    frame = Frame(
        name=name,
        title="Quality by annotator",
        description="Shares with 95 % intervals. Sides are shuffled, so the left one is expected to be picked in one "
        "half of the choices." + _left_out(len(rows)),
        x_label="share",
        x_percent=True,
        vlines=((0.5, "1/2"),),
        x_limits=(-0.03, 1.03),
    )
    drawn = [(label, [shares.get(key) for key in measured]) for label, shares in rows[:MOST_ROWS]]
    return _without_styles(dot_plot(drawn, [SHARES[key] for key in measured], frame))


def elo_plot(ratings: Mapping[str, Estimate], *, reference: str = "", name: str = "study-elo") -> str:
    """Policies by their Elo, the best on top, with intervals.

    Args:
        ratings    policy -> Elo.
        reference  what stands at 0: the name of an anchor; the mean of all where empty.
        name       prefix of the ids.
    """
    best_first = sorted(ratings.items(), key=lambda row: (-row[1].value, row[0]))
    frame = Frame(
        name=name,
        title="Elo of each policy",
        description=f"With 95 % intervals; 0 is {reference or 'the mean of all policies'}. 100 Elo ahead wins 64 % of "
        "the time, 400 Elo 91 %." + _left_out(len(ratings)),
        x_label=f"Elo above {reference or 'the mean'}",
        vlines=((0.0, ""),),
    )
    return _without_styles(dot_plot([(label, [elo]) for label, elo in best_first[:MOST_ROWS]], ["Elo"], frame))


def _left_out(rows: int) -> str:
    return f" Of {rows} rows the first {MOST_ROWS} are shown." if rows > MOST_ROWS else ""


def _lowest(estimates: Sequence[Estimate | None]) -> float:
    """Left end of the axis: a little below 0, further where an alpha or its interval goes there, at most -1."""
    ends = [end for e in estimates if e is not None for end in (e.value, e.low) if end > -1]
    return max(-1.04, min([0.0, *ends]) - 0.04)


def _without_styles(svg: str) -> str:
    """The same SVG with presentation attributes in place of styles."""
    if not svg:
        return ""
    ET.register_namespace("", _SVG)
    root = ET.fromstring(svg)
    for node in root.iter():
        style = node.attrib.pop("style", "")
        node.attrib |= _attributes(style)
        link = node.attrib.get(f"{{{_XLINK}}}href", node.attrib.get("href", "#"))
        if not link.startswith("#"):
            raise ConfigError(f"a plot may point at its own parts only, got {link!r}")
    return ET.tostring(root, encoding="unicode")


def _attributes(style: str) -> dict[str, str]:
    """Presentation attributes of the properties of a style; a property that has none is dropped."""
    attributes: dict[str, str] = {}
    for declaration in style.split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        font = _FONT.fullmatch(value) if key == "font" else None  # matplotlib before 3.9 writes the short form
        if font is not None:
            parts = {f"font-{part}": text.strip() for part, text in font.groupdict().items() if text}
            attributes |= parts
        elif key in _ALLOWED:
            attributes[key] = value
    return attributes
