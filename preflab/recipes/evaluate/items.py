"""A page of a suite's items: requests, responses, outcomes. No scripts; filters by CSS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from preflab.data.dialogue import Dialogue
from preflab.evals.core.runner import SuiteSummary
from preflab.recipes.common.item_records import Exchange, ItemRecord, read_item_records
from preflab.recipes.evaluate.results import ITEMS
from preflab.reporting.html import render_page, truncate
from preflab.rollouts.requests.types import (
    Failure,
    Generation,
    OptionLogprobs,
    OptionScores,
    RewardScores,
    ScoreReplies,
)

MAX_ITEMS = 500
"""Items on a page; the file beside it has all."""
MAX_TEXT = 1_500
"""Characters of a prompt, an option or a reply."""
MAX_OUTCOME_TEXT = 300
MAX_ID = 80
MAX_OPTIONS = 12
CARD_KINDS = ("right", "wrong", "scored", "failed")


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option or a reply with its number."""

    text: str
    score: float
    """Log-probability, or score of the preference model; nats."""
    best: bool


@dataclass(frozen=True, kw_only=True)
class ExchangeView:
    """A request and its response as the page shows them."""

    role: str
    kind: str
    """Of the request: ``choose``, ``speak`` or ``rate``."""
    turns: Sequence[tuple[str, str]]
    """Role and text of the prompt's turns."""
    lead: str
    options: Sequence[Option]
    n_hidden: int
    """Options that are left out."""
    text: str | None
    failed: str | None


@dataclass(frozen=True, kw_only=True)
class Card:
    """An item as the page shows it."""

    number: int
    id: str
    kind: str
    """One of `CARD_KINDS`."""
    failed: str | None
    outcome: Sequence[tuple[str, str]]
    exchanges: Sequence[ExchangeView]


def write_items_page(folder: Path, name: str, result: SuiteSummary) -> Path | None:
    """Write ``items/<suite>.html`` from ``items/<suite>.jsonl``; None where there is no such file."""
    source = folder / ITEMS / f"{name}.jsonl"
    if not source.exists():
        return None
    records = read_item_records(source)
    cards = [item_card(number, record) for number, record in enumerate(records[:MAX_ITEMS], start=1)]
    return render_page(
        source.with_suffix(".html"),
        Path(__file__).with_name("items.html.j2"),
        title=f"{result.title} ({result.variant})",
        run=folder.resolve().name,
        file=source.name,
        cards=cards,
        total=len(records),
        counts={kind: sum(card.kind == kind for card in cards) for kind in CARD_KINDS},
    )


def item_card(number: int, record: ItemRecord) -> Card:
    """What the page shows of an item."""
    outcome: Mapping[str, object] = record.outcome or {}
    return Card(
        number=number,
        id=truncate(record.id, MAX_ID),
        kind=card_kind(record),
        failed=record.failed,
        outcome=[(key, _plain(value)) for key, value in outcome.items()],
        exchanges=[_exchange_view(exchange) for exchanges in record.rounds for exchange in exchanges],
    )


def card_kind(record: ItemRecord) -> str:
    """``right`` or ``wrong`` where the outcome has ``correct`` of 1 or 0; otherwise ``scored`` or ``failed``."""
    if record.outcome is None:
        return "failed"
    correct = record.outcome.get("correct")
    if correct == 1:
        return "right"
    return "wrong" if correct == 0 else "scored"


def _exchange_view(exchange: Exchange) -> ExchangeView:
    request, response = exchange.request, exchange.response
    prompt = request.prompt
    turns = [("text", prompt)] if isinstance(prompt, str) else _turns(prompt)
    options = _options(exchange)
    return ExchangeView(
        role=request.role,
        kind=request.kind,
        turns=[(role, truncate(text, MAX_TEXT)) for role, text in turns],
        lead="" if isinstance(request, ScoreReplies) else request.lead,
        options=options[:MAX_OPTIONS],
        n_hidden=max(0, len(options) - MAX_OPTIONS),
        text=truncate(response.text, MAX_TEXT) if isinstance(response, Generation) else None,
        failed=response.reason if isinstance(response, Failure) else None,
    )


def _turns(prompt: Dialogue) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in prompt.messages]


def _options(exchange: Exchange) -> list[Option]:
    """Options of the request with their scores; none where the request has none or failed."""
    request, response = exchange.request, exchange.response
    texts: Sequence[str] = ()
    scores: Sequence[float] = ()
    if isinstance(request, OptionLogprobs) and isinstance(response, OptionScores):
        texts, scores = request.options, response.logprobs
    elif isinstance(request, ScoreReplies) and isinstance(response, RewardScores):
        texts, scores = request.replies, response.scores
    best = max(range(len(scores)), key=scores.__getitem__, default=None)
    return [
        Option(text=truncate(text, MAX_TEXT), score=score, best=i == best)
        for i, (text, score) in enumerate(zip(texts, scores, strict=True))
    ]


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_plain(entry) for entry in value)
    return truncate(str(value), MAX_OUTCOME_TEXT)
