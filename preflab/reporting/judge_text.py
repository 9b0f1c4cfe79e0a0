"""A judge's labels in words: what it was asked, what it left out, how far it agrees with the labels before."""

from collections.abc import Iterator, Mapping
from typing import Any

from preflab.reporting.format import share
from preflab.reporting.run_files import restore_estimates


def judge_text(judge: Mapping[str, Any] | None) -> list[str]:
    """Sentences for a report; none where the comparisons kept the labels that they came with.

    Args:
        judge  section ``judge`` of a run's record.
    """
    return list(_sentences(restore_estimates(judge))) if judge else []


def _sentences(judge: Mapping[str, Any]) -> Iterator[str]:
    pairs_by_part = ", ".join(f"{part_name(part)} {n:,}" for part, n in judge["pairs"].items())
    yield (
        f"All labels, those of the held-out part too, are of the judge {judge['judge']}: it was asked about "
        f"{sum(judge['pairs'].values()):,} pairs of replies ({pairs_by_part})."
    )
    if (agreement := judge["agreement"]) is None:
        yield "The labels before named no winner, so there is nothing to agree with."
    else:
        by_part = "; ".join(f"{part_name(part)} {share(e)}" for part, e in judge["agreement_by_part"].items())
        yield (
            f"It names the same winner as the labels before in {share(agreement)} of {agreement.n:,} pairs (in "
            f"{agreement.clusters:,} prompts), a tie counting half: {by_part}."
        )
    if (changed := judge["changed"]) is not None:
        yield f"{share(changed)} of the labels say something else than before (a tie in place of a winner counts)."
    for reason, n in judge["abstained"].items():
        yield f"Not labelled: {n:,} pairs, since {reason}."
    for reason, n in judge["left_out"].items():
        yield f"Left out after labelling: {n:,} comparisons, since {reason}."
    if judge["replies_left_out"]:
        yield f"Left out of comparisons with other replies: {judge['replies_left_out']:,} replies without a label."


def part_name(part: str) -> str:
    """``held_out`` as the report prints it."""
    return part.replace("_", " ")
