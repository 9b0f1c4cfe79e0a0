"""Bring a study in a store to what its file says: the definition as a revision, items that are new as items."""

from dataclasses import dataclass

from preflab.data.store import log
from preflab.data.store.open import Store
from preflab.data.store.studies import NewItem, add_items, create_study, items_of, list_studies, revise_study
from preflab.errors import StudyError
from preflab.feedback.study import StudyFile


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What became of a study's file."""

    made: bool
    """Whether the study is new."""
    revised: bool
    revision: int
    added: int
    """Items that were not in the store."""
    there: int
    """Items of the file that were."""
    others: int
    """Items of the store that the file does not have: they stay, and are judged."""

    def __str__(self) -> str:
        state = "made" if self.made else f"revision {self.revision}" if self.revised else "unchanged"
        text = f"{state}, {self.added} new items"
        text += f", {self.there} were there" if self.there else ""
        return text + (f", {self.others} more are in the store and stay" if self.others else "")


def sync_study(store: Store, file: StudyFile, *, actor: str = log.SERVER) -> SyncResult:
    """Make the study, or bring it up to date. Everything is checked before anything is changed.

    Raises:
        StudyError: name or protocol cannot change; an item has another content than the one of its name in the store;
            or gold items are asked for and there are none.
    """
    definition = file.definition
    known = {found.name: found for found in list_studies(store)}.get(definition.name)
    if known is not None and known.definition["protocol"] != definition.protocol.name:
        raise StudyError(
            f"the protocol of study {definition.name!r} cannot change: it is {known.definition['protocol']}"
        )
    before = {item.name: item for item in items_of(store, definition.name)} if known is not None else {}
    for item in file.items:
        old = before.get(item.name)
        if old is not None and log.canonical(old.content) != log.canonical(dict(item.content)):
            raise StudyError(
                f"item {item.name!r} is in the store with another content; give the changed one another name"
            )
    gold = any(item.purpose == "gold" for item in file.items) or any(i.purpose == "gold" for i in before.values())
    if definition.gold_every and not gold:
        raise StudyError(f"gold_every is {definition.gold_every}, but there are no gold items")
    new: list[NewItem] = [item for item in file.items if item.name not in before]
    if known is None:
        now = create_study(store, definition.name, definition.to_json(), actor=actor)
    else:
        now = revise_study(store, definition.name, definition.to_json(), actor=actor)
    if new:
        add_items(store, definition.name, new, actor=actor)
    there = len(file.items) - len(new)
    others = sum(item.repeats is None for item in before.values()) - there
    revised = known is not None and now.revision != known.revision
    return SyncResult(known is None, revised, now.revision, len(new), there, others)
