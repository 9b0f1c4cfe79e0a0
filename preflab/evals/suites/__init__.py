"""Suites, one small file each. A new one is a new file with a ``SUITE`` below this folder; it is discovered."""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from preflab.conversion import did_you_mean
from preflab.errors import ConfigError
from preflab.evals.core.suite import Suite, Variant

STARTER = "starter"
"""The suites of that name, or whose names begin so, come with the package."""


def discover_suites() -> dict[str, Suite]:
    """The ``SUITE`` of every module below this folder by name, in order of folder and module.

    Raises:
        ConfigError: two modules have a suite of one name.
    """
    suites: dict[str, Suite] = {}
    for module in sorted(info.name for info in pkgutil.walk_packages(__path__, f"{__name__}.") if not info.ispkg):
        suite = getattr(import_module(module), "SUITE", None)
        if isinstance(suite, Suite) and suites.setdefault(suite.name, suite) is not suite:
            raise ConfigError(f"{module}: another suite is called {suite.name!r}; names of suites must differ")
    return suites


SUITES = discover_suites()
"""Every suite by name."""
_FROM_FILES: set[str] = set()
"""Names of suites that came from files."""


def find_suite(name: str) -> tuple[Suite, Variant]:
    """The suite and its variant: ``bbq``, or ``bbq:text`` for another variant than the default.

    Raises:
        ConfigError: there is no such suite or variant.
    """
    suite, _, variant = name.partition(":")
    if suite.endswith(".py"):
        suite = _load_file(Path(suite)).name
    if suite not in SUITES:
        near = did_you_mean(suite, list(SUITES)) or f"; known are {', '.join(SUITES)}"
        raise ConfigError(f"unknown suite {suite!r}{near}")
    return SUITES[suite], SUITES[suite].variant(variant or None)


def _load_file(path: Path) -> Suite:
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
    suite = getattr(module, "SUITE", None)
    if not isinstance(suite, Suite):
        raise ConfigError(
            f"{path}: expected a preflab.evals.core.suite.Suite called SUITE, found {type(suite).__name__}"
        )
    if suite.name in SUITES and suite.name not in _FROM_FILES:
        raise ConfigError(f"{path}: a suite called {suite.name!r} comes with preflab; give yours another name")
    _FROM_FILES.add(suite.name)
    SUITES[suite.name] = suite
    return suite


def starter_suites() -> list[tuple[Suite, Variant]]:
    """Those whose items come with the package, in the default variant."""
    return [find_suite(name) for name in SUITES if name.split("_")[0] == STARTER]


def find_suites(names: Sequence[str]) -> list[tuple[Suite, Variant]]:
    """Several, each once; ``all`` is every suite, ``starter`` those that come with the package.

    Raises:
        ConfigError: one is unknown, or none was named.
    """
    if not names:
        raise ConfigError(f"no suite was named; known are {', '.join(SUITES)}")
    groups = {"all": list(SUITES), STARTER: [suite.name for suite, _ in starter_suites()]}
    selected = [suite_name for name in names for suite_name in groups.get(name, [name])]
    return [find_suite(name) for name in dict.fromkeys(selected)]
