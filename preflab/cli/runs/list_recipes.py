"""``preflab list``: recipes, formats of comparisons and built-in names."""

import argparse

NAME = "list"
SUMMARY = "List recipes, formats of comparisons and built-in names."
COMMANDS: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def work(args: argparse.Namespace) -> int:
    """Print them."""
    del args
    from preflab.data.load import STARTER
    from preflab.data.sources import SOURCES
    from preflab.runner import catalogue

    print("recipes (preflab run RECIPE)")
    for recipe in catalogue.recipes().values():
        print(f"  {recipe.name:<16} {recipe.summary} Scales: {', '.join(recipe.scales)}.")
    print("\nformats of comparisons (--format)")
    for source in SOURCES.values():
        print(f"  {source.name:<16} {source.columns}")
    print("\nbuilt in")
    print(f"  {'comparisons':<16} {STARTER}")
    print(f"  {'policies':<16} smollm2 (SmolLM2-135M-Instruct), tiny (random weights, for tests)")
    return 0
