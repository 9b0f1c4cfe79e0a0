"""Plots as inline SVG: a string to put into a page, with text as text, the same bytes for the same numbers.

Nothing here knows what is plotted. Every plot carries a title and a description for those who cannot see it,
tells series apart by shape as well as by colour (Okabe and Ito's colours), and takes its ids from ``name``, so
that many plots can stand in one page. Labels may be any text: nothing in them is read as markup or mathematics.
"""

import html
import math
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any, Literal

import numpy as np

from preflab.errors import ConfigError
from preflab.maths.statistics import Estimate, wilson

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
"""Okabe and Ito 2008, in an order in which neighbours differ in lightness too."""
MARKERS = ("o", "s", "^", "D", "v")
GREY = "#555555"
MAX_LABEL = 30
"""Characters of a row's label; the rest is cut with an ellipsis."""

Style = Literal["line", "points", "both", "dashed"]
Number = float | int | None

_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#222222",
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.borderpad": 0.1,
    "axes.unicode_minus": False,
}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What surrounds a plot: its words, its size, and the lines that mark known values."""

    name: str
    """Prefix of every id in the SVG; letters, digits, - and _."""
    title: str
    description: str = ""
    x_label: str = ""
    y_label: str = ""
    across: tuple[tuple[float, str], ...] = ()
    """Values of y to mark, each with a label."""
    upright: tuple[tuple[float, str], ...] = ()
    """Values of x to mark, each with a label."""
    diagonal: bool = False
    """Mark y = x."""
    x_powers_of_two: bool = False
    x_percent: bool = False
    """Shares are marked as percentages."""
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    whole_steps: bool = False
    """x counts things: only whole numbers are marked."""
    width: float = 4.9
    """Inches; a page may scale it."""
    height: float = 2.9

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][\w-]*", self.name, re.ASCII):
            raise ConfigError(f"the name of a plot starts its ids: letters, digits, - and _ only, got {self.name!r}")


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points that belong together; ``None`` and nan leave a gap."""

    label: str
    x: Sequence[Number]
    y: Sequence[Number]
    low: Sequence[Number] | None = None
    high: Sequence[Number] | None = None
    """Ends of each point's interval; a band behind lines, bars through points."""
    x_low: Sequence[Number] | None = None
    x_high: Sequence[Number] | None = None
    style: Style = "line"
    colour: int = 0
    """Number of the colour and the marker; -1 is grey."""

    @classmethod
    def of_estimates(
        cls, label: str, x: Sequence[Number], y: Sequence[Estimate], *, style: Style = "line", colour: int = 0
    ) -> "Series":
        """Estimates with their intervals."""
        low, high = [e.low for e in y], [e.high for e in y]
        return cls(label=label, x=x, y=[e.value for e in y], low=low, high=high, style=style, colour=colour)

    @classmethod
    def of_errors(
        cls,
        label: str,
        x: Sequence[Number],
        y: Sequence[Number],
        error: Sequence[Number],
        *,
        style: Style = "line",
        colour: int = 0,
    ) -> "Series":
        """Values with two standard errors to either side; no interval where one of the two is missing."""
        ends = [
            (None, None) if v is None or e is None else (v - 2 * e, v + 2 * e) for v, e in zip(y, error, strict=True)
        ]
        low, high = [low for low, _ in ends], [high for _, high in ends]
        return cls(label=label, x=x, y=y, low=low, high=high, style=style, colour=colour)


def curve_plot(series: Sequence[Series], frame: Frame) -> str:
    """Lines or points with intervals, as SVG; an empty string when there is no finite point."""
    drawn = [s for s in series if _finite_points(s)]
    if not drawn:
        return ""
    with _settings(frame.name):
        figure, axes = _figure(frame)
        for one in drawn:
            _draw(axes, one)
        _dress(axes, frame)
        if len(drawn) > 1:
            figure.legend(loc="outside upper left", ncols=2, columnspacing=1.0, handletextpad=0.5)
        return _svg(figure, frame)


def dot_plot(
    rows: Sequence[tuple[str, Sequence[Estimate | None]]],
    series: Sequence[str],
    frame: Frame,
) -> str:
    """Estimates with intervals, a row each, one marker for each of ``series``; empty without any estimate.

    Args:
        rows    label and one estimate (or None) for each of ``series``, from top to bottom.
        series  what the estimates of a row differ in; the legend is left out when there is only one.
        frame   ``height`` is ignored: it follows from the rows.
    """
    wrong = [label for label, estimates in rows if len(estimates) != len(series)]
    if wrong:
        raise ConfigError(f"row {wrong[0]!r} must have one estimate for each of {list(series)}")
    if not any(e is not None for _, estimates in rows for e in estimates):
        return ""
    height = 0.75 + 0.25 * (len(series) > 1) + len(rows) * (0.2 + 0.16 * len(series))
    with _settings(frame.name):
        figure, axes = _figure(frame, height=height)
        spread = min(0.26, 0.7 / len(series))  # rows stay further apart than what is in them
        handles: dict[str, Any] = {}
        for i, (_, estimates) in enumerate(rows):
            for k, (label, estimate) in enumerate(zip(series, estimates, strict=True)):
                if estimate is not None:
                    offset = (k - (len(series) - 1) / 2) * spread
                    handles[label] = _dot(axes, estimate, i + offset, k)
        axes.set_yticks(range(len(rows)), [_shown(label) for label, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        _dress(axes, frame)
        if len(series) > 1:
            shown = [s for s in series if s in handles]
            figure.legend([handles[s] for s in shown], shown, loc="outside upper left", ncols=2, handletextpad=0.5)
        return _svg(figure, frame)


def reliability_plot(bins: Mapping[str, Sequence[Mapping[str, float]]], frame: Frame) -> str:
    """Predicted probability against frequency, with Wilson's interval for each bin.

    Args:
        bins   for each predictor the fields of its `preflab.maths.statistics.Bin`s, as mappings.
        frame  limits and diagonal are set here.
    """
    series = [
        Series.of_estimates(
            label,
            [b["mean_prob"] for b in own],
            [wilson(b["frequency"] * b["n"], int(b["n"])) for b in own],
            style="points",
            colour=k,
        )
        for k, (label, own) in enumerate(bins.items())
    ]
    whole = (-0.03, 1.03)
    return curve_plot(series, replace(frame, diagonal=True, x_limits=whole, y_limits=whole))


# drawing -------------------------------------------------------------------------------------------------


def _settings(name: str) -> Any:
    """Our look, for as long as one plot takes."""
    import matplotlib

    return matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name})


def _figure(frame: Frame, height: float | None = None) -> tuple[Any, Any]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(frame.width, frame.height if height is None else height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _look(colour: int) -> tuple[str, str]:
    return (GREY, "o") if colour < 0 else (COLOURS[colour % len(COLOURS)], MARKERS[colour % len(MARKERS)])


def _draw(axes: Any, one: Series) -> None:
    colour, marker = _look(one.colour)
    x, y = _floats(one.x), _floats(one.y)
    few = len(x) <= 12
    label = _shown(one.label, 60)
    if one.style in ("line", "dashed"):
        dash = "--" if one.style == "dashed" else "-"
        dots = {"marker": marker, "markersize": 3.5} if few and one.style == "line" else {}
        axes.plot(x, y, dash, color=colour, linewidth=1.5, label=label, **dots)
    else:
        join = {"linewidth": 1.0} if one.style == "both" else {"linestyle": "none"}
        axes.plot(x, y, marker=marker, markersize=5, color=colour, markeredgecolor="white", label=label, **join)
    if one.low is not None and one.high is not None:
        low, high = _floats(one.low), _floats(one.high)
        if one.style in ("line", "dashed"):
            axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        else:
            axes.vlines(x, low, high, color=colour, linewidth=1.2)
    if one.x_low is not None and one.x_high is not None:
        axes.hlines(y, _floats(one.x_low), _floats(one.x_high), color=colour, linewidth=1.2)


def _dot(axes: Any, estimate: Estimate, y: float, k: int) -> Any:
    """One estimate and its interval; an unbounded end is not drawn."""
    colour, marker = _look(k)
    low, high = (end if math.isfinite(end) else estimate.value for end in (estimate.low, estimate.high))
    axes.hlines([y], [low], [high], color=colour, linewidth=1.8)
    (handle,) = axes.plot([estimate.value], [y], marker, color=colour, markersize=6, markeredgecolor="white")
    return handle


def _dress(axes: Any, frame: Frame) -> None:
    """Labels, limits and marked values."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    if frame.x_powers_of_two:
        ticks = sorted({float(v) for line in axes.lines for v in line.get_xdata()})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
    elif frame.whole_steps:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    elif frame.x_percent:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=" %"))
    for value, label in frame.across:
        axes.axhline(value, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        _mark(axes, label, xy=(1.0, value), xycoords=axes.get_yaxis_transform(), ha="right", va="bottom", shift=(0, 2))
    for value, label in frame.upright:
        axes.axvline(value, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        _mark(axes, label, xy=(value, 1.0), xycoords=axes.get_xaxis_transform(), ha="left", va="bottom", shift=(2, 1))
    if frame.diagonal:
        axes.axline((0, 0), slope=1, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    if frame.x_limits is not None:
        axes.set_xlim(*frame.x_limits)
    if frame.y_limits is not None:
        axes.set_ylim(*frame.y_limits)
    axes.set_xlabel(frame.x_label)
    axes.set_ylabel(frame.y_label)


def _mark(axes: Any, label: str, *, shift: tuple[int, int], **where: Any) -> None:
    """Small grey words beside a marked value."""
    axes.annotate(
        label, xytext=shift, textcoords="offset points", fontsize=7.5, color=GREY, annotation_clip=False, **where
    )


# numbers, words, SVG -------------------------------------------------------------------------------------


def _floats(values: Sequence[Number]) -> np.ndarray:
    found = np.array([math.nan if v is None else float(v) for v in values], dtype=np.float64)
    return np.where(np.isfinite(found), found, math.nan)


def _finite_points(one: Series) -> bool:
    return bool((np.isfinite(_floats(one.x)) & np.isfinite(_floats(one.y))).any())


def _shown(text: str, most: int = MAX_LABEL) -> str:
    """One line of printable text."""
    line = " ".join("".join(" " if unicodedata.category(c)[0] == "C" else c for c in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _svg(figure: Any, frame: Frame) -> str:
    """The figure as an inline element: no prolog, no metadata, ids of its own, a title and a description."""
    buffer = StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that our font lacks: the reader's browser has its own
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    raw = buffer.getvalue()
    body = raw[raw.index("<svg") : raw.rindex("</svg>")]
    head, inside = body.split(">", 1)
    box = re.search(r'viewBox="([^"]+)"', head)
    assert box is not None
    inside = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", inside, flags=re.DOTALL)
    inside = re.sub(r'\bid="([^"]+)"', rf'id="{frame.name}-\1"', inside)
    inside = re.sub(r'(?:xlink:)?href="#', f'href="#{frame.name}-', inside)
    inside = inside.replace("url(#", f"url(#{frame.name}-")
    inside = re.sub(r"\s*\n\s*", "\n", inside).strip()
    words = f'<title id="{frame.name}-title">{html.escape(_shown(frame.title, 200))}</title>\n'
    described = f"{frame.name}-title"
    if frame.description:
        words += f'<desc id="{frame.name}-desc">{html.escape(_shown(frame.description, 2000))}</desc>\n'
    by = f' aria-describedby="{frame.name}-desc"' if frame.description else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box[1]}" role="img" aria-labelledby="{described}"{by} '
        f'style="stroke-linejoin:round;stroke-linecap:butt">\n{words}{inside}\n</svg>'
    )
