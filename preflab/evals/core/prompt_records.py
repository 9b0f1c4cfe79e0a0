"""Prompts to be answered, from any file of prompts: with a reply to compare with where there is one.

MT-bench's questions (turns, category, reference: the first turn is asked), instructions with input and output
(self-instruct, AlpacaEval), prompts as text or as messages, and the items of an earlier evaluation, whose replies are
then what a model is compared with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from preflab.data.dialogue import Dialogue
from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused
from preflab.evals.core import record_fields


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """A prompt, its category, and a reply to it by somebody else ("" where there is none)."""

    prompt: Dialogue
    category: str = ""
    reference: str = ""


def read_prompt_record(record: Record) -> PromptRecord:
    """A record of one of these forms.

    Raises:
        RecordRefused: its content cannot be used.
        DataError: it is of none of them.
    """
    if "rounds" in record:
        return _earlier(record)
    category = record_fields.optional_text(record, "category") or record_fields.optional_text(record, "kind")
    return PromptRecord(_prompt(record), category, _reference(record))


def _prompt(record: Record) -> Dialogue:
    for name in ("messages", "prompt"):
        value = record.get(name)
        if isinstance(value, Sequence) and not isinstance(value, str):
            dialogue = Dialogue.from_json(value)
            if not dialogue.awaits_reply:
                raise RecordRefused("its messages end with a reply", field=name)
            return dialogue
    if record.get("turns") is not None:
        return Dialogue.of(record_fields.texts(record, "turns")[0])
    text = record_fields.first_text(record, "instruction", "prompt", "question")
    more = (record_fields.optional_text(record, "input") or "").strip() if "instruction" in record else ""
    return Dialogue.of(f"{text}\n\n{more}" if more else text)


def _reference(record: Record) -> str:
    for name in ("reference", "output", "reply"):
        value = record.get(name)
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = value[0] if value else None
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value is not None and not isinstance(value, str):
            raise DataError(f"expected text, found {type(value).__name__}", field=name)
    return ""


def _earlier(record: Record) -> PromptRecord:
    """A line of an earlier evaluation's items: the first prompt that the policy answered in words, and its reply."""
    try:
        for exchanges in record["rounds"]:  # type: ignore[attr-defined]
            for exchange in exchanges:
                request, response = exchange["ask"], exchange["answer"]
                if (
                    request["kind"] == "speak"
                    and request.get("whom", "policy") == "policy"
                    and response["kind"] == "spoken"
                ):
                    prompt = request["prompt"]
                    dialogue = Dialogue.of(prompt) if isinstance(prompt, str) else Dialogue.from_json(prompt)
                    outcome = record.get("outcome")
                    category = outcome.get("category", "") if isinstance(outcome, Mapping) else ""
                    return PromptRecord(dialogue, str(category), str(response["text"]).strip())
    except (KeyError, TypeError) as error:
        raise DataError(f"no item of an evaluation: {error!r}", field="rounds") from error
    raise RecordRefused("the policy said nothing in it", field="rounds")
