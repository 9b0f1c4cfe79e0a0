"""What the docs name exists now: modules and what is in them, files, commands with their options, settings."""

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from preflab.cli import build_parser
from preflab.config_overrides import setting_names
from preflab.runner.catalogue import recipe_named, recipes

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "renamed.md")]
GENERATED = re.compile(r"<!-- generated: .*?<!-- end -->", re.DOTALL)
"""Tables of results: commands in them are as they were typed, before things were renamed."""
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
DOTTED = re.compile(r"(?<![\w./-])preflab(?:\.[A-Za-z_]\w*)+")
FILE = re.compile(r"(?<![\w/.<>-])(?:[\w-]+/)+[\w.-]+\.(?:py|md|yaml|json|j2|html)(?![\w/])")
ALL_PAGES = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def written(page: Path) -> str:
    """What people wrote of a page."""
    return GENERATED.sub("", page.read_text(encoding="utf-8"))


def prose(page: Path) -> str:
    return BLOCK.sub("", written(page))


def inline_code(page: Path) -> list[str]:
    return INLINE.findall(prose(page))


def commands(page: Path) -> Iterator[list[str]]:
    """The words behind ``preflab`` of every command, in blocks of shell code and inline."""
    blocks = [text for _, language, text in BLOCK.findall(written(page)) if language == "bash"]
    lines = [line for text in blocks for line in text.replace("\\\n", " ").splitlines()]
    for line in [*lines, *inline_code(page)]:
        for part in re.split(r"&&|\|\||[|;&]", line.split(" #")[0]):
            match = re.search(r"(?:^|[\s/])preflab\s+(.*)", part)
            if match:
                yield shlex.split(match[1].replace("...", "").replace("'", "'"))


# modules and files ---------------------------------------------------------------------------------------


def resolve(dotted: str) -> Any:
    """The module, class, function or field of that name.

    Raises:
        AttributeError: there is none.
    """
    parts = dotted.split(".")
    thing: Any = importlib.import_module(parts[0])
    for position, part in enumerate(parts[1:], 1):
        if isinstance(thing, ModuleType) and not hasattr(thing, part):
            try:
                thing = importlib.import_module(".".join(parts[: position + 1]))
            except ModuleNotFoundError as error:
                raise AttributeError(f"{dotted}: {thing.__name__} has no {part}") from error
        elif isinstance(thing, type) and part in getattr(thing, "__dataclass_fields__", ()):
            return thing.__dataclass_fields__[part]
        else:
            thing = getattr(thing, part)
    return thing


@ALL_PAGES
def test_every_dotted_name_exists(page: Path) -> None:
    missing = []
    for name in sorted(set(DOTTED.findall(page.read_text(encoding="utf-8")))):
        try:
            resolve(name)
        except AttributeError as error:
            missing.append(str(error))
    assert missing == []


def test_a_name_that_is_gone_is_noticed() -> None:
    assert resolve("preflab.maths.policy.ppo_policy_loss").__name__ == "ppo_policy_loss"
    assert resolve("preflab.training.optimiser.OptimiserConfig.learning_rate").name == "learning_rate"
    for name in ("preflab.ranks", "preflab.maths.policy.ppo_loss", "preflab.data.rows.Row.alone"):
        with pytest.raises(AttributeError):
            resolve(name)


@cache
def repository_files() -> frozenset[str]:
    """Every path below the root, and every end of it that begins at a folder."""
    folders = ("preflab", "tests", "docs", "scripts", "benchmarks", "examples", "results", ".ci")
    paths = [path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return frozenset("/".join(path.parts[start:]) for path in paths for start in range(len(path.parts)))


NOT_OURS = re.compile(r"runs/|collect/|results/\w+\.json|checkpoints/|my_|https?:|data/\w+\.jsonl|reports?/")
"""Files that a run makes, or that belong to somebody else."""


@ALL_PAGES
def test_every_file_of_the_repository_that_is_named_exists(page: Path) -> None:
    code = " ".join(inline_code(page))
    missing = {path for path in FILE.findall(code) if path not in repository_files() and not NOT_OURS.match(path)}
    assert missing == set()


@cache
def words_of_the_code() -> frozenset[str]:
    """Every identifier in the repository's own files, and in what they are given: settings, templates, scripts."""
    endings = (".py", ".yaml", ".yml", ".toml", ".j2", ".js", ".json")
    files = [
        path
        for folder in ("preflab", "benchmarks", "scripts", "examples", "tests", "results")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in endings and path.parent != Path(__file__).parent
    ]
    return frozenset(re.findall(r"[A-Za-z_]\w+", " ".join(path.read_text(encoding="utf-8") for path in files)))


@ALL_PAGES
def test_every_identifier_in_prose_is_one_of_the_code(page: Path) -> None:
    """A class or function that was renamed leaves its earlier name in the docs alone."""
    simple = [code.split("(")[0] for code in inline_code(page) if re.fullmatch(r"[A-Za-z_][\w.]*(\(.*\))?", code)]
    words = {word for code in simple for word in re.findall(r"[A-Za-z_]\w+", code)}
    assert words - words_of_the_code() - OF_OTHER_LIBRARIES == set()


OF_OTHER_LIBRARIES = frozenset(["cliprange", "cliprange_value", "CrossEncoder"])  # of TRL and sentence-transformers


# commands ------------------------------------------------------------------------------------------------


@cache
def parsers() -> dict[tuple[str, ...], argparse.ArgumentParser]:
    """Every command's parser by its words: ``("store", "verify")``."""

    def below(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield path, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, child in action.choices.items():
                    yield from below(child, (*path, name))

    return dict(below(build_parser(), ()))


def parser_of(arguments: list[str]) -> argparse.ArgumentParser | None:
    """The parser that reads these words."""
    path: tuple[str, ...] = ()
    while len(path) < len(arguments) and (*path, arguments[len(path)]) in parsers():
        path = (*path, arguments[len(path)])
    return parsers().get(path) if path else None


@ALL_PAGES
def test_every_command_and_option_exists(page: Path) -> None:
    wrong = []
    for arguments in commands(page):
        if not arguments or not re.fullmatch(r"[a-z-]+", arguments[0]):  # "preflab VERB"
            continue
        parser = parser_of(arguments)
        if parser is None and not arguments[0].startswith("-"):
            wrong.append(f"no command {arguments[0]!r}")
        options = {option for action in (parser or parsers()[()])._actions for option in action.option_strings}
        given = {word.split("=")[0] for word in arguments if re.match(r"--?[a-z]", word)}
        wrong += [f"{' '.join(arguments[:2])} has no {option}" for option in sorted(given - options)]
    assert wrong == []


@ALL_PAGES
def test_every_option_in_prose_belongs_to_some_command(page: Path) -> None:
    options = {
        option for parser in parsers().values() for action in parser._actions for option in action.option_strings
    }
    named = {re.split(r"[ =\[:]", code)[0] for code in inline_code(page) if re.match(r"--[a-z]", code)}
    scripts = [path for folder in ("benchmarks", "scripts", "examples") for path in (ROOT / folder).rglob("*.py")]
    in_scripts = {option for path in scripts for option in re.findall(r'"(--[a-z-]+)"', path.read_text("utf-8"))}
    assert named - options - in_scripts - OF_OTHER_PROGRAMS == set()


OF_OTHER_PROGRAMS = frozenset(
    [
        "--include-path",  # lm-eval
        "--api-key",  # the rest is vLLM's
        "--dtype",
        "--enable-lora",
        "--generation-config",
        "--logprobs-mode",
        "--max-logprobs",
        "--max-lora-rank",
        "--max-loras",
        "--max-model-len",
        "--return-tokens-as-token-ids",
    ]
)


# settings ------------------------------------------------------------------------------------------------


@cache
def settings_of(recipe: str) -> frozenset[str]:
    """Dotted names of a recipe's settings at any of its scales."""
    scales = recipe_named(recipe).load().SCALES
    return frozenset(name for scale in scales.values() for name in setting_names(scale()))


@cache
def all_settings() -> frozenset[str]:
    return frozenset(name for recipe in recipes() for name in settings_of(recipe))


@ALL_PAGES
def test_every_setting_of_a_command_exists(page: Path) -> None:
    recipe_of = {"align": "align", "eval": "evaluate"}
    wrong = []
    for arguments in commands(page):
        for flag, assignment in pairwise(arguments):
            if flag != "--set" or "=" not in assignment:
                continue
            recipe = recipe_of.get(arguments[0], arguments[1])
            if assignment.split("=")[0] not in settings_of(recipe):
                wrong.append(f"{recipe}: {assignment}")
    assert wrong == []


@ALL_PAGES
def test_every_setting_and_every_name_below_the_package_exists(page: Path) -> None:
    groups = {name.split(".")[0] for name in all_settings() if "." in name}
    folders = {path.stem for path in (ROOT / "preflab").iterdir()}
    named = set()
    for code in inline_code(page):
        match = re.fullmatch(r"(?:--set )?((\w+)(?:\.[A-Za-z_]\w*)+)(?:=.*|\(.*\))?", code)
        if match and match[2] in groups | folders and not match[1].endswith(FILE_ENDINGS):
            named.add(match[1])
    assert {name for name in named - all_settings() - VARIABLES if not is_name(f"preflab.{name}")} == set()


FILE_ENDINGS = (".py", ".md", ".json", ".jsonl", ".yaml", ".yml", ".safetensors")
VARIABLES = frozenset(["run.checkpoint", "run.save_partial", "run.seed_of", "loop.state"])  # objects run and loop


def is_name(dotted: str) -> bool:
    """Whether it can be resolved."""
    try:
        resolve(dotted)
    except AttributeError:
        return False
    return True
