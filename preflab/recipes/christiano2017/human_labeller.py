"""People who compare clips for a run that goes on meanwhile.

The run puts films on the site's shelf and pairs into its study; people judge whenever they like; the run reads what was
judged, each answer once. Run and site are processes of their own that share a store and may be killed at any time: a
pair is in the study only when its clips and films are whole on the disk, a pair asked again changes nothing, and what
was handed over is in the run's journal (`mark`), so that an answer is neither lost nor counted twice.

Paper     Christiano et al. 2017, sec. 2.2.2 and appendix B.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

from preflab.atomic_files import write_atomically
from preflab.control.archive import ClipArchive
from preflab.control.clips import Clip, pair_key
from preflab.control.rendering.clip_video import Kind, Render, clip_video
from preflab.control.rewards.labels import Label, Response
from preflab.data.store.open import Store
from preflab.data.store.studies import Item, NewItem, add_items, find_study, items_of, list_studies
from preflab.errors import ConfigError, DataError
from preflab.feedback.judged_comparisons import counted_judgements
from preflab.feedback.protocols.clips import RESPONSES, Clips
from preflab.feedback.study import StudyDefinition, StudyFile, item_of
from preflab.feedback.sync_study import sync_study
from preflab.feedback.video_store import VideoStore

assert get_args(Response) == RESPONSES

LEASE_MINUTES = 10.0
"""How long a pair is reserved for whoever it is shown to; somebody who leaves holds up one pair for so long."""


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """How clips become films."""

    painter: Render
    fps: float
    kind: Kind = "webp"


def open_study(store: Store, name: str, *, title: str, instructions: str, slots: int = 1) -> None:
    """Make the study of a run, or leave the one of that name as it is.

    Raises:
        ConfigError: there is one of that name with another protocol.
    """
    known = {found.name: found for found in list_studies(store)}.get(name)
    if known is not None:
        if known.definition["protocol"] != Clips.name:
            raise ConfigError(f"study {name!r} has the protocol {known.definition['protocol']}; clips need 'clips'")
        return
    definition = StudyDefinition(
        name=name,
        protocol=Clips(),
        title=title,
        instructions=instructions,
        slots=slots,
        lease_minutes=LEASE_MINUTES,
    )
    sync_study(store, StudyFile(definition, ()))


def identity_of(folder: Path) -> str:
    """What tells a run's clips from those of any other; made when it is first asked for, gone with the folder."""
    path = folder / "identity"
    if not path.exists():
        write_atomically(path, uuid4().hex.encode())
    return path.read_text(encoding="utf-8")


class People:
    """A labeller that answers later.

    Args:
        run      identity of the run, see `identity_of`.
        store    shared with the site.
        study    of this run alone, of the protocol ``clips``: clips are known by their numbers.
        films    where the site looks for films.
        archive  where clips are kept that people were asked about.
        filming  how they are drawn.

    Raises:
        NotThere: no such study.
        ConfigError: it has another protocol, or holds clips of another run.
    """

    def __init__(
        self, store: Store, study: str, *, run: str, films: VideoStore, archive: ClipArchive, filming: VideoSettings
    ) -> None:
        definition = StudyDefinition.from_mapping(find_study(store, study).definition)
        if definition.protocol.name != Clips.name:
            raise ConfigError(f"study {study!r} has the protocol {definition.protocol.name}; clips need 'clips'")
        self.store, self.study, self.definition, self.run = store, study, definition, run
        self.films, self.archive, self.filming = films, archive, filming
        self._handed: set[tuple[int, int, str]] = set()
        self.left_out: Counter[str] = Counter()
        """Reason -> judgements that were not handed over, as of the last `answers`."""
        self._items()

    def ask(self, pairs: Sequence[tuple[Clip, Clip]], step: int) -> int:
        """Put up pairs; those that are up already change nothing, whichever side their clips are on.

        Args:
            pairs  left and right; a clip may be in several.
            step   environment steps of the run now.

        Returns:
            how many are new.

        Raises:
            DataError: the two clips of a pair are of unequal length; the pair is named.
            ConfigError: another run has put up pairs in the study.
        """
        for left, right in pairs:
            if len(left) != len(right):
                raise DataError(
                    f"clips {left.id} and {right.id} have {len(left)} and {len(right)} steps; expected equal ones"
                )
        up = {item.name for item in self._items()}
        new: dict[str, NewItem] = {}
        shown: dict[int, str] = {}
        for left, right in pairs:
            name = _name(left, right)
            if name in up or name in new:
                continue
            for clip in (left, right):
                if clip.id not in shown:
                    self.archive.save(clip)
                    shown[clip.id] = self.films.put(
                        clip_video(clip, self.filming.painter, self.filming.fps, kind=self.filming.kind)
                    )
            new[name] = self._item(left, right, shown, step)
        if new:  # all or none; only now, for what is up may be judged at once
            add_items(self.store, self.study, new.values(), actor="run")
        return len(new)

    def _items(self) -> list[Item]:
        """All that is up."""
        found = items_of(self.store, self.study)
        if any("clips" in item.content and item.content.get("run") != self.run for item in found):
            raise ConfigError(
                f"study {self.study!r} holds clips of another run, and clips are known by their numbers: give this run "
                "a study of its own, --set study=NAME"
            )
        return found

    def _item(self, left: Clip, right: Clip, shown: Mapping[int, str], step: int) -> NewItem:
        record = {
            "name": _name(left, right),
            "films": [shown[left.id], shown[right.id]],
            "clips": [left.id, right.id],
            "step": step,
            "run": self.run,
        }
        return item_of(self.definition, record, "main", f"clips {left.id} and {right.id}")

    def answers(self) -> list[Label]:
        """What was judged and not handed over yet, in the order it came. Never waits.

        An answer that was taken back before it was handed over is none; one that was handed over stays, whatever
        becomes of it in the store.
        """
        found: list[Label] = []
        self.left_out = Counter()
        for judgement in counted_judgements(self.store, self.study):
            says = judgement.payload
            if says is None:
                self.left_out["erased at the annotator's wish"] += 1
            elif says["purpose"] != "main" or says["repeats"] is not None:
                self.left_out["a gold item" if says["purpose"] == "gold" else "a repetition"] += 1
            elif "clips" not in says["content"]:
                self.left_out["not of clips of this run"] += 1
            else:
                label = _label(says, judgement.person)
                if _key(label) not in self._handed:
                    self._handed.add(_key(label))
                    found.append(label)
        return found

    def mark(self, labels: Iterable[Label]) -> None:
        """Labels that the run has already: they are not handed over again."""
        self._handed |= {_key(label) for label in labels}


def _name(a: Clip, b: Clip) -> str:
    """An item's name: the pair, whichever side its clips are on."""
    low, high = pair_key(a, b)
    return f"clips {low} and {high}"


def _key(label: Label) -> tuple[int, int, str]:
    return (min(label.left, label.right), max(label.left, label.right), label.labeller)


def _label(says: Mapping[str, Any], person: str) -> Label:
    left, right = says["content"]["clips"]
    return Label(left, right, says["answer"]["response"], person, int(says["content"].get("step", 0)), says["seconds"])
