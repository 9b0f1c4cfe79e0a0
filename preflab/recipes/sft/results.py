"""What the stages of the recipe ``sft`` leave: ``results/<stage>.json``."""

from dataclasses import dataclass

from preflab.evals.metrics.reply_stats import ReplyFacts
from preflab.recipes.common import results
from preflab.recipes.common.results import ComparedReplies
from preflab.reporting.verdicts import Verdict


@dataclass(frozen=True)
class DataResult:
    """What is learned and measured on, by part."""

    rows: dict[str, int]
    replies: dict[str, int]
    reply_tokens: dict[str, int]
    """Tokens that are learned."""
    tokens: dict[str, int]
    """Tokens processed, each prefix once."""
    tokens_reply_by_reply: dict[str, int]
    """What a trainer that runs every reply by itself would process, without padding."""
    shortened: dict[str, int]
    """Dialogues that lost their beginning to fit the context."""
    refused: dict[str, int]
    """Dialogues that do not fit the context at all."""
    prompts: int
    """Distinct held-out prompts: the clusters of intervals."""


@dataclass(frozen=True, kw_only=True)
class SFTResult(results.SFTResult):
    """The fine-tuning, and what it says of the claim."""

    verdicts: list[Verdict]
    epochs: list[float]
    """Loss on unseen replies after each pass, nats per token."""


@dataclass(frozen=True, kw_only=True)
class MeasureResult:
    """Replies before and after, to look at."""

    facts: dict[str, ReplyFacts]
    examples: list[ComparedReplies]
    sampled_tokens: int
