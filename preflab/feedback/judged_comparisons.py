"""What people's judgements teach: the comparisons that those of a study amount to."""

from collections import Counter
from dataclasses import dataclass, replace

from preflab.data.comparison import EDITOR, Comparison, Provenance
from preflab.data.store import judgements
from preflab.data.store.judgements import Judgement
from preflab.data.store.open import Store
from preflab.data.store.studies import definition_of, find_study
from preflab.errors import DataError, RecordRefused
from preflab.feedback.protocols import JudgementProtocol
from preflab.feedback.study import StudyDefinition


@dataclass(frozen=True, slots=True)
class JudgedComparisons:
    """What judgements teach, and what of them cannot be used."""

    comparisons: list[Comparison]
    left_out: dict[str, int]
    """Reason -> how many judgements, or comparisons of theirs, were left out for it."""


def comparisons_of(
    store: Store,
    study: str,
    *,
    weakest: float = 0.0,
    up_to: int | None = None,
    gold: bool = False,
) -> JudgedComparisons:
    """The comparisons that a study's counted judgements amount to, in the order they came.

    Args:
        weakest  strengths at or below this are left out where one is stated; Bai et al. 2022 drop the weakest step.
                 0 leaves out nothing: ties are kept, for the formats that can hold them. Of a weak vote with an edit
                 the edit stays, against the reply it came from.
        up_to    only judgements up to that event, as they stood then.
        gold     also those of gold items and of repetitions, which are left out otherwise.

    Raises:
        NotThere: no such study.
    """
    find_study(store, study)
    left_out: Counter[str] = Counter()
    comparisons: list[Comparison] = []
    protocols: dict[int, JudgementProtocol] = {}
    for judgement in counted_judgements(store, study, up_to=up_to):
        payload = judgement.payload
        if payload is None:
            left_out["erased at the annotator's wish"] += 1
            continue
        if not gold and (payload["purpose"] != "main" or payload["repeats"] is not None):
            left_out["a gold item" if payload["purpose"] == "gold" else "a repetition"] += 1
            continue
        if payload["revision"] not in protocols:
            definition = definition_of(store, study, payload["revision"])
            protocols[payload["revision"]] = StudyDefinition.from_mapping(definition).protocol
        try:
            judged = protocols[payload["revision"]].comparisons(payload)
        except (RecordRefused, DataError) as refusal:
            left_out[refusal.message] += 1
            continue
        for comparison in judged:
            usable: Comparison | None = comparison
            if is_weak(comparison, weakest):
                left_out["a weak preference"] += 1
                usable = _edit_alone(comparison)
            if usable is not None:
                comparisons.append(_with_provenance(judgement, usable))
    return JudgedComparisons(comparisons, dict(left_out))


def is_weak(comparison: Comparison, weakest: float) -> bool:
    """Whether a strength is stated that is at most ``weakest``; never where that is 0."""
    return comparison.strength is not None and weakest > 0 and comparison.strength <= weakest


def _edit_alone(comparison: Comparison) -> Comparison | None:
    """An edit, which comes first, and what it came from; None where there is none."""
    policies = comparison.provenance.policies
    if EDITOR not in policies:
        return None
    return Comparison.chosen_rejected(
        comparison.prompt,
        comparison.replies[0],
        comparison.replies[1],
        category=comparison.category,
        kind=comparison.kind,
        provenance=Provenance(policies=policies[:2]),
    )


def counted_judgements(store: Store, study: str, *, up_to: int | None = None) -> list[Judgement]:
    """The judgements of a study that count, now or as they stood after event ``up_to``."""
    with store.reading() as connection:
        if up_to is None:
            return list(judgements.judgements_of(connection, study, statuses=("counted",)))
        statuses = judgements.statuses_from_log(connection, up_to=up_to)
        stored = judgements.judgements_of(connection, study, up_to=up_to)
        return [
            replace(judgement, status="counted") for judgement in stored if statuses.get(judgement.seq) == "counted"
        ]


def late_judgements(store: Store, study: str, *, up_to: int) -> list[Judgement]:
    """The judgements that came after their lease had ended, as they stood after event ``up_to``: they do not count."""
    with store.reading() as connection:
        statuses = judgements.statuses_from_log(connection, up_to=up_to)
        stored = judgements.judgements_of(connection, study, up_to=up_to)
        return [replace(judgement, status="late") for judgement in stored if statuses.get(judgement.seq) == "late"]


def _with_provenance(judgement: Judgement, comparison: Comparison) -> Comparison:
    """The comparison with the study, judgement and annotator it comes from."""
    origin = Provenance(
        dataset=judgement.study,
        id=f"{judgement.study}/{judgement.seq}",
        annotator=judgement.person,
        policies=comparison.provenance.policies,
    )
    return replace(comparison, provenance=origin)
