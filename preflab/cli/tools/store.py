"""``preflab store``: look after a store of judgements."""

import argparse

from preflab.cli.parser import show_help

NAME = "store"
SUMMARY = "Look after a store of judgements."
COMMANDS: tuple[str, ...] = ("verify", "info", "backup", "restore", "export", "token")


def add_store(parser: argparse.ArgumentParser) -> None:
    """``--store``."""
    text = "The store: a file (SQLite) or a postgresql:// URL. Default: collect/store.db."
    parser.add_argument("--store", metavar="STORE", default="collect/store.db", help=text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be done with a store."""
    actions = parser.add_subparsers(metavar="COMMAND", title="commands")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
        added.set_defaults(work=work, action=name, parser=added)
        add_store(added)
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


def work(args: argparse.Namespace) -> int:
    """Do it; without a command below it, show the help."""
    if not hasattr(args, "action"):
        return show_help(args)
    from preflab.web.collect.command import store_command

    return store_command(args)
