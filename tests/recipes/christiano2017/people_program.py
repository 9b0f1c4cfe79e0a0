"""A run that asks people: puts up a pair, takes what was answered, keeps its checkpoint; killed whenever it pleases.

python people_program.py STORE FOLDER PAIRS: ends when every pair was answered; prints a line a step.
"""

import json
import sys
import time
from dataclasses import astuple
from pathlib import Path

import numpy as np

from preflab.atomic_files import write_atomically
from preflab.control.archive import ClipArchive
from preflab.control.clips import Clip, ClipQuery
from preflab.control.rewards.labels import Label
from preflab.data.store.open import open_store
from preflab.feedback.video_store import VideoStore
from preflab.recipes.christiano2017.human_labeller import HumanClipLabeller, VideoSettings


def clip(id: int) -> Clip:
    """Four plain pictures that differ from those of every other clip."""
    states = np.stack([np.full(2, id, np.float32), np.arange(2, dtype=np.float32)] * 2)
    return Clip(id, states, np.zeros((4, 1)), np.full(4, float(id)), states=states, step=10 * id)


def paint(state: np.ndarray) -> np.ndarray:
    """One number as a shade."""
    return np.full((8, 8, 3), int(state[0]) % 256, np.uint8)


def people(store: Path, folder: Path) -> HumanClipLabeller:
    """The labeller of this run."""
    settings = VideoSettings(renderer=paint, fps=10.0, videos=VideoStore(store.parent / "films"))
    archive = ClipArchive(folder / "clips")
    return HumanClipLabeller(open_store(store), "hop", run="own", archive=archive, settings=settings)


def main(store: Path, folder: Path, pairs: int) -> None:
    """Ask one pair at a step; the checkpoint holds step and labels, all or none of them."""
    labeller, checkpoint = people(store, folder), folder / "checkpoint.json"
    step, labels = 0, []
    if checkpoint.exists():
        step, labels = json.loads(checkpoint.read_text())
        labeller.mark_delivered(Label(*label) for label in labels)
    while len(labels) < pairs:
        if step < pairs:
            labeller.ask([ClipQuery(clip(2 * step), clip(2 * step + 1), step)])
            step += 1
        labels += [astuple(label) for label in labeller.answers()]
        write_atomically(checkpoint, json.dumps([step, labels]).encode())
        print(step, len(labels), flush=True)
        time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
