"""The sources, what they claim, and which verdict of which recipe says whether it is so (``sources.yaml``)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from preflab.conversion import did_you_mean
from preflab.errors import ConfigError
from preflab.runner.catalogue import RENAMED

REGISTRY = Path(__file__).with_name("sources.yaml")


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of a source, in words of our own."""

    id: str
    """Stable; unique among the claims of a recipe."""
    claim: str
    recipe: str = ""
    """Which tests it; empty where none does yet."""
    verdict: str = ""
    """Regular expression of the words of that recipe's verdict; ``<setting>`` stands for a setting of the run."""
    stage: str = ""
    """The only stage whose verdicts count, where several have the same words."""

    def match(self, verdict_text: str, stage: str, settings: Mapping[str, object]) -> re.Match[str] | None:
        """Whether a recipe's verdict is about this claim."""
        if not self.verdict or self.stage not in ("", stage):
            return None
        pattern = re.sub(r"<(\w+)>", lambda name: re.escape(str(settings.get(name[1], ""))), _protected(self.verdict))
        return re.fullmatch(pattern.replace("\0", "<"), verdict_text)


def _protected(pattern: str) -> str:
    """Named groups (``(?P<of>``) are no settings."""
    return pattern.replace("(?P<", "(?P\0")


@dataclass(frozen=True, slots=True)
class Source:
    """A paper or text, and what of it is here."""

    number: str
    """``01`` to ``14``; empty for one beside the fourteen."""
    author: str
    """Family name of the first, in small letters."""
    citation: str
    title: str
    recipes: tuple[str, ...]
    implemented: str
    """What of it the library has, in a line."""
    page: str
    """Where to read on, from the repository's root."""
    claims: tuple[Claim, ...]

    @property
    def key(self) -> str:
        """How the command line names it: the number, or the author where it has none."""
        return self.number or self.author

    @property
    def all_recipes(self) -> tuple[str, ...]:
        """Its own recipes, and others that test one of its claims."""
        return tuple(dict.fromkeys((*self.recipes, *(claim.recipe for claim in self.claims if claim.recipe))))


@lru_cache(maxsize=1)
def sources() -> tuple[Source, ...]:
    """Every source, in the order of the registry."""
    import yaml

    entries = yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))
    return tuple(
        Source(**(e | {"recipes": tuple(e["recipes"]), "claims": tuple(Claim(**c) for c in e["claims"])}))
        for e in entries
    )


def select_claims(name: str | None) -> Iterator[tuple[Source, Claim]]:
    """The claims of one source (its number or first author), of one recipe, or of all.

    Raises:
        ConfigError: it is neither; says what is near.
    """
    if name is None:
        yield from ((source, claim) for source in sources() for claim in source.claims)
        return
    recipe = RENAMED.get(name, name)
    word = name.lower()
    by_source = [s for s in sources() if word in names_of(s)]
    pairs = [(s, c) for s in sources() for c in s.claims if s in by_source or c.recipe == recipe]
    if not pairs:
        names = [n for s in sources() for n in (*names_of(s), *s.all_recipes)]
        numbers = ", ".join(s.number for s in sources() if s.number)
        hint = did_you_mean(word, list(dict.fromkeys(names))) or f"; known are {numbers}, first authors and recipes"
        raise ConfigError(f"unknown source {name!r}{hint}")
    yield from pairs


def names_of(source: Source) -> tuple[str, ...]:
    """What a source may be called: ``01``, ``1``, ``christiano``, ``christiano2017``."""
    year = "".join(re.findall(r"\b\d{4}\b", source.citation)[:1])
    numbers = (source.number, source.number.lstrip("0")) if source.number else ()
    return tuple(dict.fromkeys((*numbers, source.author, f"{source.author}{year}")))


def claim_of(recipe: str, verdict_text: str, stage: str, settings: Mapping[str, object]) -> tuple[Claim, str] | None:
    """The claim that a verdict of a recipe is about, and what of the run it is about (a checkpoint), or nothing."""
    for source in sources():
        for claim in source.claims:
            if claim.recipe == recipe and (match := claim.match(verdict_text, stage, settings)):
                return claim, (match.groupdict().get("of") or "")
    return None


def source_of_recipe(recipe: str) -> Source | None:
    """The source that a recipe belongs to first of all."""
    candidates: Sequence[Source] = [source for source in sources() if recipe in source.recipes]
    return candidates[0] if candidates else None
