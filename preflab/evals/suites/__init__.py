"""Suites, one small file each. A new one is a new file with a ``SUITE`` (or ``SUITES``), and its line below."""

from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from preflab.conversion import did_you_mean
from preflab.errors import ConfigError
from preflab.evals.core.suite import Suite, Variant
from preflab.evals.suites import starter
from preflab.evals.suites.bias import admissions, bbq, crows_pairs, likert, winogender, winogenerated
from preflab.evals.suites.capabilities import boolq, gsm8k, mmlu
from preflab.evals.suites.harmlessness import toxicity, xstest
from preflab.evals.suites.honesty import false_premises, persona, sycophancy, truthfulqa
from preflab.evals.suites.preferences import hh_harmless, hhh, winrate

SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        mmlu.SUITE,
        bbq.SUITE,
        winogender.SUITE,
        winogenerated.SUITE,
        admissions.SUITE,
        crows_pairs.SUITE,
        xstest.SUITE,
        toxicity.SUITE,
        likert.SUITE,
        winrate.SUITE,
        starter.SUITE,
        truthfulqa.SUITE,
        hhh.SUITE,
        hh_harmless.SUITE,
        sycophancy.SUITE,
        false_premises.SUITE,
        persona.SUITE,
        gsm8k.SUITE,
        boolq.SUITE,
    )
}
"""Every suite by name."""
STARTER = "starter"
"""The suites of that name, or whose names begin so, come with the package."""


def suite_named(name: str) -> tuple[Suite, Variant]:
    """The suite and the way to ask it: ``bbq``, or ``bbq:text`` for another way than the default.

    Raises:
        ConfigError: there is no such suite or way.
    """
    suite, _, way = name.partition(":")
    if suite.endswith(".py"):
        suite = _from_file(Path(suite)).name
    if suite not in SUITES:
        near = did_you_mean(suite, list(SUITES)) or f"; known are {', '.join(SUITES)}"
        raise ConfigError(f"unknown suite {suite!r}{near}")
    return SUITES[suite], SUITES[suite].way(way or None)


def _from_file(path: Path) -> Suite:
    """The ``SUITE`` of a Python file, which is run; from then on it is known by its name.

    Raises:
        ConfigError: there is no such file, it does not run, holds no suite, or one whose name is taken.
    """
    spec = spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: no such file; expected a Python file with a SUITE (docs/evals.md)")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path}: does not run: {type(error).__name__}: {error}") from error
    found = getattr(module, "SUITE", None)
    if not isinstance(found, Suite):
        raise ConfigError(
            f"{path}: expected a preflab.evals.core.suite.Suite called SUITE, found {type(found).__name__}"
        )
    if found.name in SUITES and found.name not in _OWN:
        raise ConfigError(f"{path}: a suite called {found.name!r} comes with preflab; give yours another name")
    _OWN.add(found.name)
    SUITES[found.name] = found
    return found


_OWN: set[str] = set()
"""Names of suites that came from files."""


def starter_suites() -> list[tuple[Suite, Variant]]:
    """Those whose items come with the package, asked the default way."""
    return [suite_named(name) for name in SUITES if name.split("_")[0] == STARTER]


def suites_named(names: Sequence[str]) -> list[tuple[Suite, Variant]]:
    """Several, each once; ``all`` is every suite, ``starter`` those that come with the package.

    Raises:
        ConfigError: one is unknown, or none was named.
    """
    if not names:
        raise ConfigError(f"no suite was named; known are {', '.join(SUITES)}")
    groups = {"all": list(SUITES), STARTER: [suite.name for suite, _ in starter_suites()]}
    wanted = [own for name in names for own in groups.get(name, [name])]
    return [suite_named(name) for name in dict.fromkeys(wanted)]
