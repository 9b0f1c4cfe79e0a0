"""A language model as a judge: one question with a few possible answers, by log-probability or by generation.

A judge that gives none of the answers raises `UnreadableResponse`: that item is counted as such, never as a tie.
"""

from collections.abc import Generator, Sequence
from typing import Any, TypeAlias, TypeVar

from preflab.data.dialogue import Dialogue
from preflab.rollouts.requests.parse_letter import parse_letter
from preflab.rollouts.requests.parse_reply import NEITHER
from preflab.rollouts.requests.parse_yes import parse_yes
from preflab.rollouts.requests.types import (
    Generate,
    OptionLogprobs,
    OptionScores,
    Request,
    ResponderRole,
    UnreadableResponse,
)

Verdict = TypeVar("Verdict")
JudgeRound: TypeAlias = Generator[Sequence[Request], Sequence[Any], Verdict]
"""One round of requests to a judge: yields them, is sent the responses, returns the verdict."""

LEAST_MASS = 0.01
"""Probability that a judge's options must hold together; below it the judge answers none of them."""
_NAMES = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}


def transcript(dialogue: Dialogue) -> str:
    """A conversation as a judge reads it."""
    return "\n\n".join(f"{_NAMES[m.role]}: {m.text.strip()}" for m in dialogue.messages)


def option_probabilities(scores: OptionScores) -> tuple[float, ...]:
    """Probabilities of a judge's options, scaled to sum to one.

    Raises:
        UnreadableResponse: the options hold next to no probability.
    """
    if scores.mass < LEAST_MASS:
        raise UnreadableResponse(NEITHER)
    return scores.probs


def yes_or_no(question: str) -> Dialogue:
    """A question that asks for Yes or No."""
    return Dialogue.of(f"{question}\n\nAnswer with one word, Yes or No.")


def ask_yes(question: str, *, role: ResponderRole = "judge") -> OptionLogprobs:
    """A question whose answer is Yes (first option) or No."""
    return OptionLogprobs(prompt=yes_or_no(question), lead="Answer:", options=(" Yes", " No"), role=role)


def ask_yes_by_generation(question: str, *, role: ResponderRole = "judge") -> Generate:
    """The same question, to be answered in words."""
    return Generate(prompt=yes_or_no(question), max_new_tokens=48, role=role)


def yes_probabilities(questions: Sequence[str], *, by_generation: bool) -> JudgeRound[list[float]]:
    """Ask a judge questions of yes or no, in one round.

    Args:
        by_generation  the judge writes its answer; otherwise its probabilities of Yes and No are read.

    Returns:
        the probability of Yes for each question; 0 or 1 by generation.

    Raises:
        UnreadableResponse: the judge answers one of them with neither word, or with both.
    """
    if by_generation:
        generations = yield [ask_yes_by_generation(question) for question in questions]
        return [float(parse_yes(generation)) for generation in generations]
    scores = yield [ask_yes(question) for question in questions]
    return [option_probabilities(score)[0] for score in scores]


def choice_prompt(question: str, first: str, second: str) -> Dialogue:
    """A question about two texts, (A) and (B)."""
    return Dialogue.of(
        f"{question}\n\n(A) {first.strip()}\n\n(B) {second.strip()}\n\nAnswer with the letter, (A) or (B)."
    )


def ask_letter(prompt: Dialogue, letters: str = "AB", *, role: ResponderRole = "judge") -> OptionLogprobs:
    """A question whose options stand behind (A), (B) and so on."""
    return OptionLogprobs(
        prompt=prompt, lead="The answer is", options=tuple(f" ({letter})" for letter in letters), role=role
    )


def ask_letter_by_generation(prompt: Dialogue, *, role: ResponderRole = "judge") -> Generate:
    """The same question, to be answered in words."""
    return Generate(prompt=prompt, max_new_tokens=64, role=role)


def letter_probabilities(
    prompts: Sequence[Dialogue], letters: str, *, by_generation: bool
) -> JudgeRound[list[tuple[float, ...]]]:
    """Ask a judge questions with lettered options, in one round.

    Args:
        by_generation  the judge writes a letter; otherwise its probabilities of the letters are read.

    Returns:
        for each prompt the probability of each letter; 0 or 1 by generation.

    Raises:
        UnreadableResponse: the judge names none of the letters, or several.
    """
    if by_generation:
        generations = yield [ask_letter_by_generation(prompt) for prompt in prompts]
        picks = [parse_letter(generation, letters) for generation in generations]
        return [tuple(float(pick == letter) for letter in letters) for pick in picks]
    scores = yield [ask_letter(prompt, letters) for prompt in prompts]
    return [option_probabilities(score) for score in scores]


def preference_in_both_orders(question: str, a: str, b: str, *, by_generation: bool) -> JudgeRound[tuple[float, float]]:
    """Ask a judge which of two texts it prefers, each shown first once.

    Returns:
        the probability that it prefers ``a``, shown first and shown second; 0 or 1 by generation.

    Raises:
        UnreadableResponse: the judge names neither, or both.
    """
    prompts = [choice_prompt(question, a, b), choice_prompt(question, b, a)]
    shown_first, shown_second = yield from letter_probabilities(prompts, "AB", by_generation=by_generation)
    return shown_first[0], shown_second[1]
