"""What answers the annotators: threads that take the replies a store wants, write them down as they grow, hand them in.

A reply is held under a lease that is renewed while its policy works, so that a worker that dies is followed by another
and none is answered twice. A policy that fails is tried again after a pause; one that fails several times in a row is
unwell: its replies fail at once, with a button to ask again, until it is tried once more. Nothing a policy does ends a
thread. Local policies share one thread, for two at once would only wait for each other; servers have several.
"""

import logging
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from preflab.data.store import conversation
from preflab.data.store.conversation import Job
from preflab.data.store.open import Store
from preflab.data.store.studies import definition_of, list_studies
from preflab.errors import DataError, PreflabError, StudyError
from preflab.feedback.study import StudyDefinition
from preflab.rollouts.servers.chat_backends import ChatBackend, open_chat_backend, spec_digest, weights_version
from preflab.rollouts.servers.policy_spec import PolicySpec

log = logging.getLogger("preflab.collect")
Key = tuple[str, str]
"""(study, policy)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """How patient the workers are."""

    threads: int = 4
    """Replies of servers under way at once; local policies have one more thread. 0: nobody answers here."""
    lease_ms: int = 30_000
    """A reply whose worker is silent for so long is taken over by another."""
    partial_seconds: float = 0.3
    """How often a growing reply is written down."""
    poll_seconds: float = 0.2
    """How often an idle thread looks for work."""
    refresh_seconds: float = 2.0
    """How soon a revised study is noticed."""
    tries: int = 3
    """Attempts at one reply before the annotator has to ask again."""
    pause_seconds: float = 1.0
    """Before the second attempt; four times as long before each further one."""
    unwell_after: int = 3
    """Failures in a row after which a policy counts as unwell."""
    longest_pause_seconds: float = 60.0
    """An unwell policy is tried again after 2, 4, 8 ... seconds, and at least this often."""
    absent_seconds: float = 60.0
    """A policy that cannot be opened is sought again after so long: seeking one on a hub may take a minute."""
    longest_reply_seconds: float = 300.0
    """A reply that takes longer has failed."""
    open_policies: int = 4
    """Policies kept in memory; the one unused for longest makes room."""


@dataclass(slots=True)
class Health:
    """How a policy has been doing."""

    answered: int = 0
    failures: int = 0
    """In a row."""
    error: str = ""
    """What went wrong last, for the owner."""
    until: float = 0.0
    """While unwell: when it is tried again, by the monotonic clock."""

    def well(self, unwell_after: int) -> bool:
        """Whether it answers, as far as is known."""
        return self.failures < unwell_after


class _GivenUp(Exception):
    """Raised inside a policy's reply to break it off."""


@dataclass(slots=True)
class _Flight:
    """A reply under way."""

    job: Job
    worker: str
    began: float
    text: str = ""
    written: str = ""
    renewed: float = 0.0
    broken_off: str = ""
    """Why it is to end early: ``stopping``, ``taken over`` or ``too long``."""

    def grow(self, text: str) -> None:
        """Called by the policy with all of the text so far."""
        if self.broken_off:
            raise _GivenUp
        self.text = text


@dataclass(slots=True)
class _Cache:
    """Policies in memory, the one used last at the end."""

    open: OrderedDict[tuple[str, int], ChatBackend] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Served(NamedTuple):
    revision: int
    specs: dict[str, PolicySpec]


@dataclass(slots=True)
class _Policies:
    """Who answers in which study, in all its revisions: a conversation that began with a policy goes on with it."""

    store: Store
    seconds: float
    _known: dict[str, _Served] = field(default_factory=dict)
    _read: float = -1e9
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> dict[Key, PolicySpec]:
        """All of them, read anew when the last look is long enough ago."""
        with self._lock:
            if time.monotonic() - self._read >= self.seconds:
                self._refresh()
                self._read = time.monotonic()
            return {(study, name): spec for study, own in self._known.items() for name, spec in own.specs.items()}

    def _refresh(self) -> None:
        for study in list_studies(self.store):
            before = self._known.get(study.name, _Served(0, {}))
            specs = dict(before.specs)
            for revision in range(before.revision + 1, study.revision + 1):
                try:
                    read = StudyDefinition.from_mapping(definition_of(self.store, study.name, revision))
                except StudyError as error:
                    log.error("study %s, revision %d cannot be read: %s", study.name, revision, error)
                    continue
                specs |= {policy.name: policy for policy in read.policies}
            self._known[study.name] = _Served(study.revision, specs)


class ReplyWorker:
    """Threads that answer for all studies of a store, from ``start`` to ``stop``; also a context manager.

    Args:
        threads      in place of the one in ``config``.
        open_policy  makes a policy of its description.
    """

    def __init__(
        self,
        store: Store,
        config: WorkerConfig | None = None,
        *,
        threads: int | None = None,
        open_policy: Callable[[PolicySpec], ChatBackend] = open_chat_backend,
    ) -> None:
        config = config or WorkerConfig()
        self.config = config if threads is None else replace(config, threads=threads)
        self.store, self._open_policy = store, open_policy
        self._policies = _Policies(store, self.config.refresh_seconds)
        self._health: dict[Key, Health] = {}
        self._open = {remote: _Cache() for remote in (False, True)}  # a model that loads for long holds up no server
        self._flights: dict[str, _Flight] = {}
        self._stopping, self._landed = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "ReplyWorker":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to answer."""
        if self.config.threads == 0:
            return
        me = f"{os.getpid()}-{secrets.token_hex(4)}"
        kinds = [("local", False), *((f"server{n}", True) for n in range(self.config.threads))]
        for name, remote in kinds:
            work = threading.Thread(target=self._work, args=(f"{me}-{name}", remote), daemon=True, name=f"reply-{name}")
            self._threads.append(work)
        self._threads.append(threading.Thread(target=self._watch, daemon=True, name="reply-watch"))
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 10.0) -> bool:
        """Break off what is under way and put it back in the queue; False when a policy did not let go in time."""
        self._stopping.set()
        until = time.monotonic() + seconds
        for thread in self._threads[:-1]:  # the last one watches over them until they are done
            thread.join(max(0.0, until - time.monotonic()))
        self._landed.set()
        for thread in self._threads[-1:]:
            thread.join(max(1.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def health(self) -> Mapping[Key, Health]:
        """How each policy that was ever asked has been doing."""
        return dict(self._health)

    # answering -------------------------------------------------------------------------------------------

    def _work(self, worker: str, remote: bool) -> None:
        """One thread: take a reply, answer it, take the next."""
        while not self._stopping.is_set():
            try:
                known = {key: spec for key, spec in self._policies.now().items() if bool(spec.url) == remote}
                job = self._take(worker, known)
                if job is None:
                    self._stopping.wait(self.config.poll_seconds)
                else:
                    self._answer(job, worker, known[job.study, job.policy])
            except Exception:  # the database is away, or a fault of ours: the lease runs out and the reply comes again
                log.exception("the worker %s goes on after an error", worker)
                self._stopping.wait(1.0)

    def _take(self, worker: str, known: Mapping[Key, PolicySpec]) -> Job | None:
        if not known:
            return None
        return conversation.take_job(self.store, worker, policies=list(known), lease_ms=self.config.lease_ms)

    def _answer(self, job: Job, worker: str, spec: PolicySpec) -> None:
        health = self._health.setdefault((job.study, job.policy), Health())
        if not health.well(self.config.unwell_after) and time.monotonic() < health.until:
            self._fail(job, worker, f"the policy is unwell; it failed {health.failures} times in a row: {health.error}")
            return
        if job.tries > self.config.tries + 2:  # it was begun again and again, and its worker died each time
            self._fail(job, worker, f"given up after {job.tries - 1} attempts that ended without a word")
            return
        now = time.monotonic()
        flight = self._flights[worker] = _Flight(job, worker, now, renewed=now)
        try:
            replier = self._replier(spec)
        except Exception as error:  # no such model or run: it will not be there in a second either
            del self._flights[worker]
            health.failures = max(health.failures, self.config.unwell_after - 1)
            self._failed(job, worker, health, f"{error}" if isinstance(error, PreflabError) else f"{error!r}")
            health.until = time.monotonic() + self.config.absent_seconds
            return
        try:
            found = replier.reply(job.dialogue, seed=job.seed, on_text=flight.grow)
        except _GivenUp:
            self._broken_off(flight, health)
        except DataError as error:  # of this conversation, not of the policy
            self._fail(job, worker, str(error))
        except Exception as error:
            if not isinstance(error, PreflabError):
                log.exception("policy %s of study %s", job.policy, job.study)
            self._failed(job, worker, health, f"{error}" if isinstance(error, PreflabError) else f"{error!r}")
        else:
            del self._flights[worker]  # first: what is whole must not be overwritten by what was partial
            if conversation.finish_reply(self.store, job.reply, worker, found.text, found.details):
                health.answered, health.failures, health.error = health.answered + 1, 0, ""
        finally:
            self._flights.pop(worker, None)

    def _replier(self, spec: PolicySpec) -> ChatBackend:
        """The policy, opened once for as long as its weights are the same."""
        key, cache = (spec_digest(spec), weights_version(spec)), self._open[bool(spec.url)]
        with cache.lock:
            found = cache.open.pop(key, None) or self._open_policy(spec)
            cache.open[key] = found
            while len(cache.open) > self.config.open_policies:
                cache.open.popitem(last=False)
            return found

    def _broken_off(self, flight: _Flight, health: Health) -> None:
        job = flight.job
        if flight.broken_off == "stopping":
            conversation.fail_reply(
                self.store, job.reply, flight.worker, "the server was stopped meanwhile", again_after_ms=0
            )
        elif flight.broken_off == "too long":
            longest = self.config.longest_reply_seconds
            self._failed(job, flight.worker, health, f"no whole reply within {longest:g} s")

    def _failed(self, job: Job, worker: str, health: Health, error: str) -> None:
        """The policy gave no reply: again after a pause, or no more until the annotator asks."""
        config = self.config
        health.failures, health.error = health.failures + 1, error
        log.warning("policy %s of study %s, attempt %d: %s", job.policy, job.study, job.tries, error)
        if not health.well(config.unwell_after):
            pause = min(config.longest_pause_seconds, 2.0 ** (health.failures - config.unwell_after + 1))
            health.until = time.monotonic() + pause
        again = job.tries < config.tries and health.well(config.unwell_after)
        pause_ms = round(1000 * config.pause_seconds * 4 ** (job.tries - 1))
        conversation.fail_reply(self.store, job.reply, worker, error, again_after_ms=pause_ms if again else None)

    def _fail(self, job: Job, worker: str, error: str) -> None:
        conversation.fail_reply(self.store, job.reply, worker, error, again_after_ms=None)

    # watching --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """One thread: write down how far the replies are, and hold them."""
        while not self._landed.wait(self.config.partial_seconds):
            for flight in list(self._flights.values()):
                try:
                    self._look(flight)
                except Exception:
                    log.exception("the reply %d could not be written", flight.job.reply)

    def _look(self, flight: _Flight) -> None:
        now, text = time.monotonic(), flight.text
        if flight.broken_off:
            return
        if self._stopping.is_set():
            flight.broken_off = "stopping"
        elif now - flight.began > self.config.longest_reply_seconds:
            flight.broken_off = "too long"
        elif text != flight.written or now - flight.renewed > self.config.lease_ms / 3000:
            place, lease = (self.store, flight.job.reply, flight.worker), self.config.lease_ms
            if text != flight.written:
                held = conversation.write_partial(*place, text, lease_ms=lease)
            else:
                held = conversation.hold_reply(*place, lease_ms=lease)
            flight.written, flight.renewed = text, now
            if not held and self._flights.get(flight.worker) is flight:
                flight.broken_off = "taken over"
