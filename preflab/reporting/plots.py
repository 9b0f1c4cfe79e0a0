"""Plots as inline SVG: a string to put into a page, with text as text, the same bytes for the same numbers.

Nothing here knows what is plotted. Every plot has a title and a description for screen readers. Series differ in shape
as well as in colour (Okabe and Ito's colours). Ids start with ``name``, so that one page can hold many plots. Labels
may be any text: nothing in them is read as markup or mathematics.
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
from preflab.maths.statistics import Bin, Estimate, wilson

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
"""Okabe and Ito 2008, in an order in which neighbours differ in lightness too."""
MARKERS = ("o", "s", "^", "D", "v")
GREY = "#555555"
UNIT_LIMITS = (-0.03, 1.03)
"""Limits of an axis of shares or probabilities."""
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
    """Title, labels, limits and size of a plot, and the reference lines in it."""

    name: str
    """Prefix of every id in the SVG; letters, digits, - and _."""
    title: str
    description: str = ""
    x_label: str = ""
    y_label: str = ""
    hlines: tuple[tuple[float, str], ...] = ()
    """Values of y to mark, each with a label."""
    vlines: tuple[tuple[float, str], ...] = ()
    """Values of x to mark, each with a label."""
    diagonal: bool = False
    """Mark y = x."""
    x_powers_of_two: bool = False
    x_percent: bool = False
    """Tick labels of x as percentages of a share."""
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    integer_x: bool = False
    """Ticks of x at whole numbers only."""
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
    def from_estimates(
        cls, label: str, x: Sequence[Number], y: Sequence[Estimate], *, style: Style = "line", colour: int = 0
    ) -> "Series":
        """Estimates with their intervals."""
        low, high = [e.low for e in y], [e.high for e in y]
        return cls(label=label, x=x, y=[e.value for e in y], low=low, high=high, style=style, colour=colour)

    @classmethod
    def from_errors(
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
    finite = [points for points in series if _has_finite_points(points)]
    if not finite:
        return ""
    with plot_style(frame.name):
        figure, axes = new_figure(frame)
        for points in finite:
            _draw_series(axes, points)
        apply_frame(axes, frame)
        if len(finite) > 1:
            figure.legend(loc="outside upper left", ncols=2, columnspacing=1.0, handletextpad=0.5)
        return to_svg(figure, frame)


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
    with plot_style(frame.name):
        figure, axes = new_figure(frame, height=height)
        spread = min(0.26, 0.7 / len(series))  # rows stay further apart than what is in them
        handles: dict[str, Any] = {}
        for i, (_, estimates) in enumerate(rows):
            for k, (label, estimate) in enumerate(zip(series, estimates, strict=True)):
                if estimate is not None:
                    offset = (k - (len(series) - 1) / 2) * spread
                    handles[label] = _draw_estimate(axes, estimate, i + offset, k)
        axes.set_yticks(range(len(rows)), [printable(label) for label, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        apply_frame(axes, frame)
        if len(series) > 1:
            labels = [label for label in series if label in handles]
            figure.legend(
                [handles[label] for label in labels], labels, loc="outside upper left", ncols=2, handletextpad=0.5
            )
        return to_svg(figure, frame)


def reliability_plot(bins: Mapping[str, Sequence[Bin]], frame: Frame) -> str:
    """Predicted probability against frequency, with Wilson's interval for each bin.

    Args:
        bins   predictor -> its predictions by bin.
        frame  limits and diagonal are set here.
    """
    series = [
        Series.from_estimates(
            label,
            [b.mean_prob for b in label_bins],
            [wilson(b.frequency * b.n, b.n) for b in label_bins],
            style="points",
            colour=k,
        )
        for k, (label, label_bins) in enumerate(bins.items())
    ]
    return curve_plot(series, replace(frame, diagonal=True, x_limits=UNIT_LIMITS, y_limits=UNIT_LIMITS))


# drawing -------------------------------------------------------------------------------------------------


def plot_style(name: str) -> Any:
    """Context manager: matplotlib's settings for one plot, whose name makes its ids repeatable."""
    import matplotlib

    return matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name})


def new_figure(frame: Frame, height: float | None = None) -> tuple[Any, Any]:
    """Figure and axes; ``height`` in inches in place of the frame's."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(frame.width, frame.height if height is None else height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _colour_and_marker(colour: int) -> tuple[str, str]:
    return (GREY, "o") if colour < 0 else (COLOURS[colour % len(COLOURS)], MARKERS[colour % len(MARKERS)])


def _draw_series(axes: Any, series: Series) -> None:
    colour, marker = _colour_and_marker(series.colour)
    x, y = _floats(series.x), _floats(series.y)
    few = len(x) <= 12
    label = printable(series.label, 60)
    if series.style in ("line", "dashed"):
        dash = "--" if series.style == "dashed" else "-"
        dots = {"marker": marker, "markersize": 3.5} if few and series.style == "line" else {}
        axes.plot(x, y, dash, color=colour, linewidth=1.5, label=label, **dots)
    else:
        join = {"linewidth": 1.0} if series.style == "both" else {"linestyle": "none"}
        axes.plot(x, y, marker=marker, markersize=5, color=colour, markeredgecolor="white", label=label, **join)
    if series.low is not None and series.high is not None:
        low, high = _floats(series.low), _floats(series.high)
        if series.style in ("line", "dashed"):
            axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        else:
            axes.vlines(x, low, high, color=colour, linewidth=1.2)
    if series.x_low is not None and series.x_high is not None:
        axes.hlines(y, _floats(series.x_low), _floats(series.x_high), color=colour, linewidth=1.2)


def _draw_estimate(axes: Any, estimate: Estimate, y: float, k: int) -> Any:
    """One estimate and its interval; an unbounded end is not drawn."""
    colour, marker = _colour_and_marker(k)
    low, high = (end if math.isfinite(end) else estimate.value for end in (estimate.low, estimate.high))
    axes.hlines([y], [low], [high], color=colour, linewidth=1.8)
    (handle,) = axes.plot([estimate.value], [y], marker, color=colour, markersize=6, markeredgecolor="white")
    return handle


def apply_frame(axes: Any, frame: Frame) -> None:
    """Set labels, ticks and limits, and draw the reference lines."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    if frame.x_powers_of_two:
        ticks = sorted({float(v) for line in axes.lines for v in line.get_xdata()})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
    elif frame.integer_x:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    elif frame.x_percent:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=" %"))
    for value, label in frame.hlines:
        axes.axhline(value, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        _label_line(
            axes, label, xy=(1.0, value), xycoords=axes.get_yaxis_transform(), ha="right", va="bottom", shift=(0, 2)
        )
    for value, label in frame.vlines:
        axes.axvline(value, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        _label_line(
            axes, label, xy=(value, 1.0), xycoords=axes.get_xaxis_transform(), ha="left", va="bottom", shift=(2, 1)
        )
    if frame.diagonal:
        axes.axline((0, 0), slope=1, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    if frame.x_limits is not None:
        axes.set_xlim(*frame.x_limits)
    if frame.y_limits is not None:
        axes.set_ylim(*frame.y_limits)
    axes.set_xlabel(frame.x_label)
    axes.set_ylabel(frame.y_label)


def _label_line(axes: Any, label: str, *, shift: tuple[int, int], **position: Any) -> None:
    """Small grey text beside a reference line."""
    axes.annotate(
        label, xytext=shift, textcoords="offset points", fontsize=7.5, color=GREY, annotation_clip=False, **position
    )


# numbers, text, SVG --------------------------------------------------------------------------------------


def _floats(values: Sequence[Number]) -> np.ndarray:
    floats = np.array([math.nan if v is None else float(v) for v in values], dtype=np.float64)
    return np.where(np.isfinite(floats), floats, math.nan)


def _has_finite_points(series: Series) -> bool:
    return bool((np.isfinite(_floats(series.x)) & np.isfinite(_floats(series.y))).any())


def printable(text: str, max_length: int = MAX_LABEL) -> str:
    """One line without control characters, cut with an ellipsis at ``max_length`` characters."""
    line = " ".join("".join(" " if unicodedata.category(c)[0] == "C" else c for c in text).split())
    return line if len(line) <= max_length else line[: max_length - 1] + "…"


def to_svg(figure: Any, frame: Frame) -> str:
    """The figure as an inline element: no prolog, no metadata, ids of its own, a title and a description."""
    buffer = StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that our font lacks: the reader's browser has its own
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    raw = buffer.getvalue()
    body = raw[raw.index("<svg") : raw.rindex("</svg>")]
    root_tag, inside = body.split(">", 1)
    box = re.search(r'viewBox="([^"]+)"', root_tag)
    assert box is not None
    inside = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", inside, flags=re.DOTALL)
    inside = re.sub(r'\bid="([^"]+)"', rf'id="{frame.name}-\1"', inside)
    inside = re.sub(r'(?:xlink:)?href="#', f'href="#{frame.name}-', inside)
    inside = inside.replace("url(#", f"url(#{frame.name}-")
    inside = re.sub(r"\s*\n\s*", "\n", inside).strip()
    head = f'<title id="{frame.name}-title">{html.escape(printable(frame.title, 200))}</title>\n'
    described_by = ""
    if frame.description:
        head += f'<desc id="{frame.name}-desc">{html.escape(printable(frame.description, 2000))}</desc>\n'
        described_by = f' aria-describedby="{frame.name}-desc"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box[1]}" role="img" '
        f'aria-labelledby="{frame.name}-title"{described_by} '
        f'style="stroke-linejoin:round;stroke-linecap:butt">\n{head}{inside}\n</svg>'
    )
