"""Talk to a model before and after alignment, side by side in the terminal.

Two samplers and a scorer, whatever they are. The dialogue goes on with the aligned model's reply. What a
model says is shown as text and never steers the terminal.
"""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from preflab.data.describe import printable
from preflab.data.dialogue import Dialogue, Message
from preflab.errors import DataError
from preflab.interfaces import Sampler, Scorer

HELP = "Type a message. /new begins a new dialogue; /quit, Ctrl-D or Ctrl-C ends."


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One message, what both models made of it, and the preference model's opinion."""

    before: Dialogue
    after: Dialogue
    scores: tuple[float, float] | None = None
    """Of before and after, nats; None without a preference model."""


def chat(
    before: Sampler,
    after: Sampler,
    *,
    scorer: Scorer | None = None,
    lines: Iterable[str] | None = None,
    console: Console | None = None,
) -> None:
    """Read messages and show both replies until the input or the person ends it.

    Args:
        before   the model as it was.
        after    the aligned one; the dialogue continues with what it says.
        scorer   a preference model, to show its score of each reply.
        lines    messages; typed ones when not given.
        console  where to print; standard output when not given.
    """
    console = console or Console(highlight=False)
    console.print(HELP, markup=False)
    messages: tuple[Message, ...] = ()
    try:
        for line in typed_lines() if lines is None else lines:
            text = line.strip()
            if text in ("/quit", "/exit"):
                break
            if text == "/new":
                messages = ()
                console.print("a new dialogue", markup=False)
            elif text.startswith("/"):
                console.print(f"unknown command {printable(text)}. {HELP}", markup=False)
            elif text:
                prompt = Dialogue((*messages, Message("user", text)))
                messages = _turn(prompt, before, after, scorer, console.print) or messages
    except (EOFError, KeyboardInterrupt):
        pass
    console.print()


def reply_to(prompt: Dialogue, before: Sampler, after: Sampler, scorer: Scorer | None = None) -> Exchange:
    """Both models' replies to one prompt, scored where there is a scorer."""
    both = (*before([prompt]), *after([prompt]))
    scores = None if scorer is None else tuple(float(score) for score in scorer(both))
    return Exchange(before=both[0], after=both[1], scores=None if scores is None else (scores[0], scores[1]))


def _turn(
    prompt: Dialogue, before: Sampler, after: Sampler, scorer: Scorer | None, show: Callable[..., None]
) -> tuple[Message, ...] | None:
    """Show one exchange; the dialogue after it, or None when it could not be had."""
    try:
        exchange = reply_to(prompt, before, after, scorer)
    except DataError as error:
        show(printable(f"{error}; /new begins a new dialogue"), style="red", markup=False)
        return None
    show(panels(exchange))
    return exchange.after.messages


def panels(exchange: Exchange) -> RenderableType:
    """Two panels side by side."""
    grid = Table.grid(expand=True, padding=(0, 1))
    sides = (("before", exchange.before, "dim"), ("after", exchange.after, "green"))
    cells = []
    for i, (title, dialogue, style) in enumerate(sides):
        grid.add_column(ratio=1)
        score = None if exchange.scores is None else f"score {exchange.scores[i]:+.2f} nats"
        text = Text(printable(dialogue.reply) or "(nothing)")
        cells.append(Panel(text, title=title, subtitle=score, border_style=style))
    grid.add_row(*cells)
    return grid


def typed_lines() -> Iterator[str]:
    """Lines from standard input, with a prompt and editing at a terminal; ends with the input."""
    at_terminal = sys.stdin.isatty()
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    if at_terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  # input() edits lines once this is imported
    while True:
        try:
            yield input("you> " if at_terminal else "")
        except EOFError:
            return
