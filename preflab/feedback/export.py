"""What a study has gathered, as files that come out byte for byte equal each time.

An export is two files: the data, and beside it ``NAME.manifest`` with the query, the event it reaches up to and
that event's hash, the schema, and the sha256 of the data. The same query up to the same event gives the same bytes, for
no time, path or random number is in them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from preflab import __version__
from preflab.data.sources import get_source
from preflab.data.store import log, schema
from preflab.data.store.judgements import Judgement
from preflab.data.store.open import NEWEST, Store
from preflab.data.store.studies import definition_of, find_study
from preflab.data.write import to_json_lines
from preflab.errors import ConfigError, NotThere, StoreError
from preflab.feedback.judged_comparisons import comparisons_of, counted_judgements, late_judgements

RAW = "judgements"
"""The format that holds everything: a line for each judgement that counts or came late; ``place.status`` says which."""
LATE = "came after its lease had ended"
FORMATS: tuple[str, ...] = (RAW, "preflab_jsonl", "hh", "trl", "ultrafeedback")


@dataclass(frozen=True, slots=True)
class Export:
    """Data and manifest, not yet written."""

    name: str
    text: str
    manifest: dict[str, Any]

    def write(self, folder: str | Path) -> Path:
        """Both files; each appears whole or not at all."""
        into = Path(folder)
        manifest = json.dumps(self.manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        try:
            into.mkdir(parents=True, exist_ok=True)
            for name, text in ((self.name, self.text), (f"{self.name}.manifest", manifest)):
                unfinished = into / f".{name}.unfinished"
                unfinished.write_text(text, "utf-8")
                unfinished.replace(into / name)
        except (NotADirectoryError, FileExistsError, FileNotFoundError) as error:
            raise StoreError(f"{into}: cannot be written to: {error.strerror}") from error
        return into / self.name


def export(
    store: Store, study: str, format: str = "preflab_jsonl", *, weakest: float = 0.0, up_to: int | None = None
) -> Export:
    """Everything that counts, in one format.

    Args:
        format   ``judgements`` (all there is), ``preflab_jsonl`` (comparisons with ties and strengths), or ``hh``,
                 ``trl``, ``ultrafeedback`` (decided pairs; what they cannot hold is counted in the manifest).
        weakest  leave out comparisons of at most this strength.
        up_to    an event's number; None for now.

    Raises:
        ConfigError: the format is not known.
        NotThere: no such study, or no such event.
    """
    if format not in FORMATS:
        raise ConfigError(f"unknown format {format!r}; known are {', '.join(FORMATS)}")
    study_record = find_study(store, study)
    with store.reading() as connection:
        last = log.head(connection)[0]
        horizon = last if up_to is None else up_to
        mark = connection.scalar(sa.select(schema.event.c.hash).where(schema.event.c.seq == horizon))
    if mark is None:
        raise NotThere(f"there is no event {horizon}; the last one is {last}")
    judged = counted_judgements(store, study, up_to=horizon)
    late = late_judgements(store, study, up_to=horizon)
    left_out: dict[str, int] = {}
    if format == RAW:
        shown = sorted([*judged, *late], key=lambda judgement: judgement.seq)
        lines = [_raw(judgement) for judgement in shown if judgement.payload is not None]
        left_out = {"erased at the annotator's wish": n} if (n := len(shown) - len(lines)) else {}
        text, records = "".join(f"{line}\n" for line in lines), len(lines)
    else:
        learned = comparisons_of(store, study, weakest=weakest, up_to=horizon)
        text, records, more = to_json_lines(learned.comparisons, get_source(format))
        left_out = {**learned.left_out, **more} | ({LATE: len(late)} if late else {})
    revisions = sorted({j.payload["revision"] for j in judged if j.payload is not None})
    manifest = {
        "query": {"study": study, "format": format, "weakest": weakest},
        "horizon": {"event": horizon, "hash": mark},
        "schema": NEWEST,
        "preflab": __version__,
        "protocol": study_record.definition["protocol"],
        "definitions": {str(r): log.sha256(log.canonical(definition_of(store, study, r))) for r in revisions},
        "judgements": len(judged),
        "annotators": len({judgement.person for judgement in judged}),
        "records": records,
        "left_out": dict(sorted(left_out.items())),
        "file": f"{study}.{format}.jsonl",
        "sha256": log.sha256(text),
    }
    return Export(f"{study}.{format}.jsonl", text, manifest)


def _raw(judgement: Judgement) -> str:
    """A judgement with all that was recorded. ``place.status`` is what it was at first, counted or late."""
    record = {
        "seq": judgement.seq,
        "at": judgement.at,
        "study": judgement.study,
        "item": judgement.item_name,
        "part": judgement.part,
        "annotator": judgement.person,
        **(judgement.payload or {}),
    }
    return json.dumps(record, sort_keys=True, ensure_ascii=True)
