"""Several replies to one prompt, each with a rating: the rank of a reply is that of its rating, equal ones are ties.

The replies are texts beside a list of ``ratings``, or objects that hold both, as in the first release of UltraFeedback.
"""

from collections.abc import Mapping
from dataclasses import replace

from preflab.data.comparison import Comparison
from preflab.data.sources.columns import is_empty
from preflab.data.sources.instructions import INSTRUCTIONS, READS, instruction_column, instruction_messages
from preflab.data.sources.messages import prompt_messages, wrong_type
from preflab.data.sources.record import comparison, finite_number, optional_text, provenance, with_system
from preflab.data.sources.source import Record, Source
from preflab.errors import DataError, RecordRefused

REPLIES = ("completions", "responses", "generations", "replies", "candidates", "answers", "outputs")
RATINGS = ("ratings", "rating", "scores", "score", "rewards")
_TEXT_KEYS = ("response", "text", "content", "completion", "answer", "output")
_RATING_KEYS = ("overall_score", "score", "rating", "reward")


def recognise(record: Record) -> bool:
    """A prompt, a list of replies, and as many ratings."""
    has_prompt = "prompt" in record or instruction_column(record) is not None
    name = _only(record, REPLIES)
    if not has_prompt or name is None or not isinstance(record[name], list):
        return False
    items = record[name]
    assert isinstance(items, list)
    if items and all(isinstance(item, Mapping) for item in items):
        return all(_only(item, _TEXT_KEYS) and _only(item, _RATING_KEYS) for item in items)
    ratings = _only(record, RATINGS)
    return ratings is not None and isinstance(record[ratings], list)


def _only(record: Record, names: tuple[str, ...]) -> str | None:
    """The only one of these columns in which something stands; of two, neither is the one."""
    columns = [name for name in names if not is_empty(record.get(name))]
    return columns[0] if len(columns) == 1 else None


def read(record: Record) -> Comparison:
    """One record.

    Raises:
        DataError: replies or ratings are missing, of another kind, or not as many.
        RecordRefused: a rating is missing or not finite.
    """
    texts, ratings, policies = _rated(record)
    prompt = prompt_messages(record["prompt"], "prompt") if "prompt" in record else instruction_messages(record)
    prompt = with_system(prompt, optional_text(record, "system"))
    if len(texts) < 2:
        raise RecordRefused("a comparison needs two replies", field="replies")
    levels = sorted(set(ratings), reverse=True)
    best, runner_up = sorted(ratings, reverse=True)[:2]
    return comparison(
        prompt,
        texts,
        tuple(levels.index(rating) for rating in ratings),
        strength=best - runner_up,
        provenance=replace(provenance(record), policies=policies),
    )


def _rated(record: Record) -> tuple[list[str], list[float], tuple[str, ...]]:
    """Texts, ratings, and who wrote them, if known."""
    name = _only(record, REPLIES)
    items = None if name is None else record[name]
    if name is None or not isinstance(items, list):
        raise DataError(f"expected a list of replies under one of {', '.join(REPLIES)}")
    if items and all(isinstance(item, Mapping) for item in items):
        cells = [(item.get(_only(item, _TEXT_KEYS) or ""), item.get(_only(item, _RATING_KEYS) or "")) for item in items]
        models = tuple(str(item.get("model") or "") for item in items)
    else:
        ratings_name = _only(record, RATINGS)
        ratings = None if ratings_name is None else record[ratings_name]
        if not isinstance(ratings, list) or len(ratings) != len(items):
            raise wrong_type(ratings_name or RATINGS[0], f"a list of {len(items)} ratings", ratings)
        cells, models = list(zip(items, ratings, strict=True)), ()
    if not all(isinstance(text, str) for text, _ in cells):
        raise wrong_type(name, "a list of texts", items)
    if any(is_empty(rating) for _, rating in cells):
        raise RecordRefused("a reply has no rating", field="ratings")
    numbers = [finite_number(rating, "ratings") for _, rating in cells]
    return [str(text) for text, _ in cells], numbers, models if all(models) else ()


SOURCE = Source(
    name="rated",
    columns=f"prompt or {', '.join(INSTRUCTIONS)}; {', '.join(REPLIES)} (a list of texts, one of these names) with "
    f"{', '.join(RATINGS)} (as many numbers), or a list of objects that hold a text and a score",
    recognise=recognise,
    read=read,
    reads={
        "prompt": "the prompt",
        **READS,
        **dict.fromkeys(REPLIES, "replies"),
        **dict.fromkeys(RATINGS, "ratings"),
        "id": "id",
    },
    priority=5,
)
