"""Our own format: K replies with ranks, reasons and provenance; written and read without loss.

    {"id": "7", "category": "cooking", "kind": "vague", "prompt": [{"role": "user", "content": "..."}],
     "replies": ["...", "..."], "ranks": [0, 1], "why": {"0>1": "names the temperature"}}

Optional besides: ``prob_first``, ``strength``, ``provenance`` with ``dataset``, ``annotator``, ``policies``.
"""

import re
from collections.abc import Iterator, Mapping

from preflab.data.comparison import Comparison, Provenance
from preflab.data.sources.messages import prompt_messages, wrong_type
from preflab.data.sources.record import column, comparison, optional_number, optional_text
from preflab.data.sources.source import Record, Source
from preflab.errors import DataError


def recognise(record: Record) -> bool:
    """Nothing else has replies with ranks."""
    return {"prompt", "replies", "ranks"} <= record.keys()


def read(record: Record) -> Comparison:
    """One record."""
    replies, ranks = column(record, "replies"), column(record, "ranks")
    if not isinstance(replies, list) or not all(isinstance(reply, str) for reply in replies):
        raise wrong_type("replies", "a list of texts", replies)
    if not isinstance(ranks, list) or not all(isinstance(r, int) and not isinstance(r, bool) for r in ranks):
        raise wrong_type("ranks", "a list of whole numbers, 0 for the best", ranks)
    return comparison(
        prompt_messages(column(record, "prompt"), "prompt"),
        replies,
        ranks,
        prob_first=optional_number(record, "prob_first"),
        strength=optional_number(record, "strength"),
        category=optional_text(record, "category"),
        kind=optional_text(record, "kind"),
        why=_reasons(record.get("why")),
        provenance=_provenance(record),
    )


def _reasons(why: object) -> dict[tuple[int, int], str]:
    """``{"0>1": reason}`` with the indices as numbers."""
    if why is None:
        return {}
    if not isinstance(why, Mapping):
        raise wrong_type("why", 'an object like {"0>1": "reason"}', why)
    reasons = {}
    for key, reason in why.items():
        if reason is None:  # a table has every key in every row
            continue
        match = re.fullmatch(r"([0-9]+)>([0-9]+)", key)
        if match is None or not isinstance(reason, str):
            raise DataError(f'expected entries like "0>1": "reason", found {key!r:.40}: {reason!r:.40}', field="why")
        reasons[int(match[1]), int(match[2])] = reason
    return reasons


def _provenance(record: Record) -> Provenance:
    """The record's id, and what else it says of its origin."""
    origin = record.get("provenance")
    if origin is None:
        origin = {}
    if not isinstance(origin, Mapping):
        raise wrong_type("provenance", "an object", origin)
    policies = origin.get("policies") or []
    if not isinstance(policies, list) or not all(isinstance(policy, str) for policy in policies):
        raise wrong_type("provenance.policies", "a list of texts", policies)
    return Provenance(
        dataset=optional_text(origin, "dataset"),
        id=optional_text(record, "id"),
        annotator=optional_text(origin, "annotator"),
        policies=tuple(policies),
    )


def write(comparison: Comparison) -> Iterator[dict[str, object]]:
    """The one record that carries everything the comparison knows."""
    origin = comparison.provenance
    details = {"dataset": origin.dataset, "annotator": origin.annotator, "policies": list(origin.policies)}
    optional: dict[str, object] = {
        "prob_first": comparison.prob_first,
        "strength": comparison.strength,
        "provenance": {name: value for name, value in details.items() if value} or None,
    }
    yield {
        "id": origin.id,
        "category": comparison.category,
        "kind": comparison.kind,
        "prompt": comparison.prompt.to_json(),
        "replies": list(comparison.replies),
        "ranks": list(comparison.ranks),
        "why": {f"{better}>{worse}": reason for (better, worse), reason in comparison.why.items()},
        **{name: value for name, value in optional.items() if value is not None},
    }


SOURCE = Source(
    name="preflab_jsonl",
    columns="prompt (messages or text), replies (texts), ranks (0 is best); id, category, kind, why if known",
    recognise=recognise,
    reads={
        "prompt": "the prompt",
        "replies": "replies",
        "ranks": "ranks",
        "prob_first": "probability that the first is better",
        "strength": "strength",
        "category": "category",
        "kind": "kind",
        "why": "reasons",
        "provenance": "provenance",
        "id": "id",
    },
    read=read,
    write=write,
    keeps_ties=True,
    priority=6,
)
