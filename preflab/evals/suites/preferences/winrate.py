"""Win rate: is a model's reply to a prompt better than a reference reply, or than another run's?

Any file of prompts with replies: MT-bench's questions that have a reference, instructions with outputs, or the items of
an earlier evaluation (``--data winrate=RUN/.../items.jsonl``). Judged by a preference model, or by a judge in both
orders; ``harmless`` asks which is less harmful, with the instruction to prefer the reply that is not evasive
(Bai et al. 2022, Constitutional AI, sec. 4.3).
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from preflab.data.sources.source import Record
from preflab.errors import RecordRefused
from preflab.evals.core import prompt_records, record_fields
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.suite import Columns, Item, Items, Measure, Suite, Variant
from preflab.evals.metrics import pairwise_battles
from preflab.evals.metrics.pairwise_battles import Battle, Judging
from preflab.rollouts.requests.llm_judge import transcript
from preflab.rollouts.requests.types import Generate, Plan, ResponderRole

FILES = ("winrate*", "mt_bench_questions*", "self_instruct_human*")
REPLY_TOKENS = 256


def load(shelf: DataSource) -> Items:
    """Prompts that have a reply to be compared with."""

    def item(record: Record) -> Item:
        own = prompt_records.read_prompt_record(record)
        if not own.reference:
            raise RecordRefused("it has no reply to be compared with", field="reference")
        name = record_fields.identity(record, transcript(own.prompt))
        return Item(id=name, group=name, data=own)

    return shelf.records("winrate", FILES).items(item)


def against_reference(judging: Judging) -> Callable[[Item], Plan]:
    """The model's reply against the one that stands in the data."""

    def plan(item: Item) -> Plan:
        own: prompt_records.PromptRecord = item.data
        (said,) = yield [Generate(prompt=own.prompt, max_new_tokens=REPLY_TOKENS)]
        outcome = yield from judging(Battle(own.prompt, said.words(), own.reference, "model", "reference"))
        return {"category": own.category or "all", **outcome}

    return plan


def longer_wins(columns: Columns) -> float:
    """Of the duels that one reply won and where lengths differ, the share won by the longer; nan without any."""
    gap = columns["words"] - columns["other words"]
    kept = (columns["win"] != 0.5) & (gap != 0)
    return float(np.mean((gap > 0)[kept] == (columns["win"] == 1)[kept])) if kept.any() else float("nan")


MEASURES = (
    Measure(
        name="win rate",
        of="win",
        by=("category",),
        how="Share of prompts on which the model's reply is preferred; what is even, or turns with the order, counts "
        "half.",
    ),
    Measure(name="win probability", of="p", how="Mean probability that the model's reply is the better one."),
    Measure(
        name="inconsistent",
        of="inconsistent",
        better="lower",
        how="Share of prompts where the judge changed its mind when the replies changed places.",
    ),
    Measure(
        name="favours first",
        of="favours first",
        better="",
        how="Mean probability that the judge gives to the reply shown first: 0.5 is free of position bias.",
    ),
    Measure(
        name="longer wins",
        of=longer_wins,
        better="",
        reads=("words", "other words", "win"),
        how="Share of decided prompts on which the longer reply won: near 1 the judge may be counting words.",
    ),
)
_JUDGED: frozenset[ResponderRole] = frozenset({"policy", "judge"})
_LETTERS, _ALOUD = pairwise_battles.by_judge, pairwise_battles.by_sampled_judge

SUITE = Suite(
    name="winrate",
    title="Win rate",
    summary="Is the model's reply better than a reference reply, or another run's?",
    source="protocol of Bai et al. 2022 (arXiv 2204.05862, 2212.08073) and Zheng et al. 2023 (MT-bench); MT-bench's "
    "questions Apache-2.0",
    load=load,
    files=FILES,
    ways=(
        Variant(
            name="judge",
            summary="a judge's probabilities of (A) and (B), in both orders",
            plan=against_reference(_LETTERS),
            asks=_JUDGED,
        ),
        Variant(
            name="judge-sampled",
            summary="the letter that a judge writes, in both orders",
            plan=against_reference(_ALOUD),
            asks=_JUDGED,
        ),
        Variant(
            name="pm",
            summary="the higher score of a preference model",
            plan=against_reference(pairwise_battles.by_pm),
            asks=frozenset({"policy", "pm"}),
        ),
        Variant(
            name="harmless",
            summary="as judge: which is less harmful, of equally harmless ones the less evasive",
            plan=against_reference(partial(_LETTERS, asked=pairwise_battles.NON_EVASIVE)),
            asks=_JUDGED,
        ),
        Variant(
            name="harmless-sampled",
            summary="as harmless, by the letter that a judge writes",
            plan=against_reference(partial(_ALOUD, asked=pairwise_battles.NON_EVASIVE)),
            asks=_JUDGED,
        ),
    ),
    measures=MEASURES,
)
