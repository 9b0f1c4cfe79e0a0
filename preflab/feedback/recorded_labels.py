"""A judge's labels kept in a run: each pair is asked about once, whatever is killed and started again.

A judge may cost money or people's time. Its answers are written beside the results of the run a block at a time, under
a digest of what was asked, and read back by whoever starts the run again; the judge itself is opened only where
something is still to be asked.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence

from preflab import distributed
from preflab.data.comparison import Comparison
from preflab.errors import RunError
from preflab.interfaces import AsyncLabeller, Labeller, Labels, callable_name, labels_of
from preflab.run import Run

LABELS = "labels"
"""Of the run's partial results: ``results/labels.jsonl``."""
BLOCK = 32
"""Pairs asked between two saves: in both orders they are the 64 requests that go to a server at a time."""

OnProgress = Callable[[int, int], None]
"""Hears of pairs that are judged, and of pairs that were asked."""


class RecordedLabeller:
    """A `Labeller` that asks another one, and keeps what it answers in the run.

    One that answers later (`AsyncLabeller`) is asked everything at once, and keeps its answers itself until all are
    there. Several processes ask together, in step.

    Args:
        run            where answers are kept.
        open_labeller  opens the judge; called with what hears of its progress, where something is to be asked.

    Raises:
        RunError: the answers so far are of another judge (when called).
    """

    def __init__(self, run: Run, open_labeller: Callable[[OnProgress], Labeller[Comparison]]) -> None:
        self.run, self._open_labeller = run, open_labeller
        blocks = run.partials(LABELS)
        self.name = next((str(block["judge"]) for block in blocks.values()), "")
        self._n_blocks = len(blocks)
        self._answers: dict[str, float | str] = {}
        for block in blocks.values():
            self._answers |= block["answers"]

    def __call__(self, pairs: Sequence[Comparison]) -> Labels:
        """Labels of the pairs; only those without an answer are asked about."""
        keys = [pair_key(pair) for pair in pairs]
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in self._answers}
        if missing:
            self._ask(missing)
        return Labels.of([self._answers[key] for key in keys])

    def _ask(self, missing: dict[str, Comparison]) -> None:
        n_answered, n_reported = len(self._answers), 0
        with self.run.progress("labels", n_answered + len(missing), "pairs", n_answered) as advance:

            def on_progress(n_judged: int, _: int) -> None:
                nonlocal n_reported
                advance(n_judged - n_reported)
                n_reported = n_judged

            labeller = self._open_labeller(on_progress)
            self._take_name(callable_name(labeller))
            waits = isinstance(labeller, AsyncLabeller)
            keys, size = list(missing), len(missing) if waits else BLOCK
            for block in (keys[start : start + size] for start in range(0, len(keys), size)):
                self._keep(block, labels_of(labeller, [missing[key] for key in block]))
                if not waits:
                    advance(len(block))

    def _take_name(self, name: str) -> None:
        if self.name not in ("", name):
            raise RunError(
                f"the labels so far are of judge {self.name}, which is now {name}: its model, rules or settings have "
                "changed. Bring the former back, or begin the run anew with --fresh."
            )
        self.name = name

    def _keep(self, keys: Sequence[str], labels: Labels) -> None:
        answers = distributed.broadcast(dict(zip(keys, _answers_of(labels), strict=True)))
        self.run.save_partial(LABELS, f"block {self._n_blocks}", {"judge": self.name, "answers": answers})
        self._n_blocks += 1
        self._answers |= answers


def pair_key(pair: Comparison) -> str:
    """A digest of the prompt and the two replies in their order."""
    content = json.dumps([pair.prompt.to_json(), list(pair.replies)], sort_keys=True)
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()[:24]


def _answers_of(labels: Labels) -> Iterator[float | str]:
    """The probability of each pair, or the reason why there is none."""
    for i, prob in enumerate(labels.prob_first.tolist()):
        yield labels.abstained.get(i, prob)
