"""Flags that are settings of a recipe: help, type and default come from the fields of its config."""

import argparse
from collections.abc import Mapping, Sequence
from textwrap import fill

from preflab.cli.parser import one_of
from preflab.runner.catalogue import Recipe, recipe_named
from preflab.runner.recipe_settings import Setting, recipe_settings, setting_named

Flag = tuple[str, str]
"""An option and the dotted setting that it sets; an option without dashes is a positional that may be left out."""


def add_setting_flags(
    parser: argparse.ArgumentParser,
    recipe_name: str,
    flags: Sequence[Flag],
    *,
    metavars: Mapping[str, str] | None = None,
) -> None:
    """Add a flag for each setting; one that is not given stays None. Lists may be given repeatedly."""
    recipe = recipe_named(recipe_name)
    for option, name in flags:
        setting = setting_named(recipe, name)
        positional = {} if option.startswith("-") else {"nargs": "?"}
        destination = {"dest": name} if option.startswith("-") else {}
        metavar = (metavars or {}).get(option) or ("N" if _number(setting) else option.strip("-").upper())
        kind = _kind(setting, metavar.lower())
        parser.add_argument(option, metavar=metavar, help=help_of(setting), **kind, **positional, **destination)  # type: ignore[arg-type]


def setting_flags(args: argparse.Namespace, flags: Sequence[Flag]) -> dict[str, object]:
    """The settings that were given as flags."""
    by_destination = vars(args)
    values = {name: by_destination[name if option.startswith("-") else option] for option, name in flags}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if v is not None}


def help_of(setting: Setting) -> str:
    """The field's docstring, what it may be, and its default with what scales make of it."""
    parts = [setting.help.replace("``", "").replace("%", "%%").rstrip(".") + "."]
    if setting.choices:
        parts.append(f"One of {', '.join(setting.choices)}.")
    scales = "".join(f"; scale {scale}: {_plain(value)}" for scale, value in setting.by_scale)
    parts.append(f"Default: {_plain(setting.default)}{scales}.")
    return " ".join(part for part in parts if part != ".")


def settings_text(recipe: Recipe, width: int = 100) -> str:
    """Every outermost setting with its default and its help, for the end of a recipe's help."""
    paragraphs = [f"settings of {recipe.name} (--set KEY=VALUE; --show-config prints the nested ones as well):"]
    for setting in recipe_settings(recipe):
        default = f" = {_plain(setting.default)}" if setting.default is not None else ": nested"
        text = setting.help.replace("``", "").replace("`", "")
        heading = f"  {setting.name}{default}"
        wrapped = fill(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
        paragraphs.append(f"{heading}\n{wrapped}" if text else heading)
    return "\n".join(paragraphs) + "\n"


def _number(setting: Setting) -> bool:
    return setting.type.split(" | ")[0] in ("int", "float")


def _kind(setting: Setting, noun: str) -> dict[str, object]:
    """How argparse reads the text of a flag."""
    first = setting.type.split(" | ")[0]
    if setting.choices:
        return {"type": one_of(noun, setting.choices)}
    if first.startswith("tuple"):
        return {"action": "append"}
    return {"type": {"int": int, "float": float}.get(first, str)}


def _plain(literal: str | None) -> str:
    """A literal as help prints it: text without quotes, a list with commas."""
    if literal in (None, "None", "()"):
        return "nested" if literal is None else "none"
    items = literal.strip("()").split(",") if literal.startswith("(") else [literal]
    return ", ".join(item.strip().strip("'\"") for item in items if item.strip())
