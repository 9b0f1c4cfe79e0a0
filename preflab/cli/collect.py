"""Options of ``preflab collect`` and ``preflab store``. Nothing heavy is imported here: help must come at once."""

import argparse
from collections.abc import Callable


def collect_options(parser: argparse.ArgumentParser) -> None:
    """``preflab collect``: studies, and how the site is reached."""
    add = parser.add_argument
    add(
        "study",
        metavar="STUDY.yaml",
        nargs="*",
        help="Studies to make or bring up to date. Default: those in the store.",
    )
    _which_store(parser)
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


def _which_store(parser: argparse.ArgumentParser) -> None:
    text = "The store: a file (SQLite) or a postgresql:// URL. Default: collect/store.db."
    parser.add_argument("--store", metavar="STORE", default="collect/store.db", help=text)


def store_options(parser: argparse.ArgumentParser, work: Callable[[argparse.Namespace], int], epilog: str) -> None:
    """``preflab store``: what may be done with a store."""
    actions = parser.add_subparsers(metavar="COMMAND", title="commands")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text, epilog=epilog)
        added.set_defaults(work=work, action=name)
        _which_store(added)
        return added

    verify = action("verify", "Read the whole log and recompute every hash; exit code 8 when something was changed.")
    text = "EVENT:HASH noted earlier, or the .manifest of an export: that event must still be there. Default: none."
    verify.add_argument("--expect", metavar="MARK", help=text)
    action("info", "Say what studies there are and how far they are.")
    backup = action("backup", "Copy the store while it is in use, and verify the copy.")
    backup.add_argument("to", metavar="FILE", help="Where the copy goes; must not be there yet.")
    restore = action("restore", "Put a backup where no store is, and verify it.")
    restore.add_argument("backup", metavar="FILE", help="A copy that 'preflab store backup' made.")
    export = action("export", "Write a study's judgements as a file and a manifest; equal queries give equal bytes.")
    export.add_argument("study", metavar="STUDY", help="Name of the study.")
    export.add_argument("to", metavar="FOLDER", help="Where the files go.")
    text = "One of judgements, preflab_jsonl, hh, trl and ultrafeedback. Default: preflab_jsonl."
    export.add_argument("--format", metavar="FORMAT", default="preflab_jsonl", help=text)
    text = "Leave out preferences of at most this strength. Default: 0, none."
    export.add_argument("--weakest", metavar="N", type=float, default=0.0, help=text)
    text = "Only what was in the store at this event. Default: everything."
    export.add_argument("--up-to", metavar="EVENT", type=int, help=text)
    token = action("token", "Make a token for programs that use the site's /api; printed this once.")
    token.add_argument("study", metavar="STUDY", help="Name of the study, or * for all.")
    roles = ("annotator", "reviewer", "owner")
    token.add_argument("--role", choices=roles, default="reviewer", help="What it may do. Default: reviewer.")
    token.add_argument("--days", metavar="N", type=float, default=30.0, help="Until it ends. Default: 30.")
