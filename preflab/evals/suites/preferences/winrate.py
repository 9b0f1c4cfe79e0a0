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
from preflab.evals.core.items import Item, Items
from preflab.evals.core.suite import POLICY_AND_JUDGE, Columns, Measure, Plan, Suite, Variant
from preflab.evals.metrics import pairwise_battles
from preflab.evals.metrics.pairwise_battles import Battle, BattlePlan
from preflab.rollouts.requests.llm_judge import transcript
from preflab.rollouts.requests.types import Generate

FILES = ("winrate*", "mt_bench_questions*", "self_instruct_human*")
REPLY_TOKENS = 256


def load(source: DataSource) -> Items:
    """Prompts that have a reply to be compared with."""

    def item(record: Record) -> Item:
        prompt_record = prompt_records.read_prompt_record(record)
        if not prompt_record.reference:
            raise RecordRefused("it has no reply to be compared with", field="reference")
        name = record_fields.identity(record, transcript(prompt_record.prompt))
        return Item(id=name, group=name, data=prompt_record)

    return source.records("winrate", FILES).items(item)


def against_reference(judging: BattlePlan) -> Callable[[Item], Plan]:
    """The model's reply against the one that stands in the data."""

    def plan(item: Item) -> Plan:
        prompt_record: prompt_records.PromptRecord = item.data
        (generation,) = yield [Generate(prompt=prompt_record.prompt, max_new_tokens=REPLY_TOKENS)]
        outcome = yield from judging(
            Battle(prompt_record.prompt, generation.require_text(), prompt_record.reference, "model", "reference")
        )
        return {"category": prompt_record.category or "all", **outcome}

    return plan


def longer_wins(columns: Columns) -> float:
    """Of the battles that one reply won and where lengths differ, the share won by the longer; nan without any."""
    gap = columns["words"] - columns["other words"]
    decided = (columns["win"] != 0.5) & (gap != 0)
    return float(np.mean((gap > 0)[decided] == (columns["win"] == 1)[decided])) if decided.any() else float("nan")


MEASURES = (
    Measure(
        name="win rate",
        statistic="win",
        by=("category",),
        description="Share of prompts on which the model's reply is preferred; what is even, or turns with the order, "
        "counts half.",
    ),
    Measure(
        name="win probability", statistic="p", description="Mean probability that the model's reply is the better one."
    ),
    Measure(
        name="inconsistent",
        statistic="inconsistent",
        better="lower",
        description="Share of prompts where the judge changed its mind when the replies changed places.",
    ),
    Measure(
        name="favours first",
        statistic="favours first",
        better="",
        description="Mean probability that the judge gives to the reply shown first: 0.5 is free of position bias.",
    ),
    Measure(
        name="longer wins",
        statistic=longer_wins,
        better="",
        reads=("words", "other words", "win"),
        description="Share of decided prompts on which the longer reply won: near 1 the judge may be counting words.",
    ),
)
_BY_LOGPROB = pairwise_battles.judge_plan
_BY_GENERATION = partial(pairwise_battles.judge_plan, by_generation=True)

SUITE = Suite(
    name="winrate",
    title="Win rate",
    summary="Is the model's reply better than a reference reply, or another run's?",
    source="protocol of Bai et al. 2022 (arXiv 2204.05862, 2212.08073) and Zheng et al. 2023 (MT-bench); MT-bench's "
    "questions Apache-2.0",
    load=load,
    files=FILES,
    variants=(
        Variant(
            name="judge",
            summary="a judge's probabilities of (A) and (B), in both orders",
            plan=against_reference(_BY_LOGPROB),
            roles=POLICY_AND_JUDGE,
        ),
        Variant(
            name="judge-sampled",
            summary="the letter that a judge writes, in both orders",
            plan=against_reference(_BY_GENERATION),
            roles=POLICY_AND_JUDGE,
        ),
        Variant(
            name="pm",
            summary="the higher score of a preference model",
            plan=against_reference(pairwise_battles.pm_plan),
            roles=frozenset({"policy", "pm"}),
        ),
        Variant(
            name="harmless",
            summary="as judge: which is less harmful, of equally harmless ones the less evasive",
            plan=against_reference(partial(_BY_LOGPROB, question=pairwise_battles.NON_EVASIVE)),
            roles=POLICY_AND_JUDGE,
        ),
        Variant(
            name="harmless-sampled",
            summary="as harmless, by the letter that a judge writes",
            plan=against_reference(partial(_BY_GENERATION, question=pairwise_battles.NON_EVASIVE)),
            roles=POLICY_AND_JUDGE,
        ),
    ),
    measures=MEASURES,
)
