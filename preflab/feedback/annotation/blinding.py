"""Which side each reply is shown on: drawn by a keyed hash, so that it can be recomputed and cannot be guessed."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def _keyed_hash(key: bytes, *labels: object) -> bytes:
    """32 random-looking bytes that only the holder of the key can compute."""
    return hmac.new(key, "\x1f".join(map(str, labels)).encode(), hashlib.sha256).digest()


def order_shown(key: bytes, n: int, *labels: object) -> tuple[int, ...]:
    """The order in which ``n`` things are shown: ``order[k]`` is the canonical number of what stands at place k.

    Args:
        key     secret of the store.
        n       how many.
        labels  what the order is drawn for: study, item, person, turn. The same gives the same order.
    """
    return tuple(sorted(range(n), key=lambda k: _keyed_hash(key, "order", *labels, k)))


def draw_among(key: bytes, among: Sequence[T], n: int, *labels: object) -> list[T]:
    """``n`` of ``among``, without repetition as long as there are enough, then round again."""
    permutation = sorted(range(len(among)), key=lambda k: _keyed_hash(key, "among", *labels, k))
    return [among[permutation[k % len(permutation)]] for k in range(n)]
