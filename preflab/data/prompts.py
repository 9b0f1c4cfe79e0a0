"""Prompts alone: out of comparisons, or from a file."""

from collections.abc import Iterable
from pathlib import Path

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue, Message
from preflab.data.sources.files import read_records, text_lines
from preflab.data.sources.formats import hh
from preflab.data.sources.messages import prompt_messages
from preflab.data.sources.record import column
from preflab.errors import DataError


def distinct_prompts(comparisons: Iterable[Comparison]) -> list[Dialogue]:
    """Every prompt once, in the order of first appearance."""
    return list(dict.fromkeys(comparison.prompt for comparison in comparisons))


def load_prompts(path: str | Path) -> list[Dialogue]:
    """Prompts from a .txt file, one a line, or from the ``prompt`` column of a file of records.

    A ``prompt`` is text, messages, or a dialogue in the notation of hh-rlhf. Repeated prompts are kept.

    Raises:
        DataError: the file is missing or empty, or a record has no usable prompt.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("no such file; expected prompts as .txt, one a line, or records with a 'prompt'", path=path)
    if path.name.lower().endswith((".txt", ".txt.gz")):
        return _lines(path)
    prompts = []
    for located in read_records(path):
        try:
            prompts.append(_prompt(column(located.record, "prompt")))
        except DataError as error:
            raise error.with_location(located.path, located.number) from error
    return prompts


def _lines(path: Path) -> list[Dialogue]:
    """A prompt from each line that is not blank."""
    prompts = [Dialogue.of(line.strip()) for _, line in text_lines(path) if line.strip()]
    if not prompts:
        raise DataError("is empty; expected one prompt a line", path=path)
    return prompts


def prompt_turns(value: object) -> tuple[Message, ...]:
    """The turns of a prompt in any of its forms: text, messages, or a dialogue in the notation of hh-rlhf.

    Raises:
        DataError: it is none of these.
        RecordRefused: a message holds something else than text, or nobody knows its role.
    """
    if isinstance(value, str) and hh.has_markers(value):
        turns = hh.parse_turns(value)
        return turns[:-1] if turns[-1] == Message("assistant", "") else turns  # the marker before the reply to come
    return prompt_messages(value, "prompt")


def _prompt(value: object) -> Dialogue:
    """One prompt that awaits a reply."""
    turns = prompt_turns(value)
    if not any(turn.text.strip() for turn in turns):
        raise DataError("the prompt is empty", field="prompt")
    prompt = Dialogue(turns)
    if not prompt.awaits_reply:
        raise DataError("the prompt already ends with a reply", field="prompt")
    return prompt
