"""Prompts alone: out of comparisons, or from a file."""

from collections.abc import Iterable
from pathlib import Path

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue, Message
from preflab.data.sources import hh
from preflab.data.sources.files import open_text, read_records
from preflab.data.sources.record import column, prompt_messages
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
    if path.name.endswith((".txt", ".txt.gz")):
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
    try:
        with open_text(path) as lines:
            prompts = [Dialogue.of(line.strip()) for line in lines if line.strip()]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", path=path) from error
    if not prompts:
        raise DataError("is empty; expected one prompt a line", path=path)
    return prompts


def _prompt(value: object) -> Dialogue:
    """One prompt in any of its forms."""
    if isinstance(value, str) and hh.has_markers(value):
        turns = hh.parse_turns(value)
        if turns[-1] == Message("assistant", ""):  # the marker behind which the reply would stand
            turns = turns[:-1]
    else:
        turns = prompt_messages(value, "prompt")
    if not any(turn.text.strip() for turn in turns):
        raise DataError("the prompt is empty", field="prompt")
    prompt = Dialogue(turns)
    if not prompt.awaits_reply:
        raise DataError("the prompt already ends with a reply", field="prompt")
    return prompt
