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

    created: bool
    """Whether the study is new."""
    revised: bool
    revision: int
    added: int
    """Items that were not in the store."""
    existing: int
    """Items of the file that were."""
    not_in_file: int
    """Items of the store that the file does not have: they stay, and are judged."""

    def __str__(self) -> str:
        state = "made" if self.created else f"revision {self.revision}" if self.revised else "unchanged"
        text = f"{state}, {self.added} new items"
        text += f", {self.existing} were there" if self.existing else ""
        return text + (f", {self.not_in_file} more are in the store and stay" if self.not_in_file else "")


def sync_study(store: Store, file: StudyFile, *, actor: str = log.SERVER) -> SyncResult:
    """Make the study, or bring it up to date. Everything is checked before anything is changed.

    Raises:
        StudyError: name or protocol cannot change; an item has another content than the one of its name in the store;
            or gold items are asked for and there are none.
    """
    definition = file.definition
    before = {record.name: record for record in list_studies(store)}.get(definition.name)
    if before is not None and before.definition["protocol"] != definition.protocol.name:
        raise StudyError(
            f"the protocol of study {definition.name!r} cannot change: it is {before.definition['protocol']}"
        )
    stored = {item.name: item for item in items_of(store, definition.name)} if before is not None else {}
    for item in file.items:
        old = stored.get(item.name)
        if old is not None and log.canonical(old.content) != log.canonical(dict(item.content)):
            raise StudyError(
                f"item {item.name!r} is in the store with another content; give the changed one another name"
            )
    gold = any(item.purpose == "gold" for item in file.items) or any(i.purpose == "gold" for i in stored.values())
    if definition.gold_every and not gold:
        raise StudyError(f"gold_every is {definition.gold_every}, but there are no gold items")
    new: list[NewItem] = [item for item in file.items if item.name not in stored]
    if before is None:
        now = create_study(store, definition.name, definition.to_json(), actor=actor)
    else:
        now = revise_study(store, definition.name, definition.to_json(), actor=actor)
    if new:
        add_items(store, definition.name, new, actor=actor)
    existing = len(file.items) - len(new)
    not_in_file = sum(item.repeats is None for item in stored.values()) - existing
    revised = before is not None and now.revision != before.revision
    return SyncResult(before is None, revised, now.revision, len(new), existing, not_in_file)
