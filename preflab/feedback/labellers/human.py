"""People who judge at the page: they answer later.

Pairs become items of a study of the protocol ``rank``. An item is named by its content, so that the same pair is asked
once, whichever process asks, and a process that starts again finds what was judged meanwhile.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preflab.config_overrides import check_types
from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.data.store import log, open_store
from preflab.data.store.open import Store
from preflab.data.store.queue import open_slots
from preflab.data.store.studies import Item, NewItem, add_items, find_study, items_of, list_studies
from preflab.errors import ConfigError, DataError, StoreError
from preflab.feedback.judged_comparisons import counted_judgements
from preflab.feedback.labellers.settings import Openers, read_settings
from preflab.feedback.protocols.rank import Rank
from preflab.feedback.study import StudyDefinition, StudyFile
from preflab.feedback.sync_study import sync_study
from preflab.interfaces import Labels

ERASED = "every vote was erased at the annotator's wish"
_PREFIX = "pair "


class StillWaiting(StoreError):
    """People have not judged everything yet. Nothing is lost: start the same command again later."""


@dataclass(frozen=True, slots=True)
class VotedPair:
    """A pair that has all its judgements."""

    pair: Comparison
    """As it was asked."""
    votes: tuple[float, ...]
    """1 for the first reply, 0 for the second, 0.5 for a tie; votes that were erased are missing."""

    @property
    def prob_first(self) -> float | None:
        """Share of the votes for the first reply; None where all were erased."""
        return sum(self.votes) / len(self.votes) if self.votes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanSettings:
    """Settings of people as labellers."""

    store: str = "collect/store.db"
    """File or URL of the store that the site uses."""
    slots: int = 1
    """Judgements of each pair, where the study is new."""
    wait: bool = True
    """Wait until all is judged; otherwise stop, to be started again later."""
    poll_seconds: float = 2.0
    """Pause between two looks at the store."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.slots < 1 or self.poll_seconds <= 0:
            complaint = f"slots must be at least 1 and poll_seconds above 0, got {self.slots} and {self.poll_seconds}"
            raise ConfigError(complaint)


class HumanLabeller:
    """People as an `AsyncLabeller`; called, it waits, and so it is a `Labeller` too.

    Args:
        study        one of the protocol ``rank``.
        wait         whether a call waits for what is not judged yet.
        on_progress  hears of pairs that are judged, and of pairs that were asked.

    Raises:
        NotThere: no such study.
        ConfigError: it has another protocol.
    """

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
        if definition.protocol.name != Rank.name:
            raise ConfigError(f"study {study!r} has the protocol {definition.protocol.name}; labels need 'rank'")
        self.name = f"human:{study}"
        self.store, self.study, self.definition = store, study, definition
        self.wait, self.poll_seconds, self.on_progress = wait, poll_seconds, on_progress
        self._handed_over: set[str] = set()

    def __call__(self, pairs: Sequence[Comparison]) -> Labels:
        """The share of votes for the first reply of each pair, a tie counting half.

        Raises:
            DataError: a comparison has more than two replies.
            StillWaiting: not all is judged and ``wait`` is off.
        """
        names = [_item_name(pair) for pair in pairs]
        self.ask(pairs)
        while True:
            voted = self._voted_pairs()
            n_judged = sum(name in voted for name in names)
            if self.on_progress:
                self.on_progress(n_judged, len(names))
            if n_judged == len(names):
                shares = [voted[name].prob_first for name in names]
                return Labels.of([ERASED if share is None else share for share in shares])
            if not self.wait:
                raise StillWaiting(
                    f"{n_judged} of {len(names)} comparisons of study {self.study!r} are judged so far, "
                    f"{len(names) - n_judged} wait for people ('preflab collect' on the same store shows them). "
                    "Nothing is lost: start the same command again when they are judged"
                )
            time.sleep(self.poll_seconds)

    def ask(self, pairs: Sequence[Comparison]) -> int:
        """Put pairs into the study that are not in it yet; how many. Whatever was said of them is not shown.

        Raises:
            DataError: a comparison has more than two replies.
        """
        in_study = {item.name for item in items_of(self.store, self.study)}
        new = {name: pair for pair in pairs if (name := _item_name(pair)) not in in_study}
        if new:
            slots = self.definition.slots
            items = [NewItem(name=name, content=_content(pair), slots=slots) for name, pair in new.items()]
            add_items(self.store, self.study, items)
        return len(new)

    def answers(self) -> list[VotedPair]:
        """Pairs that have all their judgements and were not handed over yet; never waits."""
        new = {name: voted for name, voted in self._voted_pairs().items() if name not in self._handed_over}
        self._handed_over |= new.keys()
        return list(new.values())

    def _voted_pairs(self) -> dict[str, VotedPair]:
        """Item's name -> pair and votes, where all slots are filled, however many those are."""
        slots_left = open_slots(self.store, self.study)
        items = items_of(self.store, self.study)
        complete = {i.name: i for i in items if i.name.startswith(_PREFIX) and slots_left.get(i.name) == 0}
        votes: dict[str, list[float]] = {name: [] for name in complete}
        for judgement in counted_judgements(self.store, self.study):
            if (
                judgement.item_name in complete
                and judgement.payload is not None
                and judgement.payload["repeats"] is None
            ):
                first, second = judgement.payload["answer"]["ranks"]
                votes[judgement.item_name].append(0.5 if first == second else float(first < second))
        return {name: VotedPair(_pair_of(item), tuple(votes[name])) for name, item in complete.items()}


def open_from_spec(subject: str, settings: Mapping[str, str], openers: Openers) -> HumanLabeller:
    """``human:STUDY``; a study that is not there yet is made."""
    chosen = read_settings(HumanSettings(), settings, "human")
    study = subject or "judge"
    store = open_store(chosen.store)
    if study not in {record.name for record in list_studies(store)}:
        definition = StudyDefinition(name=study, title="Which reply is better?", slots=chosen.slots)
        sync_study(store, StudyFile(definition, ()))
    on_progress = openers.on_progress
    return HumanLabeller(store, study, wait=chosen.wait, poll_seconds=chosen.poll_seconds, on_progress=on_progress)


def _content(pair: Comparison) -> dict[str, Any]:
    policies = list(pair.provenance.policies) or [""] * len(pair.replies)
    return {"prompt": pair.prompt.to_json(), "replies": list(pair.replies), "policies": policies}


def _pair_of(item: Item) -> Comparison:
    """The pair of an item that `HumanLabeller.ask` made."""
    content = item.content
    policies = tuple(content["policies"]) if any(content["policies"]) else ()
    return Comparison(
        prompt=Dialogue.from_json(content["prompt"]),
        replies=tuple(content["replies"]),
        ranks=(0, 0),
        provenance=Provenance(policies=policies),
    )


def _item_name(pair: Comparison) -> str:
    """An item's name from its content: the same pair is asked once."""
    if len(pair.replies) != 2:
        raise DataError(f"a labeller judges pairs, got {len(pair.replies)} replies", field="replies")
    content = _content(pair)
    return f"{_PREFIX}{log.sha256(log.canonical([content['prompt'], content['replies']]))[:24]}"
