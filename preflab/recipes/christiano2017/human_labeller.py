"""People who compare clips for a run that goes on meanwhile.

The run puts videos into the site's folder and pairs into its study; people judge whenever they like; the run reads what
was judged, each answer once. Run and site are processes of their own that share a store and may be killed at any
time: a pair is in the study only when its clips and videos are whole on the disk, a pair asked again changes nothing,
and what was delivered is in the run's label log (`mark_delivered`), so that no answer is lost or counted twice.

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
from preflab.control.clips import ClipQuery, pair_key
from preflab.control.environments.env import Renderer
from preflab.control.rendering.clip_video import VideoFormat, clip_video
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
    """How clips become videos, and where the site looks for them."""

    renderer: Renderer
    fps: float
    videos: VideoStore
    kind: VideoFormat = "webp"


def open_study(store: Store, name: str, *, title: str, instructions: str, slots: int = 1) -> None:
    """Make the study of a run, or leave the one of that name as it is.

    Raises:
        ConfigError: there is one of that name with another protocol.
    """
    existing = {study.name: study for study in list_studies(store)}.get(name)
    if existing is not None:
        if existing.definition["protocol"] != Clips.name:
            raise ConfigError(f"study {name!r} has the protocol {existing.definition['protocol']}; clips need 'clips'")
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


class HumanClipLabeller:
    """People as a labeller that answers later.

    Args:
        store     shared with the site.
        study     of this run alone, of the protocol ``clips``: clips are known by their numbers.
        run       identity of the run, see `identity_of`.
        archive   where clips are kept that people were asked about.
        settings  of the videos of clips.

    Raises:
        NotThere: no such study.
        ConfigError: it has another protocol, or holds clips of another run.
    """

    def __init__(self, store: Store, study: str, *, run: str, archive: ClipArchive, settings: VideoSettings) -> None:
        definition = StudyDefinition.from_mapping(find_study(store, study).definition)
        if definition.protocol.name != Clips.name:
            raise ConfigError(f"study {study!r} has the protocol {definition.protocol.name}; clips need 'clips'")
        self.store, self.study, self.definition, self.run = store, study, definition, run
        self.archive, self.settings = archive, settings
        self._delivered: set[tuple[int, int, str]] = set()
        self.left_out: Counter[str] = Counter()
        """Reason -> judgements that were not delivered, as of the last `answers`."""
        self._items()

    def ask(self, pairs: Sequence[ClipQuery]) -> int:
        """Put up pairs; those that are up already change nothing, whichever side their clips are on.

        Args:
            pairs  a clip may be in several.

        Returns:
            how many are new.

        Raises:
            DataError: the two clips of a pair are of unequal length; the pair is named.
            ConfigError: another run has put up pairs in the study.
        """
        for query in pairs:
            left, right = query.left, query.right
            if len(left) != len(right):
                raise DataError(
                    f"clips {left.id} and {right.id} have {len(left)} and {len(right)} steps; expected equal ones"
                )
        existing = {item.name for item in self._items()}
        new: dict[str, NewItem] = {}
        videos: dict[int, str] = {}
        for query in pairs:
            name = _name(query)
            if name in existing or name in new:
                continue
            for clip in (query.left, query.right):
                if clip.id not in videos:
                    self.archive.save(clip)
                    s = self.settings
                    videos[clip.id] = s.videos.put(clip_video(clip, s.renderer, s.fps, kind=s.kind))
            new[name] = self._item(query, videos)
        if new:  # all or none; only now, for what is up may be judged at once
            add_items(self.store, self.study, new.values(), actor="run")
        return len(new)

    def _items(self) -> list[Item]:
        """All that is up."""
        items = items_of(self.store, self.study)
        if any("clips" in item.content and item.content.get("run") != self.run for item in items):
            raise ConfigError(
                f"study {self.study!r} holds clips of another run, and clips are known by their numbers: give this run "
                "a study of its own, --set study=NAME"
            )
        return items

    def _item(self, query: ClipQuery, videos: Mapping[int, str]) -> NewItem:
        left, right = query.left, query.right
        record = {
            "name": _name(query),
            "films": [videos[left.id], videos[right.id]],
            "clips": [left.id, right.id],
            "step": query.step,
            "run": self.run,
        }
        return item_of(self.definition, record, "main", f"clips {left.id} and {right.id}")

    def answers(self) -> list[Label]:
        """What was judged and not delivered yet, in the order it came. Never waits.

        An answer that was taken back before it was delivered is none; one that was delivered stays, whatever
        becomes of it in the store.
        """
        labels: list[Label] = []
        self.left_out = Counter()
        for judgement in counted_judgements(self.store, self.study):
            payload = judgement.payload
            if payload is None:
                self.left_out["erased at the annotator's wish"] += 1
            elif payload["purpose"] != "main" or payload["repeats"] is not None:
                self.left_out["a gold item" if payload["purpose"] == "gold" else "a repetition"] += 1
            elif "clips" not in payload["content"]:
                self.left_out["not of clips of this run"] += 1
            else:
                label = _label(payload, judgement.person)
                if _key(label) not in self._delivered:
                    self._delivered.add(_key(label))
                    labels.append(label)
        return labels

    def mark_delivered(self, labels: Iterable[Label]) -> None:
        """Labels that the run has already: they are not delivered again."""
        self._delivered |= {_key(label) for label in labels}


def _name(query: ClipQuery) -> str:
    """An item's name: the pair, whichever side its clips are on."""
    low, high = pair_key(query.left, query.right)
    return f"clips {low} and {high}"


def _key(label: Label) -> tuple[int, int, str]:
    return (min(label.left, label.right), max(label.left, label.right), label.labeller)


def _label(payload: Mapping[str, Any], person: str) -> Label:
    content = payload["content"]
    left, right = content["clips"]
    response, seconds = payload["answer"]["response"], payload["seconds"]
    return Label(left, right, response, person, int(content.get("step", 0)), seconds)
