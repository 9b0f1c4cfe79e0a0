"""A model as a judge: one question with two possible answers, by log-probability or read from what it writes.

A judge that gives neither answer is no judge of that item: the item is counted as unscorable, never as a tie.
"""

import re

from preflab.data.dialogue import Dialogue
from preflab.rollouts.requests.types import (
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    ResponderRole,
    Unscorable,
)

LEAST_MASS = 0.01
"""Probability that a judge's two answers must hold together; below it the judge answers neither."""
NEITHER = "the judge answers neither"
BOTH = "the judge answers both"
LETTERS = ("A", "B")
_NAMES = {"user": "User", "assistant": "Assistant", "system": "System"}


def transcript(dialogue: Dialogue) -> str:
    """A conversation as a judge reads it."""
    return "\n\n".join(f"{_NAMES[m.role]}: {m.text.strip()}" for m in dialogue.messages)


def option_probability(found: OptionScores, option: int = 0) -> float:
    """Probability of one of the judge's options, the options scaled to one.

    Raises:
        Unscorable: the options hold next to no probability.
    """
    if found.mass < LEAST_MASS:
        raise Unscorable(NEITHER)
    return found.probs[option]


def ask_yes(question: str, *, whom: ResponderRole = "judge") -> OptionLogprobs:
    """A question whose answer is Yes (first option) or No."""
    prompt = Dialogue.of(f"{question}\n\nAnswer with one word, Yes or No.")
    return OptionLogprobs(prompt=prompt, lead="Answer:", options=(" Yes", " No"), whom=whom)


def ask_yes_by_generation(question: str, *, whom: ResponderRole = "judge") -> Generate:
    """The same question, to be answered in words."""
    return Generate(prompt=Dialogue.of(f"{question}\n\nAnswer with one word, Yes or No."), max_new_tokens=48, whom=whom)


def parse_yes(said: Generation, *, who: str = "judge") -> bool:
    """Whether a reply says yes: by its first word, or the only one of the two words in it.

    Raises:
        Unscorable: it says nothing, neither or both.
    """
    text = said.words().lower()
    opening = re.match(r"\W*(?:answer\W+)?(yes|no)\b", text)
    found = {opening.group(1)} if opening else set(re.findall(r"\b(yes|no)\b", text))
    return _only(found, who) == "yes"


def choice_text(question: str, first: str, second: str) -> str:
    """A question about two texts, (A) and (B)."""
    return f"{question}\n\n(A) {first.strip()}\n\n(B) {second.strip()}\n\nAnswer with the letter, (A) or (B)."


def ask_letter(question: str, first: str, second: str, *, whom: ResponderRole = "judge") -> OptionLogprobs:
    """Which of two texts: (A), the first option, or (B)."""
    prompt = Dialogue.of(choice_text(question, first, second))
    return OptionLogprobs(prompt=prompt, lead="The answer is", options=(" (A)", " (B)"), whom=whom)


def ask_letter_by_generation(question: str, first: str, second: str, *, whom: ResponderRole = "judge") -> Generate:
    """The same, to be answered in words."""
    return Generate(prompt=Dialogue.of(choice_text(question, first, second)), max_new_tokens=64, whom=whom)


_OPENING = re.compile(r"\W*([AB])\b(?!\s+[a-z])")
"""A letter at the start; "A good reply ..." begins with an article."""
_NAMED = re.compile(r"\(([AB])\)|\b(?i:is|answer|option|reply|response|choice|prefer)\b[\s:*]*([AB])\b")


def parse_first_option(said: Generation) -> bool:
    """Whether a reply names (A): by the letter that it opens with, or the only one that it names.

    Raises:
        Unscorable: it says nothing, or names neither or both.
    """
    text = said.words()
    if opening := _OPENING.match(text):
        return opening.group(1) == "A"
    return _only({one or other for one, other in _NAMED.findall(text)}) == "A"


def _only(found: set[str], who: str = "judge") -> str:
    if len(found) != 1:
        raise Unscorable((BOTH if found else NEITHER).replace("judge", who))
    return next(iter(found))
