"""What a chat template does to replies, in words: where the model sees something else than prompt and reply."""

from collections.abc import Iterator, Mapping
from typing import Any

HEAD = (
    "The chat template does not tell every dialogue as the prompt with the reply's text behind it. The model is "
    "trained and measured on what the template tells; what it refuses is left out and counted. Probe dialogues:"
)
"""What follows from it, before the kinds of dialogues."""


def template_text(model: Mapping[str, Any]) -> list[str]:
    """Sentences for a report or the terminal; none for a template that tells replies as they are, and no date.

    Args:
        model  section ``model`` of a run's record. Of it, ``template_differences``: kind of dialogue -> what its reply
               becomes, from `preflab.rollouts.template_probes`; and ``template_moment``: the date that it is given.
    """
    return list(_sentences(model))


def _sentences(model: Mapping[str, Any]) -> Iterator[str]:
    if differences := model.get("template_differences"):
        yield HEAD
        yield from (f"{kind}: {difference}" for kind, difference in differences.items())
    if moment := model.get("template_moment"):
        yield f"The chat template tells a date: that of the run's start, {moment} (UTC)."
