"""Who is shown on which side: drawn by a keyed hash, so that it can be recomputed and cannot be guessed."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def _draw(key: bytes, *what: object) -> bytes:
    """32 random-looking bytes that only the holder of the key can compute."""
    return hmac.new(key, "\x1f".join(map(str, what)).encode(), hashlib.sha256).digest()


def order_shown(key: bytes, n: int, *what: object) -> tuple[int, ...]:
    """The order in which ``n`` things are shown: ``order[k]`` is the canonical number of what stands at place k.

    Args:
        key   secret of the store.
        n     how many.
        what  what the order is drawn for: study, item, person, turn. The same gives the same order.
    """
    return tuple(sorted(range(n), key=lambda k: _draw(key, "order", *what, k)))


def drawn(key: bytes, among: Sequence[T], n: int, *what: object) -> list[T]:
    """``n`` of ``among``, without repetition as long as there are enough, then round again."""
    turn = sorted(range(len(among)), key=lambda k: _draw(key, "among", *what, k))
    return [among[turn[k % len(turn)]] for k in range(n)]
