"""Rate limits: a token bucket for each session, address or name, in memory only.

By hand, not `limits` or slowapi: it is small, holds a bounded number of keys, and can give a token back.
"""

import threading
import time
from collections.abc import Callable

_MAX_BUCKETS = 20_000


class Limiter:
    """Token buckets: ``rate`` tokens a second come in, at most ``burst`` are held."""

    def __init__(self, *, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self._clock = rate, burst, clock
        self._buckets: dict[str, tuple[float, float]] = {}  # key -> tokens, and when they were counted
        self._lock = threading.Lock()

    def allows(self, key: str, cost: float = 1.0) -> bool:
        """Take tokens from the bucket of ``key``; False when it is empty. ``cost`` 0 only looks whether it is."""
        now = self._clock()
        with self._lock:
            if len(self._buckets) > _MAX_BUCKETS:
                self._evict(now)
            tokens, counted_at = self._buckets.get(key, (self.burst, now))
            tokens = min(self.burst, tokens + (now - counted_at) * self.rate)
            allowed = tokens >= max(cost, 1.0)
            self._buckets[key] = (tokens - cost if allowed else tokens, now)
            return allowed

    def give_back(self, key: str, cost: float = 1.0) -> None:
        """Put back what was taken for something that turned out to be harmless."""
        with self._lock:
            if key in self._buckets:
                tokens, counted_at = self._buckets[key]
                self._buckets[key] = (tokens + cost, counted_at)

    def wait_seconds(self, key: str) -> int:
        """Whole seconds until the next one is allowed."""
        with self._lock:
            tokens, counted_at = self._buckets.get(key, (self.burst, self._clock()))
        missing = 1.0 - min(self.burst, tokens + (self._clock() - counted_at) * self.rate)
        return max(1, round(missing / self.rate + 0.5))

    def _evict(self, now: float) -> None:
        """Drop buckets that are full again: they need no memory."""
        evicted = [
            key
            for key, (tokens, counted_at) in self._buckets.items()
            if tokens + (now - counted_at) * self.rate >= self.burst
        ]
        if len(self._buckets) - len(evicted) > _MAX_BUCKETS // 2:  # a flood: the oldest go, full or not
            oldest_first = sorted(self._buckets, key=lambda key: self._buckets[key][1])
            evicted = oldest_first[: len(self._buckets) - _MAX_BUCKETS // 2]
        for key in evicted:
            del self._buckets[key]
