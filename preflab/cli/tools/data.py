"""``preflab data inspect``: what a data set holds, and what a model will see of it."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from preflab.cli.parser import show_help

if TYPE_CHECKING:
    from preflab.data.comparison import Comparison
    from preflab.rollouts.encoder import Encoder

NAME = "data"
SUMMARY = "Look at comparison data."
COMMANDS: tuple[str, ...] = ("inspect",)
work = show_help

DEFAULT_MODEL = "smollm2"
SHOWN = 3
"""Comparisons that are shown as a model sees them."""
SHOWN_CHARACTERS = 700
"""Of each text as a model sees it; the middle is cut."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which data set, and how it is read."""
    text = (
        "Say what a data set holds: the format and why, what each column is read as, what is left out and where, and "
        "three comparisons as a model sees them."
    )
    inspect = parser.add_subparsers(metavar="COMMAND", title="commands").add_parser(
        "inspect", help="Say what a data set holds and what is left out.", description=text
    )
    inspect.set_defaults(work=describe_comparisons, parser=inspect)
    inspect.add_argument("path", metavar="PATH", help="A file, folder or hub data set of comparisons, or starter.")
    text = "How the comparisons are written. Default: recognised by their columns."
    inspect.add_argument("--format", metavar="FORMAT", help=text)
    text = (
        "Columns under other names (prompt=title), or left out (ignore=notes); with commas between, or repeatedly. "
        "Default: as they are called."
    )
    inspect.add_argument("--columns", metavar="NAME=COLUMN", action="append", default=[], help=text)
    text = "The part of a data set that has parts. Default: the only one there is."
    inspect.add_argument("--split", metavar="SPLIT", help=text)
    text = "Look at the first N records only. Default: all."
    inspect.add_argument("--limit", metavar="N", type=int, help=text)
    text = "Whose chat template and tokens are shown: tiny, smollm2, a folder or a hub id. Default: smollm2."
    inspect.add_argument("--model", metavar="NAME", help=text)


def describe_comparisons(args: argparse.Namespace) -> int:
    """Print how the data were read, what they hold, what was left out, and what a model sees."""
    from preflab.data.describe import describe, printable
    from preflab.data.load import load_comparisons

    loaded = load_comparisons(
        args.path, format=args.format, split=args.split, limit=args.limit, columns=tuple(args.columns)
    )
    print(printable(loaded.render()), end="\n\n")
    print(f"format {loaded.format}, {'as asked for' if args.format else 'which reads all that matters of a record'}")
    width = max(map(len, loaded.columns), default=0)
    for column, reading in loaded.columns.items():
        print(printable(f"  {column:<{width}}  {reading}"))
    print()
    print(describe(loaded.comparisons).render())
    print(printable("\n".join(shown_to_model(loaded.comparisons[:SHOWN], args.model or DEFAULT_MODEL, args.model))))
    return 0


def shown_to_model(comparisons: "Sequence[Comparison]", model: str, asked_for: str | None) -> list[str]:
    """Lines that show comparisons as a model sees them; a note where the default model cannot be had.

    Raises:
        ModelError: the model that was asked for is not there, or its template cannot be used.
    """
    from preflab.errors import ModelError
    from preflab.models.load import load_tokenizer
    from preflab.reporting.template_text import template_text
    from preflab.rollouts.encoder import Encoder
    from preflab.rollouts.template_probes import template_differences

    try:
        encoder = Encoder(load_tokenizer(model), max_tokens=1 << 30)
    except ModelError as error:
        if asked_for is not None:
            raise
        return ["", f"as a model sees them: not shown, {error}"]
    lines = ["", f"as {model} sees them, special tokens in full"]
    for comparison in comparisons:
        lines += ["", *as_seen(comparison, encoder)]
    if sentences := template_text({"template_differences": template_differences(encoder)}):
        lines += ["", *sentences]
    return lines


def as_seen(comparison: "Comparison", encoder: "Encoder") -> list[str]:
    """The tokens of a comparison as text: the prompt once, then each reply with its rank and its end."""
    from preflab.rollouts.encode import encode_comparisons

    encoded = encode_comparisons(encoder, [comparison])
    if encoded.refused:
        return [f"left out: {encoded.refused[0]}"]
    row = encoded.rows[0]
    prompt, *replies = (_decoded(encoder, row.segments[segment]) for segment in (0, *row.replies))
    return [prompt, *(f"  rank {rank}: {reply}" for rank, reply in zip(comparison.ranks, replies, strict=True))]


def _decoded(encoder: "Encoder", tokens: Sequence[int]) -> str:
    """Tokens as text with the special ones; the middle of a long text is cut."""
    text: str = encoder.tokenizer.decode(list(tokens), skip_special_tokens=False)
    cut, half = len(text) - SHOWN_CHARACTERS, SHOWN_CHARACTERS // 2
    return text if cut <= 0 else f"{text[:half]} [... {cut} more characters ...] {text[-half:]}"
