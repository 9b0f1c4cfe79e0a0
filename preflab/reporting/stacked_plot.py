"""Shares that sum to one, a row each, stacked side by side: pronouns by occupation (Ganguli et al. 2023, fig. 4)."""

from collections.abc import Sequence

from preflab.errors import ConfigError
from preflab.reporting.plots import COLOURS, GREY, Frame, apply_frame, new_figure, plot_style, printable, to_svg

MOST_ROWS = 60
"""Of more rows, evenly spaced ones are shown."""
HATCHES = ("", "///", "...", "xxx")


def stacked_plot(
    rows: Sequence[tuple[str, Sequence[float], float | None]], parts: Sequence[str], frame: Frame, *, mark: str = ""
) -> str:
    """Stacked bars as SVG; empty without rows.

    Args:
        rows   label, a share for each of ``parts``, and a share to mark by a point (None: none); from top to bottom.
        parts  what the shares are of, told apart by colour and hatching.
        frame  ``height`` is ignored: it follows from the rows.
        mark   what the points are.
    """
    wrong = [label for label, shares, _ in rows if len(shares) != len(parts)]
    if wrong:
        raise ConfigError(f"row {wrong[0]!r} must have one share for each of {list(parts)}")
    if not rows:
        return ""
    if len(rows) > MOST_ROWS:
        rows = [rows[round(i * (len(rows) - 1) / (MOST_ROWS - 1))] for i in range(MOST_ROWS)]
    with plot_style(frame.name):
        figure, axes = new_figure(frame, height=1.0 + 0.17 * len(rows))
        handles, positions = [], list(range(len(rows)))
        left = [0.0] * len(rows)
        for k, part in enumerate(parts):
            widths = [shares[k] for _, shares, _ in rows]
            bars = axes.barh(
                positions,
                widths,
                left=left,
                height=0.8,
                color=COLOURS[k % len(COLOURS)],
                hatch=HATCHES[k % len(HATCHES)],
                edgecolor="white",
                linewidth=0.2,
                label=part,
            )
            handles.append(bars)
            left = [a + b for a, b in zip(left, widths, strict=True)]
        points = [(share, i) for i, (_, _, share) in enumerate(rows) if share is not None]
        if points:
            x, y = zip(*points, strict=True)
            handles.append(
                axes.scatter(x, y, s=14, color="white", edgecolors=GREY, linewidths=1.0, zorder=5, label=mark)
            )
        axes.set_yticks(positions, [printable(label) for label, _, _ in rows], fontsize=7)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.grid(visible=False)
        apply_frame(axes, frame)
        figure.legend(handles=handles, loc="outside upper left", ncols=4, handletextpad=0.5)
        return to_svg(figure, frame)
