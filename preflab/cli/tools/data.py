"""``preflab data inspect``: what a data set holds."""

import argparse

from preflab.cli.parser import show_help

NAME = "data"
SUMMARY = "Look at comparison data."
COMMANDS: tuple[str, ...] = ("inspect",)
work = show_help


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which data set, and how it is read."""
    inspect = parser.add_subparsers(metavar="COMMAND", title="commands").add_parser(
        "inspect", help="Say what a data set holds and what is left out.", description="Say what a data set holds."
    )
    inspect.set_defaults(work=describe_comparisons, parser=inspect)
    inspect.add_argument("path", metavar="PATH", help="A file, folder or hub data set of comparisons, or starter.")
    text = "How the comparisons are written. Default: recognised by their columns."
    inspect.add_argument("--format", metavar="FORMAT", help=text)
    text = "The part of a data set that has parts. Default: the only one there is."
    inspect.add_argument("--split", metavar="SPLIT", help=text)
    text = "Look at the first N comparisons only. Default: all."
    inspect.add_argument("--limit", metavar="N", type=int, help=text)


def describe_comparisons(args: argparse.Namespace) -> int:
    """Print what is there and what was left out."""
    from preflab.data.describe import describe, printable
    from preflab.data.load import load_comparisons

    loaded = load_comparisons(args.path, format=args.format, split=args.split, limit=args.limit)
    print(printable(loaded.render()), end="\n\n")
    print(describe(loaded.comparisons).render())
    return 0
