"""People as judges: what they said as comparisons to learn from, and as a `Labeller`.

A human is slow. `HumanLabeller` puts what is to be judged into a study and either waits or stops; started again it
finds what was judged meanwhile, for items are known by their content.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from preflab.data.comparison import EDITOR, Comparison, Provenance
from preflab.data.store import judgements, log
from preflab.data.store.judgements import Judgement
from preflab.data.store.open import Store
from preflab.data.store.queue import open_slots
from preflab.data.store.studies import NewItem, add_items, definition_of, find_study, items_of
from preflab.errors import ConfigError, DataError, RecordRefused, StoreError
from preflab.feedback.protocols import AnyProtocol
from preflab.feedback.study import StudyDefinition

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class StillWaiting(StoreError):
    """People have not judged everything yet. Nothing is lost: start the same command again later."""


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
    found: list[Comparison] = []
    protocols: dict[int, AnyProtocol] = {}
    for judgement in counted(store, study, up_to=up_to):
        says = judgement.says
        if says is None:
            left_out["erased at the annotator's wish"] += 1
            continue
        if not gold and (says["purpose"] != "main" or says["repeats"] is not None):
            left_out["a gold item" if says["purpose"] == "gold" else "a repetition"] += 1
            continue
        if says["revision"] not in protocols:
            told = definition_of(store, study, says["revision"])
            protocols[says["revision"]] = StudyDefinition.from_mapping(told).protocol
        try:
            made = protocols[says["revision"]].comparisons(says)
        except (RecordRefused, DataError) as refusal:
            left_out[refusal.message] += 1
            continue
        for comparison in made:
            strong: Comparison | None = comparison
            if is_weak(comparison, weakest):
                left_out["a weak preference"] += 1
                strong = _edit_alone(comparison)
            if strong is not None:
                found.append(_from(judgement, strong))
    return JudgedComparisons(found, dict(left_out))


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


def counted(store: Store, study: str, *, up_to: int | None = None) -> list[Judgement]:
    """The judgements of a study that count, now or as they stood after event ``up_to``."""
    with store.reading() as connection:
        if up_to is None:
            return list(judgements.judgements_of(connection, study, statuses=("counted",)))
        then = judgements.statuses_by_the_log(connection, up_to=up_to)
        every = judgements.judgements_of(connection, study, up_to=up_to)
        return [replace(one, status="counted") for one in every if then.get(one.seq) == "counted"]


def _from(judgement: Judgement, comparison: Comparison) -> Comparison:
    """With where it comes from."""
    origin = Provenance(
        dataset=judgement.study,
        id=f"{judgement.study}/{judgement.seq}",
        annotator=judgement.person,
        policies=comparison.provenance.policies,
    )
    return replace(comparison, provenance=origin)


class HumanLabeller:
    """People at the page as a ``Labeller``: pairs in, the share of votes for the first out."""

    def __init__(
        self,
        store: Store,
        study: str,
        *,
        wait: bool = True,
        poll_seconds: float = 2.0,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        definition = StudyDefinition.from_mapping(find_study(store, study).definition)
        if definition.protocol.name != "rank":
            raise ConfigError(f"study {study!r} has the protocol {definition.protocol.name}; labels need 'rank'")
        self.store, self.study, self.definition = store, study, definition
        self.wait, self.poll_seconds, self.on_progress = wait, poll_seconds, on_progress

    def __call__(self, comparisons: Sequence[Comparison]) -> "Float[Tensor, ' pair']":
        """Probability that the first reply of each is the better one: votes for it, a tie counting half.

        Raises:
            DataError: a comparison has more than two replies.
            StillWaiting: not all is judged and ``wait`` is off.
        """
        import torch

        names = [_name(comparison) for comparison in comparisons]
        self._ask(comparisons, names)
        while True:
            votes = self._votes(set(names))
            done = sum(name in votes for name in names)
            if self.on_progress:
                self.on_progress(done, len(names))
            if done == len(names):
                return torch.tensor([sum(votes[name]) / len(votes[name]) for name in names])
            if not self.wait:
                raise StillWaiting(f"{done} of {len(names)} comparisons of study {self.study!r} are judged so far")
            time.sleep(self.poll_seconds)

    def _ask(self, comparisons: Sequence[Comparison], names: Sequence[str]) -> None:
        """Put into the study what is not in it yet."""
        known = {item.name for item in items_of(self.store, self.study)}
        new = {name: c for name, c in zip(names, comparisons, strict=True) if name not in known}
        slots = self.definition.slots
        items = [NewItem(name=name, content=_content(c), slots=slots) for name, c in new.items()]
        if items:
            add_items(self.store, self.study, items)

    def _votes(self, names: set[str]) -> dict[str, list[float]]:
        """Name -> votes, of items whose slots are all filled, however many those are.

        Raises:
            StoreError: every vote for one of them was erased at the annotator's wish.
        """
        full = {name for name, left in open_slots(self.store, self.study).items() if left == 0} & names
        votes: dict[str, list[float]] = {name: [] for name in full}
        for judgement in counted(self.store, self.study):
            if judgement.item_name in full and judgement.says is not None:
                first, second = judgement.says["answer"]["ranks"]
                votes[judgement.item_name].append(0.5 if first == second else float(first < second))
        empty = sorted(name for name, found in votes.items() if not found)
        if empty:
            raise StoreError(
                f"{len(empty)} comparison(s) have no vote left, all were erased; the first is {empty[0]!r}"
            )
        return votes


def _content(comparison: Comparison) -> dict[str, Any]:
    policies = list(comparison.provenance.policies) or [""] * len(comparison.replies)
    return {"prompt": comparison.prompt.to_json(), "replies": list(comparison.replies), "policies": policies}


def _name(comparison: Comparison) -> str:
    """An item's name from its content: the same comparison is asked once."""
    if len(comparison.replies) != 2:
        raise DataError(f"a labeller judges pairs, got {len(comparison.replies)} replies", field="replies")
    content = _content(comparison)
    return f"pair {log.sha256(log.canonical([content['prompt'], content['replies']]))[:24]}"
