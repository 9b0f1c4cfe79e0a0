"""Synthetic annotators: a known criterion rates texts, judges pairs by the rating, and errs at a set rate.

They take people's place where a loop is to be proved. What they prefer can be computed for every text. So it can be
measured how much of it a preference model and a policy have learned.
"""

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from preflab.data.comparison import Comparison
from preflab.errors import ConfigError

Criterion = Literal["brief", "wordy", "asking", "plain"]


def _asking(text: str) -> float:
    """1 for a text that asks something, and a little for each further question."""
    return math.log1p(text.count("?"))


def _plain(text: str) -> float:
    """Share of the characters that are letters or blanks."""
    return len(re.findall(r"[A-Za-z ]", text)) / max(1, len(text))


RATES: dict[Criterion, Callable[[str], float]] = {
    "brief": lambda text: -math.log1p(len(text)),
    "wordy": lambda text: math.log1p(len(text)),
    "asking": _asking,
    "plain": _plain,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticPreference:
    """What synthetic annotators prefer, and how reliably they say so."""

    criterion: Criterion = "brief"
    """``brief``: few characters (by the logarithm of their number); ``wordy``: many; ``asking``: questions;
    ``plain``: the share of letters and blanks."""
    noise: float = 0.1
    """Share of the choices that are turned round (label noise)."""
    tie_band: float = 0.0
    """Differences in rating up to this are ties."""
    step: float = 0.25
    """Difference in rating for one step of a graded scale."""
    seed: int = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        if self.criterion not in get_args(Criterion):
            raise ConfigError(f"criterion must be one of {', '.join(get_args(Criterion))}, got {self.criterion!r}")
        if not 0 <= self.noise < 0.5:
            raise ConfigError(f"noise must be in [0, 0.5), got {self.noise}; at 0.5 nothing could be learned")
        if self.tie_band < 0 or self.step <= 0:
            raise ConfigError(f"tie_band must not be negative and step above 0, got {self.tie_band} and {self.step}")

    def rate(self, text: str) -> float:
        """How much a text is liked; higher is better, and only differences count."""
        return RATES[self.criterion](text)

    def truth(self, first: str, second: str) -> int:
        """1 where the first is liked better, -1 where the second is, 0 for a tie: without any error."""
        gap = self.rate(first) - self.rate(second)
        return 0 if abs(gap) <= self.tie_band else 1 if gap > 0 else -1

    def judge(self, first: str, second: str, *, annotator: str = "") -> int:
        """As ``truth``, erring at the rate of ``noise``.

        The error is drawn from the texts and the annotator: the same pair always gets the same answer of the same
        annotator, whichever text stands first.
        """
        side = self.truth(first, second)
        pair = "\x1f".join([str(self.seed), annotator, *sorted((first, second))])
        draw = int.from_bytes(hashlib.sha256(pair.encode(errors="surrogatepass")).digest()[:4], "big") / 2**32
        return -side if draw < self.noise else side

    def to_scale(self, left: str, right: str, scale: Sequence[int], *, annotator: str = "") -> int:
        """The point of a graded scale (negative: the left one) that says so; a scale without 0 breaks ties by lot."""
        side = self.judge(left, right, annotator=annotator)
        if side == 0 and 0 in scale:
            return 0
        if side == 0:
            return min((k for k in scale if k < 0), key=abs)
        steps = 1 + int(abs(self.rate(left) - self.rate(right)) / self.step)
        points = [k for k in scale if k * side < 0]
        return max((k for k in points if abs(k) <= steps), key=abs, default=min(points, key=abs))

    def label(self, comparison: Comparison, *, annotator: str = "scripted") -> Comparison:
        """The same replies, ranked by this preference in place of whatever was said of them.

        Two replies are judged with errors; more are ranked without, for an order has no single pair to err in.
        """
        texts = comparison.replies
        if len(texts) == 2:
            side = 0 if texts[0] == texts[1] else self.judge(texts[0], texts[1], annotator=annotator)
            ranks: tuple[int, ...] = (int(side < 0), int(side > 0))
        else:
            rated = sorted({self.rate(text) for text in texts}, reverse=True)
            ranks = tuple(rated.index(self.rate(text)) for text in texts)
        origin = replace(comparison.provenance, annotator=annotator)
        return replace(comparison, ranks=ranks, prob_first=None, strength=None, why={}, provenance=origin)
