"""How far a stage is: a bar with rate and time left on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

Advance = Callable[..., None]
"""``advance(n=1, note="")``: so many more are done, and what to say beside them."""


@contextlib.contextmanager
def progress(label: str, total: int, unit: str, completed: int = 0, *, quiet: bool = False) -> Iterator[Advance]:
    """Show progress on standard error; yields ``advance``."""
    if quiet:
        yield lambda n=1, note="": None
    elif sys.stderr.isatty():
        with _bar(label, total, unit, completed) as advance:
            yield advance
    else:
        yield _lines(label, total, unit, completed)


@contextlib.contextmanager
def _bar(label: str, total: int, unit: str, completed: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<26}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=total, completed=completed, unit=unit, note="", rate="")
        count = 0

        def advance(n: int = 1, note: str = "") -> None:
            nonlocal count
            count += n
            rate = f"{count / max(1e-9, time.monotonic() - started):.2f}/s"
            bars.update(task, advance=n, rate=rate)
            if note:
                bars.update(task, note=note)

        yield advance


def _lines(label: str, total: int, unit: str, completed: int) -> Advance:
    started = last = time.monotonic()
    count = 0

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal count, last
        count += n
        now = time.monotonic()
        if now - last >= 10 or completed + count >= total:
            last = now
            rate = count / max(1e-9, now - started)
            left = max(0, total - completed - count) / rate if rate else None
            tail = f"  {note}" if note.strip() else ""
            left_text = "?" if left is None else f"{left // 60:.0f}:{left % 60:02.0f}"
            line = f"{label:<26} {completed + count}/{total} {unit}  {rate:.2f}/s  left {left_text}{tail}"
            print(line, file=sys.stderr, flush=True)

    return advance
