"""What a run read from outside: kept in its record when it is first read, and refused once it has changed.

Stages that are finished are read back, not done again. Data or weights that changed under a run would otherwise leave
results of two kinds in one folder, and a record that fits only half of them.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from preflab import distributed
from preflab.data.load import STARTER
from preflab.data.sources.files import digest_of, holds_records
from preflab.data.text_corpus import TEXT_SUFFIXES
from preflab.errors import RunError
from preflab.run import Run

INPUTS = "inputs"
"""Section of ``record.json``: name of an input -> where it came from, its digest and those of its files."""
BUILT_IN = ("smollm2", "tiny")
"""Names of models that no folder is looked for."""
MODEL_SUFFIXES = (".safetensors", ".bin", ".json", ".jinja", ".model", ".txt", ".gguf")
"""Endings of files that a model's folder is read from."""


def guard_input(
    run: Run, name: str, *, source: str, digest: str, files: Iterable[Path] = (), before: str | None = None
) -> None:
    """Keep an input as it was when the run began; refuse another one under the same name.

    Args:
        name    as a reader would call it: ``comparisons``, ``weights``, ``suite bbq``.
        source  where it came from, for the record.
        digest  of what was read: of files, of weights as loaded, of a text.
        files   those on this machine; `check_inputs` looks at them before a run goes on.
        before  the digest as versions of preflab without such a section recorded it.

    Raises:
        RunError: the run began with another one.
    """
    _guard(run, name, digest, before, {"source": _nameless(source), "digest": digest}, files)


def guard_data(
    run: Run, name: str, *, source: str, digest: str, split: str | None = None, before: str | None = None
) -> None:
    """`guard_input` for a file or folder of records or text; a file that is added to the folder is a change too.

    Raises:
        RunError: the run began with other data.
    """
    entry = {"source": _nameless(source), "digest": digest, "split": split or ""}
    _guard(run, name, digest, before, entry, record_files(source, split))


def _guard(run: Run, name: str, digest: str, before: str | None, entry: dict[str, Any], files: Iterable[Path]) -> None:
    """Compare with what the record holds; where it holds nothing, record."""
    recorded_digest = run.recorded(INPUTS).get(name, {}).get("digest", before)
    if recorded_digest not in (None, digest):
        raise _changed(run, name, str(entry["source"]), recorded_digest, digest)
    if name not in run.recorded(INPUTS):
        run.record(INPUTS, **{name: {**entry, "files": _digests(files)}})


def check_inputs(run: Run) -> None:
    """Refuse to go on with a run when a file that it read has changed since, also if all its stages are finished.

    A file that is gone is passed over, unless the folder that it was read from is still there.

    Raises:
        RunError: names the file, the digest that the run began with, and that of now.
    """
    with distributed.rank_zero_first() as is_writer:
        if is_writer:
            for name, entry in run.recorded(INPUTS).items():
                _check_files(run, name, entry)


def _check_files(run: Run, name: str, entry: Mapping[str, Any]) -> None:
    """Compare the files of one input with the digests recorded for them."""
    folder, digests = Path(str(entry["source"])).expanduser(), dict(entry["files"])
    if "split" in entry and folder.is_dir():
        listed = (_nameless(str(path)) for path in record_files(folder, entry["split"] or None))
        digests = dict.fromkeys(listed, "not there") | digests
    for recorded_path, recorded_digest in digests.items():
        path = Path(recorded_path).expanduser()
        digest = digest_of([path]) if path.is_file() else "gone"
        if digest != recorded_digest and (digest != "gone" or folder.is_dir()):
            raise _changed(run, name, recorded_path, recorded_digest, digest)


def _changed(run: Run, name: str, location: str, recorded_digest: str, digest: str) -> RunError:
    return RunError(
        f"{run.folder}: its {name} changed since it began: {location} was {_short(recorded_digest)}, and is "
        f"{_short(digest)} now. What was done before would not belong to it. Put the earlier one back, give this run "
        "another name (--name), or --fresh to begin it anew."
    )


def _short(digest: str) -> str:
    """Enough of a digest to tell two apart and to find it in the record."""
    kind, colon, value = digest.rpartition(":")
    return f"{kind}{colon}{value[:12]}..." if len(value) > 12 else digest


def _digests(files: Iterable[Path]) -> dict[str, str]:
    """Digest of each file; those that are not there are passed over."""
    return {_nameless(str(path)): digest_of([path]) for path in files if path.is_file()}


def _nameless(path: str) -> str:
    """A path without the home folder, as a record names no person."""
    return path.replace(str(Path.home()), "~")


def text_digest(text: str) -> str:
    """``sha256:`` and the sum of a text."""
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def record_files(source: str | Path, split: str | None = None) -> list[Path]:
    """Files of records or text that a name is read from: the file, or those of the folder; none of a hub set."""
    path = Path(source).expanduser()
    if path.is_file():
        return [path]
    if str(source) == STARTER or not path.is_dir():
        return []
    if arrows := sorted(path.rglob("*.arrow")):
        return arrows
    files = (file for file in path.iterdir() if holds_records(file) or file.name.endswith(TEXT_SUFFIXES))
    return sorted(file for file in files if split is None or re.split(r"[.-]", file.name)[0] == split)


def model_files(name: str) -> list[Path]:
    """Files that a model on this machine is read from: weights, config, tokenizer, template.

    None of a hub id or of a model that comes with the package: they do not change under their name.
    """
    path = Path(name).expanduser()
    if name in BUILT_IN:
        return []
    if path.is_file():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix in MODEL_SUFFIXES) if path.is_dir() else []
