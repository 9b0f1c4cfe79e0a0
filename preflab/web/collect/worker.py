"""The reply worker: threads that take open replies from a store, have policies write them, and hand them in.

A reply is held under a lease that is renewed while its policy works, so that a worker that dies is followed by another
and none is answered twice. A policy that fails is tried again after a pause. One that fails several times in a row is
unhealthy: its replies fail at once, with a button to ask again, until it is tried once more. Nothing a policy does ends
a thread. Local policies share one thread, for two at once would only wait for each other; servers have several.
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
    """Threads, leases, retries and time limits of the reply worker."""

    threads: int = 4
    """Replies of remote policies under way at once; local policies have one more thread. 0: nobody answers here."""
    lease_ms: int = 30_000
    """A reply whose worker is silent for so long is taken over by another."""
    partial_write_seconds: float = 0.3
    """How often a growing reply is written down."""
    poll_seconds: float = 0.2
    """How often an idle thread looks for work."""
    refresh_seconds: float = 2.0
    """How soon a revised study is noticed."""
    max_attempts: int = 3
    """Attempts at one reply before the annotator has to ask again."""
    retry_seconds: float = 1.0
    """Before the second attempt; four times as long before each further one."""
    unhealthy_after: int = 3
    """Failures in a row after which a policy counts as unhealthy."""
    max_retry_seconds: float = 60.0
    """An unhealthy policy is tried again after 2, 4, 8 ... seconds, and at least this often."""
    reopen_seconds: float = 60.0
    """A policy that cannot be opened is tried again after so long: looking for one on a hub may take a minute."""
    reply_timeout_seconds: float = 300.0
    """A reply that takes longer has failed."""
    max_open_policies: int = 4
    """Policies kept in memory; the one unused for longest makes room."""


@dataclass(slots=True)
class Health:
    """Replies and failures of one policy."""

    answered: int = 0
    failures: int = 0
    """In a row."""
    error: str = ""
    """What went wrong last, for the owner."""
    retry_at: float = 0.0
    """While unhealthy: when it is tried again, by the monotonic clock."""

    def is_healthy(self, unhealthy_after: int) -> bool:
        """Whether it failed less often in a row than this."""
        return self.failures < unhealthy_after


class _ReplyAborted(Exception):
    """Raised inside a policy's reply to abort it."""


@dataclass(slots=True)
class _ActiveReply:
    """A reply under way."""

    job: Job
    worker: str
    started_at: float
    text: str = ""
    written: str = ""
    renewed_at: float = 0.0
    abort_reason: str = ""
    """Why it is to end early: ``stopping``, ``taken over`` or ``too long``."""

    def update(self, text: str) -> None:
        """Called by the policy with all of the text so far."""
        if self.abort_reason:
            raise _ReplyAborted
        self.text = text


@dataclass(slots=True)
class _Cache:
    """Policies in memory, the one used last at the end."""

    open: OrderedDict[tuple[str, int], ChatBackend] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class _StudyPolicies(NamedTuple):
    revision: int
    specs: dict[str, PolicySpec]


@dataclass(slots=True)
class _PolicyRegistry:
    """The policies of each study, in all its revisions: a conversation that began with a policy goes on with it."""

    store: Store
    refresh_seconds: float
    _studies: dict[str, _StudyPolicies] = field(default_factory=dict)
    _refreshed_at: float = -1e9
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def specs(self) -> dict[Key, PolicySpec]:
        """All policies, read anew when the last look is long enough ago."""
        with self._lock:
            if time.monotonic() - self._refreshed_at >= self.refresh_seconds:
                self._refresh()
                self._refreshed_at = time.monotonic()
            return {
                (study, name): spec
                for study, policies in self._studies.items()
                for name, spec in policies.specs.items()
            }

    def _refresh(self) -> None:
        for study in list_studies(self.store):
            before = self._studies.get(study.name, _StudyPolicies(0, {}))
            specs = dict(before.specs)
            for revision in range(before.revision + 1, study.revision + 1):
                try:
                    definition = StudyDefinition.from_mapping(definition_of(self.store, study.name, revision))
                except StudyError as error:
                    log.error("study %s, revision %d cannot be read: %s", study.name, revision, error)
                    continue
                specs |= {policy.name: policy for policy in definition.policies}
            self._studies[study.name] = _StudyPolicies(study.revision, specs)


class ReplyWorker:
    """Threads that answer for all studies of a store, from ``start`` to ``stop``; also a context manager.

    Args:
        threads      in place of the one in ``config``.
        open_policy  opens the policy that a specification names.
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
        self._policies = _PolicyRegistry(store, self.config.refresh_seconds)
        self._health: dict[Key, Health] = {}
        self._open = {remote: _Cache() for remote in (False, True)}  # a model that loads for long holds up no server
        self._active: dict[str, _ActiveReply] = {}
        self._stopping, self._stopped = threading.Event(), threading.Event()
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
        process = f"{os.getpid()}-{secrets.token_hex(4)}"
        kinds = [("local", False), *((f"server{n}", True) for n in range(self.config.threads))]
        for name, remote in kinds:
            arguments = (f"{process}-{name}", remote)
            thread = threading.Thread(target=self._work, args=arguments, daemon=True, name=f"reply-{name}")
            self._threads.append(thread)
        self._threads.append(threading.Thread(target=self._watch, daemon=True, name="reply-watch"))
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 10.0) -> bool:
        """Abort what is under way and put it back in the queue; False when a policy did not end in time."""
        self._stopping.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads[:-1]:  # the last one watches over them until they are done
            thread.join(max(0.0, deadline - time.monotonic()))
        self._stopped.set()
        for thread in self._threads[-1:]:
            thread.join(max(1.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def health(self) -> Mapping[Key, Health]:
        """Health of each policy that was ever asked for a reply."""
        return dict(self._health)

    # answering -------------------------------------------------------------------------------------------

    def _work(self, worker: str, remote: bool) -> None:
        """One thread: take a reply, answer it, take the next."""
        while not self._stopping.is_set():
            try:
                specs = {key: spec for key, spec in self._policies.specs().items() if bool(spec.url) == remote}
                job = self._take(worker, specs)
                if job is None:
                    self._stopping.wait(self.config.poll_seconds)
                else:
                    self._answer(job, worker, specs[job.study, job.policy])
            except Exception:  # the database is away, or a fault of ours: the lease runs out and the reply comes again
                log.exception("the worker %s goes on after an error", worker)
                self._stopping.wait(1.0)

    def _take(self, worker: str, specs: Mapping[Key, PolicySpec]) -> Job | None:
        if not specs:
            return None
        return conversation.take_job(self.store, worker, policies=list(specs), lease_ms=self.config.lease_ms)

    def _answer(self, job: Job, worker: str, spec: PolicySpec) -> None:
        health = self._health.setdefault((job.study, job.policy), Health())
        if not health.is_healthy(self.config.unhealthy_after) and time.monotonic() < health.retry_at:
            self._fail(job, worker, f"the policy is unwell; it failed {health.failures} times in a row: {health.error}")
            return
        if job.tries > self.config.max_attempts + 2:  # it was begun again and again, and its worker died each time
            self._fail(job, worker, f"given up after {job.tries - 1} attempts that ended without a word")
            return
        now = time.monotonic()
        active = self._active[worker] = _ActiveReply(job, worker, now, renewed_at=now)
        try:
            backend = self._backend(spec)
        except Exception as error:  # no such model or run: it will not be there in a second either
            del self._active[worker]
            health.failures = max(health.failures, self.config.unhealthy_after - 1)
            self._record_failure(job, worker, health, f"{error}" if isinstance(error, PreflabError) else f"{error!r}")
            health.retry_at = time.monotonic() + self.config.reopen_seconds
            return
        try:
            reply = backend.reply(job.dialogue, seed=job.seed, on_text=active.update)
        except _ReplyAborted:
            self._put_back(active, health)
        except DataError as error:  # of this conversation, not of the policy
            self._fail(job, worker, str(error))
        except Exception as error:
            if not isinstance(error, PreflabError):
                log.exception("policy %s of study %s", job.policy, job.study)
            self._record_failure(job, worker, health, f"{error}" if isinstance(error, PreflabError) else f"{error!r}")
        else:
            del self._active[worker]  # first: a partial text must not overwrite the full one
            if conversation.finish_reply(self.store, job.reply, worker, reply.text, reply.details):
                health.answered, health.failures, health.error = health.answered + 1, 0, ""
        finally:
            self._active.pop(worker, None)

    def _backend(self, spec: PolicySpec) -> ChatBackend:
        """The policy, opened once for as long as its weights are the same."""
        key, cache = (spec_digest(spec), weights_version(spec)), self._open[bool(spec.url)]
        with cache.lock:
            backend = cache.open.pop(key, None) or self._open_policy(spec)
            cache.open[key] = backend
            while len(cache.open) > self.config.max_open_policies:
                cache.open.popitem(last=False)
            return backend

    def _put_back(self, active: _ActiveReply, health: Health) -> None:
        """What becomes of a reply that was aborted."""
        job = active.job
        if active.abort_reason == "stopping":
            conversation.fail_reply(
                self.store, job.reply, active.worker, "the server was stopped meanwhile", again_after_ms=0
            )
        elif active.abort_reason == "too long":
            timeout = self.config.reply_timeout_seconds
            self._record_failure(job, active.worker, health, f"no whole reply within {timeout:g} s")

    def _record_failure(self, job: Job, worker: str, health: Health, error: str) -> None:
        """The policy gave no reply: again after a pause, or no more until the annotator asks."""
        config = self.config
        health.failures, health.error = health.failures + 1, error
        log.warning("policy %s of study %s, attempt %d: %s", job.policy, job.study, job.tries, error)
        if not health.is_healthy(config.unhealthy_after):
            pause = min(config.max_retry_seconds, 2.0 ** (health.failures - config.unhealthy_after + 1))
            health.retry_at = time.monotonic() + pause
        retry = job.tries < config.max_attempts and health.is_healthy(config.unhealthy_after)
        pause_ms = round(1000 * config.retry_seconds * 4 ** (job.tries - 1))
        conversation.fail_reply(self.store, job.reply, worker, error, again_after_ms=pause_ms if retry else None)

    def _fail(self, job: Job, worker: str, error: str) -> None:
        conversation.fail_reply(self.store, job.reply, worker, error, again_after_ms=None)

    # watching --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """One thread: store the text of replies so far, and renew their leases."""
        while not self._stopped.wait(self.config.partial_write_seconds):
            for active in list(self._active.values()):
                try:
                    self._store_partial(active)
                except Exception:
                    log.exception("the reply %d could not be written", active.job.reply)

    def _store_partial(self, active: _ActiveReply) -> None:
        now, text = time.monotonic(), active.text
        if active.abort_reason:
            return
        if self._stopping.is_set():
            active.abort_reason = "stopping"
        elif now - active.started_at > self.config.reply_timeout_seconds:
            active.abort_reason = "too long"
        elif text != active.written or now - active.renewed_at > self.config.lease_ms / 3000:
            reply, worker, lease_ms = active.job.reply, active.worker, self.config.lease_ms
            if text != active.written:
                held = conversation.write_partial(self.store, reply, worker, text, lease_ms=lease_ms)
            else:
                held = conversation.hold_reply(self.store, reply, worker, lease_ms=lease_ms)
            active.written, active.renewed_at = text, now
            if not held and self._active.get(active.worker) is active:
                active.abort_reason = "taken over"
