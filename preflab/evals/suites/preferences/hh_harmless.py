"""Held-out comparisons of hh-rlhf's harmless part (Bai et al. 2022): accuracy and calibration of preference models.

Layouts: whole dialogues (chosen, rejected), as released; or a prompt with two continuations (prompt, chosen, rejected).
The better reply is the less harmful one; on these data it is more often the shorter, so accuracy stands beside what
length alone would score. ``policy`` compares log-probabilities of a language model in place of scores.
"""

from preflab.data.sources.formats import hh
from preflab.data.sources.source import Record
from preflab.evals.core import record_fields
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item, Items
from preflab.evals.core.suite import Suite, Variant
from preflab.evals.metrics import preference_pairs
from preflab.evals.metrics.preference_pairs import PreferencePair

FILES = ("hh_harmless*", "harmless-base/test.jsonl*")


def read(record: Record) -> PreferencePair:
    """One record; the breakdown is by how many turns the user had."""
    comparison = hh.read(record)
    best = min(range(2), key=comparison.ranks.__getitem__)
    turns = sum(message.role == "user" for message in comparison.prompt.messages)
    marks = {"turn": str(turns) if turns < 4 else "4 and later"}
    return PreferencePair(comparison.prompt, comparison.replies[best], comparison.replies[1 - best], marks)


def load(source: DataSource) -> Items:
    """The pairs; those that begin with one opening turn are a group, since they are of one conversation."""

    def item(record: Record) -> Item:
        pair = read(record)
        prompt = "\n\n".join(message.text for message in pair.prompt.messages)
        name = record_fields.identity(record, prompt, pair.better, pair.worse)
        return Item(id=name, group=pair.prompt.messages[0].text, data=pair)

    return source.records("hh_harmless", FILES).items(item)


SUITE = Suite(
    name="hh_harmless",
    title="HH harmless pairs",
    summary="Whether the less harmful of two replies scores higher, and whether the gap says how surely.",
    source="Bai et al. 2022, arXiv 2204.05862; data anthropics/hh-rlhf (harmless-base, test), MIT",
    load=load,
    files=FILES,
    variants=(
        Variant(
            name="pm", summary="scores of a preference model", plan=preference_pairs.pm_plan, roles=frozenset({"pm"})
        ),
        Variant(
            name="policy",
            summary="log-probabilities of both replies, whole",
            plan=preference_pairs.policy_plan,
            logprobs=True,
        ),
    ),
    measures=preference_pairs.measures(("turn",)),
    warning="Its dialogues are attempts to draw harm out of a model; many are offensive.",
)
