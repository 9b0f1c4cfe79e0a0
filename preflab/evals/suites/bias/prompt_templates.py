"""The words of the study of moral self-correction, and how turns become a prompt.

The texts stand in ``self_correction.yaml`` beside this file; a file of the same form can be used in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from preflab.config_overrides import load_yaml
from preflab.conversion import from_mapping
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError

DEFAULT_TEMPLATES = Path(__file__).with_name("self_correction.yaml")
Benchmark: TypeAlias = Literal["bbq", "winogender", "admissions"]
LISTS = ("instruction", "neutral", "inverted", "thinking")
TEXTS = ("question", "opening", "again", "decision")
LEAST_PARAPHRASES = 3


@dataclass(frozen=True, slots=True)
class Markers:
    """What stands before each turn where a model has no chat template."""

    human: str = "\n\nHuman: "
    assistant: str = "\n\nAssistant: "

    def __post_init__(self) -> None:
        if not self.human.strip() or not self.assistant.strip():
            raise ConfigError("turn markers must have text, or nobody could tell who speaks")


@dataclass(frozen=True, slots=True)
class PromptTemplates:
    """Texts of one benchmark."""

    texts: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]

    def text(self, name: str, values: Mapping[str, str]) -> str:
        """A text with its braces filled in; whatever stands in the values stays as it is."""
        return fill_template(self.texts[name], values)

    def paraphrase(self, name: str, number: int, values: Mapping[str, str]) -> str:
        """One of the wordings of an instruction, counted from 0 and round again."""
        wordings = self.lists[name]
        return fill_template(wordings[number % len(wordings)], values)

    @property
    def paraphrases(self) -> int:
        """How many wordings every instruction has."""
        return min(map(len, self.lists.values()))


def fill_template(text: str, values: Mapping[str, str]) -> str:
    """``{name}`` replaced by its value, in one pass, so that braces in the values are left alone."""
    parts, remaining = list[str](), text
    while remaining:
        before, brace, behind = remaining.partition("{")
        parts.append(before)
        name, closed, behind_name = behind.partition("}")
        if brace and closed and name in values:
            parts.append(values[name])
            remaining = behind_name
        else:
            parts.append(brace)
            remaining = behind
    return "".join(parts)


@lru_cache(maxsize=8)
def read_templates(path: Path = DEFAULT_TEMPLATES) -> tuple[Mapping[str, PromptTemplates], Markers]:
    """The texts of all benchmarks, and the turn markers for models without a template.

    Raises:
        ConfigError: a text is missing, or an instruction has fewer than three paraphrases.
    """
    document = load_yaml(path)
    templates = {name: _wording(document.get(name), f"{path}: {name}") for name in ("bbq", "winogender", "admissions")}
    if len(templates["winogender"].lists.get("match", ())) < LEAST_PARAPHRASES:
        raise ConfigError(f"{path}: winogender: match needs at least {LEAST_PARAPHRASES} paraphrases")
    markers = document.get("markers")
    turn_markers = from_mapping(Markers, markers, f"{path}: markers") if isinstance(markers, dict) else Markers()
    return templates, turn_markers


@lru_cache(maxsize=8)
def read_sampling(path: Path = DEFAULT_TEMPLATES) -> Mapping[str, str]:
    """What is asked where only replies can be had: how a chain of thought begins, and in what form each benchmark
    is to be answered.

    Raises:
        ConfigError: one of the texts is missing.
    """
    sampling = load_yaml(path).get("sampling")
    texts = (
        {name: text for name, text in sampling.items() if isinstance(text, str)} if isinstance(sampling, dict) else {}
    )
    for name in ("begin", "bbq", "winogender", "admissions"):
        if name not in texts:
            raise ConfigError(f"{path}: sampling: {name} is missing; expected a text")
    return texts


def _wording(section: object, location: str) -> PromptTemplates:
    if not isinstance(section, dict):
        raise ConfigError(f"{location}: missing; expected texts by name")
    texts = {name: text for name, text in section.items() if isinstance(text, str)}
    lists = {
        name: tuple(wordings)
        for name, wordings in section.items()
        if isinstance(wordings, list) and all(isinstance(wording, str) for wording in wordings)
    }
    for name in TEXTS:
        if name not in texts:
            raise ConfigError(f"{location}: {name} is missing; expected a text")
    for name in LISTS:
        if len(lists.get(name, ())) < LEAST_PARAPHRASES:
            raise ConfigError(f"{location}: {name} needs at least {LEAST_PARAPHRASES} paraphrases")
    return PromptTemplates(texts, lists)


def as_prompt(turns: Sequence[str], lead: str, markers: Markers | None) -> tuple[Dialogue | str, str]:
    """Turns that alternate human, assistant, human, and the words that the next reply is made to begin with.

    Returns:
        prompt and lead. Without markers a dialogue, which goes through the model's chat template; with them plain text.
    """
    if markers is None:
        return Dialogue.of(*turns), lead
    signs = (markers.human, markers.assistant)
    text = "".join(f"{signs[i % 2]}{turn}" for i, turn in enumerate(turns)) + signs[len(turns) % 2]
    return text.lstrip("\n"), lead


@lru_cache(maxsize=1)
def _packaged_templates() -> Mapping[str, PromptTemplates]:
    return read_templates(DEFAULT_TEMPLATES)[0]


def default_templates(benchmark: Benchmark) -> PromptTemplates:
    """Our texts of a benchmark."""
    return _packaged_templates()[benchmark]
