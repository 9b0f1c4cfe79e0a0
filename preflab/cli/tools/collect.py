"""``preflab collect``: the site where people judge."""

import argparse

from preflab.cli.tools.store import add_store

NAME = "collect"
SUMMARY = "Let people judge: serve the collection site."
COMMANDS: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Studies, and how the site is reached."""
    add = parser.add_argument
    add(
        "study",
        metavar="STUDY.yaml",
        nargs="*",
        help="Studies to make or bring up to date. Default: those in the store.",
    )
    add_store(parser)
    add(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="Where to listen. Default: 127.0.0.1, this machine alone.",
    )
    add("--port", metavar="N", type=int, default=8765, help="Port; 0 takes a free one. Default: 8765.")
    text = "A name the site is reached by; requests for others are refused. Repeatable. Default: localhost alone."
    add("--host-name", metavar="NAME", action="append", default=[], help=text)
    text = "Browsers come over https (by a proxy before this server): cookies are for https alone. Default: plain http."
    add("--https", action="store_true", help=text)
    text = "Address of a proxy whose word on scheme and client is taken; may be given repeatedly. Default: none."
    add("--proxy", metavar="ADDRESS", action="append", default=[], help=text)
    add("--root-path", metavar="PATH", default="", help="Where a proxy has mounted the site, such as /lab. Default: /.")
    text = "Folder of the films that people compare (protocol clips). Default: films beside a store that is a file."
    add("--films", metavar="FOLDER", default="", help=text)
    text = "Replies of policies written at once; 0 where another process answers. Default: 2."
    add("--reply-threads", metavar="N", type=int, default=2, help=text)


def work(args: argparse.Namespace) -> int:
    """Serve until it is stopped."""
    from preflab.web.collect.command import collect

    return collect(args)
