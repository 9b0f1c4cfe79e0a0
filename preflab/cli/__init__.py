"""The command line. Nothing heavy is imported before it is needed: help must come at once."""

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from preflab import __version__
from preflab.cli.collect import collect_options, store_options
from preflab.cli.evaluate import compare_options, eval_flags, eval_options, export_options
from preflab.cli.parser import Parser
from preflab.errors import ConfigError, PreflabError, RunError

STOPPED = "stopped; what was finished is kept: start the same command again to continue"
WEB = ("sqlalchemy", "alembic", "starlette", "uvicorn", "argon2", "itsdangerous", "python_multipart", "multipart")
EXTRAS = dict.fromkeys(WEB, "web") | {"psycopg": "postgres", "inspect_ai": "inspect", "lm_eval": "lm-eval"}
"""Module -> the extra that brings it."""
EPILOG = "Set PREFLAB_DEBUG=1 to see where an error comes from."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and raises nothing that the user can act on."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _lenient_output()
        args = build_parser().parse_args(arguments)
        code: int = args.work(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        running = arguments[:1] in (["align"], ["run"], ["eval"])
        print(f"\n{STOPPED if running else 'stopped'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # "preflab list | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        known = _explained(error)
        if known is None:
            raise
        _complain(known)
        return known.exit_code


def _explained(error: Exception) -> PreflabError | None:
    """The error as one the user can act on; None for what is a fault of ours."""
    if isinstance(error, PreflabError):
        return error
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "No space left on device" in str(error):  # safetensors has an error of its own
        found: PreflabError = RunError(
            f"the disk is full ({error}). What was finished is kept: free some space and start again."
        )
    elif isinstance(error, PermissionError):
        found = RunError(f"{error.filename}: {error.strerror}")
    elif isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in EXTRAS:
        extra = EXTRAS[str(error.name).split(".")[0]]
        found = ConfigError(
            f"{error.name} is not installed; this needs the extra {extra!r}: pip install 'preflab[{extra}]'"
        )
    else:
        return None
    found.__cause__ = error
    return found


def _complain(error: PreflabError) -> None:
    """The message in red; where it was raised only on request."""
    from preflab.data.describe import printable

    if os.environ.get("PREFLAB_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    own = os.environ.get("RANK", "0")  # torchrun's
    text = printable(f"error: {error}" if own == "0" else f"error (rank {own}): {error}")
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    print(f"\033[31m{text}\033[0m" if colour else text, file=sys.stderr)


def _lenient_output() -> None:
    """Characters that the terminal's encoding lacks are spelled out, not fatal."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _tidy_libraries() -> Iterator[None]:
    """Keep warnings and progress bars of other libraries out of ours; what the user asks for by variable stays."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        from transformers.utils import logging

        logging.disable_progress_bar()
        yield


# arguments -----------------------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    parser = Parser(
        prog="preflab",
        description="From a base language model to a helpful, honest and harmless assistant, and the evidence.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"preflab {__version__}")
    parser.set_defaults(work=lambda args: _print_help(parser))
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")

    def command(name: str, work: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, epilog=EPILOG)
        added.set_defaults(work=work)
        return added

    _align_options(command("align", _align, "Align a model with preferences, end to end: the main job."))
    run = command("run", _run, "Run a recipe by name ('preflab list' shows them).")
    run.add_argument("recipe", metavar="RECIPE", help="Name of the recipe.")
    _run_options(run, None)
    command("list", _list, "List recipes, formats of comparisons and built-in names.")
    report = command("report", _report, "Write the report of a run anew from its results.")
    _which_run(report)
    _chat_options(command("chat", _chat, "Talk to the model of a run, before and after alignment, side by side."))
    measure = command("eval", _eval, "Measure a model: bias, honesty, over-refusal, preferences, capabilities.")
    eval_options(measure)
    _run_options(measure, "evaluate")
    export = command("export", lambda args: _print_help(export), "Give what was measured to other programs.")
    export_options(export, _export)
    compare_options(command("compare", _compare, "Compare two measured models item by item, with intervals."))
    collect_options(command("collect", _collect, "Let people judge: serve the collection site."))
    store_options(
        command("store", lambda args: _print_help(store), "Look after a store of judgements."), _store, EPILOG
    )
    store = commands.choices["store"]
    data = command("data", lambda args: _print_help(data), "Look at comparison data.")
    inspect = data.add_subparsers(metavar="COMMAND", title="commands").add_parser(
        "inspect", help="Say what a data set holds and what is left out.", description="Say what a data set holds."
    )
    inspect.set_defaults(work=_inspect)
    _inspect_options(inspect)
    doctor = command("doctor", _doctor, "Check whether this machine is ready; exit code 1 when it is not.")
    doctor.add_argument("--runs", metavar="FOLDER", default="runs", help="Where runs are to go. Default: runs.")
    return parser


def _print_help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 2


def _align_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    scales = "Default for the scales 'default' and 'large'"
    add(
        "--policy",
        metavar="NAME",
        help="The model to align: smollm2, tiny, a folder, a .gguf file or a hub id. Default: what the scale says "
        "(smollm2; tiny for 'smoke').",
    )
    add("--comparisons", metavar="NAME", help="A file, folder or hub data set of comparisons. Default: starter.")
    add("--format", metavar="FORMAT", help="How the comparisons are written. Default: recognised by their columns.")
    add("--split", metavar="SPLIT", help="The part of a data set that has parts. Default: the only one there is.")
    add(
        "--max-comparisons",
        metavar="N",
        type=int,
        help=f"Use only the first N comparisons. {scales}: all of them; for 'smoke': 60.",
    )
    add(
        "--until",
        metavar="STAGE",
        choices=("preference", "best-of-n", "ppo", "measure"),
        help="Stop after this stage: preference, best-of-n, ppo or measure. Default: measure, the last.",
    )
    _run_options(parser, "align")


def _run_options(parser: argparse.ArgumentParser, recipe: str | None) -> None:
    add = parser.add_argument
    if recipe is None:
        add("--scale", metavar="SCALE", default="default", help="How large the run is. Default: default.")
    else:
        from preflab.runner.catalogue import recipe_named

        scales = recipe_named(recipe).scales
        text = f"How large the run is: {', '.join(scales)}. Default: default."
        add("--scale", metavar="SCALE", choices=scales, default="default", help=text)
    add("--name", metavar="RUN", help="Name of the run's folder. Default: made from recipe, data, model and scale.")
    add("--runs", metavar="FOLDER", default="runs", help="The folder in which runs lie. Default: runs.")
    add("--seed", metavar="N", type=int, help="Where all randomness starts. Default: 0.")
    add("--config", metavar="FILE", help="A YAML file of settings, as --show-config prints them. Default: none.")
    add(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="One more setting, such as ppo.steps=12; may be given repeatedly and has the last word. Default: none.",
    )
    add("--fresh", action="store_true", help="Delete the run of this name and begin anew. Default: take it up again.")
    add("--quiet", action="store_true", help="Show the outcome alone, no progress. Default: show progress.")
    add("--show-config", action="store_true", help="Print the settings as YAML and stop there. Default: run.")


def _which_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="Name of a run, or its folder.")
    parser.add_argument("--runs", metavar="FOLDER", default="runs", help="The folder in which runs lie. Default: runs.")


def _chat_options(parser: argparse.ArgumentParser) -> None:
    _which_run(parser)
    text = "Randomness of the replies; 0 always takes the likeliest token. Default: as in the run."
    parser.add_argument("--temperature", metavar="T", type=float, help=text)
    text = "Longest reply, in tokens. Default: as in the run."
    parser.add_argument("--max-new-tokens", metavar="N", type=int, help=text)
    text = "Leave out what the preference model thinks of each reply. Default: show it."
    parser.add_argument("--no-scores", action="store_true", help=text)


def _inspect_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="A file, folder or hub data set of comparisons, or starter.")
    text = "How the comparisons are written. Default: recognised by their columns."
    parser.add_argument("--format", metavar="FORMAT", help=text)
    text = "The part of a data set that has parts. Default: the only one there is."
    parser.add_argument("--split", metavar="SPLIT", help=text)
    text = "Look at the first N comparisons only. Default: all."
    parser.add_argument("--limit", metavar="N", type=int, help=text)


# commands ------------------------------------------------------------------------------------------------


def _align(args: argparse.Namespace) -> int:
    names = ("policy", "comparisons", "format", "split", "max_comparisons", "until")
    return _start("align", args, {name: getattr(args, name) for name in names})


def _run(args: argparse.Namespace) -> int:
    return _start(args.recipe, args, {})


def _eval(args: argparse.Namespace) -> int:
    from preflab.cli.evaluate import list_suites

    return list_suites() if args.list else _start("evaluate", args, eval_flags(args))


def _compare(args: argparse.Namespace) -> int:
    from preflab.cli.evaluate import compare

    with _tidy_libraries():
        return compare(args)


def _export(args: argparse.Namespace) -> int:
    from preflab.cli.evaluate import export

    return export(args)


def _start(name: str, args: argparse.Namespace, flags: dict[str, object]) -> int:
    """Resolve the settings, then run or take up again, then show the outcome."""
    from preflab import distributed
    from preflab.runner.catalogue import recipe_named
    from preflab.runner.launch import default_name, discard, launch, resolve, run_folder

    recipe = recipe_named(name)
    named = None if args.name is None else run_folder(args.runs, args.name)  # refused before anything is loaded
    given = {key: value for key, value in (flags | {"seed": args.seed}).items() if value is not None}
    with _tidy_libraries():
        config = resolve(recipe, scale=args.scale, file=args.config, flags=given, assignments=args.set)
        if args.show_config:
            import yaml

            from preflab.conversion import to_json

            print(yaml.safe_dump(to_json(config), sort_keys=False, allow_unicode=True), end="")
            return 0
        folder = named or run_folder(args.runs, default_name(recipe, args.scale, config))
        with distributed.process_group():
            with distributed.rank_zero_first() as mine:
                if mine and args.fresh and discard(folder) and not args.quiet:
                    print(f"{folder}: the earlier run was deleted (--fresh)", file=sys.stderr)
            worked = launch(recipe, config, folder, quiet=args.quiet)
            if mine:
                if not worked and not args.quiet:
                    print(f"{folder}: was already finished; nothing was done again", file=sys.stderr)
                _show_outcome(recipe.load().summarise(folder), f"{name}: {folder}")
            distributed.shutdown()
    return 0


def _show_outcome(lines: Sequence[tuple[str, str, str]], title: str) -> None:
    """A short table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    table = Table(title=Text(title), title_justify="left", box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_column(style="dim")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    console.print(table)


def _list(args: argparse.Namespace) -> int:
    from preflab.data.load import STARTER
    from preflab.data.sources import SOURCES
    from preflab.runner.catalogue import recipes

    print("recipes (preflab run RECIPE)")
    for recipe in recipes().values():
        print(f"  {recipe.name:<16} {recipe.summary} Scales: {', '.join(recipe.scales)}.")
    print("\nformats of comparisons (--format)")
    for source in SOURCES.values():
        print(f"  {source.name:<16} {source.columns}")
    print("\nbuilt in")
    print(f"  {'comparisons':<16} {STARTER}")
    print(f"  {'policies':<16} smollm2 (SmolLM2-135M-Instruct), tiny (random weights, for tests)")
    return 0


def _report(args: argparse.Namespace) -> int:
    from preflab.runner.launch import find_run, recipe_of

    folder = find_run(args.run, args.runs)
    recipe_of(folder).load().write_report(folder)
    print(folder / "report.html")
    return 0


def _chat(args: argparse.Namespace) -> int:
    from preflab.runner.launch import find_run, recipe_of

    folder = find_run(args.run, args.runs)
    recipe = recipe_of(folder)
    with _tidy_libraries():
        from preflab.cli.chat import chat

        open_models = getattr(recipe.load(), "open_models", None)
        if open_models is None:
            raise ConfigError(f"recipe {recipe.name} has no models to talk to; 'preflab chat' needs a run of align")
        with open_models(folder, temperature=args.temperature, max_new_tokens=args.max_new_tokens) as models:
            chat(models.before, models.after, scorer=None if args.no_scores else models.scorer)
    return 0


def _inspect(args: argparse.Namespace) -> int:
    from preflab.data.describe import describe, printable
    from preflab.data.load import load_comparisons

    loaded = load_comparisons(args.path, format=args.format, split=args.split, limit=args.limit)
    print(printable(loaded.render()), end="\n\n")
    print(describe(loaded.comparisons).render())
    return 0


def _collect(args: argparse.Namespace) -> int:
    from preflab.web.collect.command import collect

    return collect(args)


def _store(args: argparse.Namespace) -> int:
    from preflab.web.collect.command import store_command

    return store_command(args)


def _doctor(args: argparse.Namespace) -> int:
    from preflab.cli.doctor import examine

    problems = 0
    with _tidy_libraries():
        for finding in examine(Path(args.runs)):
            print(finding.render(), flush=True)
            problems += finding.level == "problem"
    print(f"\n{problems} problem(s)" if problems else "\nready")
    return 1 if problems else 0
