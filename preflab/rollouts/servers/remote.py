"""Sampling on a server: requests that are repeated where that helps, and complaints that say what to do.

``Server`` speaks JSON over HTTP and knows no model. ``chat_endpoint`` speaks OpenAI's chat protocol on it;
``vllm`` builds an engine for training.

The retries are written here. tenacity or a retrying transport would repeat timeouts as well, which gives a slow server
more to do, and would know nothing of sister requests: here the first one that fails for good ends the pauses of all.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from urllib.parse import urljoin, urlsplit

from preflab.checks import check_above, check_at_least, refuse_unread
from preflab.config_overrides import check_types
from preflab.errors import ConfigError, SamplerError

if TYPE_CHECKING:
    import httpx2

Job = TypeVar("Job")
Result = TypeVar("Result")

BUSY: frozenset[int] = frozenset({408, 429, 500, 502, 503, 504, 529})
"""Answers after which the same request may well succeed."""
LONGEST_PAUSE_SECONDS = 30.0
LONGEST_ORDERED_PAUSE_SECONDS = 300.0
"""Of what a server orders by Retry-After; one that orders more is given up, with its own words."""
MOST_REDIRECTS = 3


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """How a server is spoken to."""

    timeout_seconds: float = 600.0
    """Longest wait for one answer. A server that is slower is not asked again: it would only be given more to do."""
    connect_seconds: float = 10.0
    """Longest wait for a connection."""
    retries: int = 6
    """Further attempts after a refused or broken connection and after a busy server (5xx, 408, 429)."""
    backoff_seconds: float = 0.5
    """Pause before the first of them; doubled each time, up to 30 s. Six attempts from 0.5 s wait 31.5 s in all. Where
    a server says how long to wait (Retry-After), that counts, up to 300 s."""
    concurrency: int = 32
    """Requests under way at once."""
    api_key_variable: str = "PREFLAB_API_KEY"
    """Environment variable with the server's key, where it asks for one; a key itself is never a setting."""

    def __post_init__(self) -> None:
        check_types(self)
        check_above(self, 0, "timeout_seconds", "connect_seconds")
        check_at_least(self, 0, "retries", "backoff_seconds")
        check_at_least(self, 1, "concurrency")
        if self.retries == 0:
            refuse_unread(self, "retries=0", "backoff_seconds", neutral=0)


class ServerResponse(NamedTuple):
    """A server's response to one HTTP request."""

    status: int
    body: Any
    """Decoded JSON; the text itself where it is none."""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""
    location: str | None = None
    """Where the server points to."""

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """The server's own message about what went wrong."""
        if 300 <= self.status < 400 and self.location:
            return f"{self.status}, it points to {self.location}: give that address"
        message_: Any = self.body
        while isinstance(message_, Mapping):
            message_ = next(
                (message_[key] for key in ("error", "message", "detail") if message_.get(key)), str(dict(message_))
            )
        return f"{self.status} {message_!s:.400}".strip()


class Server:
    """One HTTP server, asked for JSON.

    Args:
        start  the command that starts a right server; closes every complaint.

    Raises:
        ConfigError: the address is none, or holds a password, which belongs in ``api_key_variable``.
    """

    def __init__(self, url: str, config: ServerConfig | None = None, *, start: str = "") -> None:
        check_address(url)
        self.url = url.rstrip("/").removesuffix("/v1")
        self.config, self.start = config or ServerConfig(), start
        self._client: httpx2.Client | None = None
        self._giving_up = threading.Event()

    def close(self) -> None:
        """Drop the connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def get(self, path: str) -> ServerResponse:
        """Ask for something."""
        return self.request("GET", path, None)

    def post(self, path: str, body: object, *, busy: Collection[int] = BUSY) -> ServerResponse:
        """Have something done."""
        return self.request("POST", path, body, busy=busy)

    def request(self, method: str, path: str, body: object, *, busy: Collection[int] = BUSY) -> ServerResponse:
        """The answer, after as many attempts as it takes; also one that refuses (4xx), which is for the caller.

        Raises:
            SamplerError: no connection, no answer in time, or still busy after the last attempt.
        """
        import httpx2

        giving_up = self._giving_up
        trouble, cause, ordered = "", cast(Exception | None, None), cast(float | None, None)
        for attempt in range(self.config.retries + 1):
            if attempt and giving_up.wait(self._pause(attempt) if ordered is None else ordered):
                break  # a sister request has failed for good
            ordered = None
            try:
                response = self._send(method, f"{self.url}{path}", body)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                trouble, cause = f"nothing answers there ({error})", error
            except httpx2.TimeoutException as error:
                raise self.complaint(
                    f"{method} {path} got no answer in time",
                    expected=f"one within {self.config.timeout_seconds:g} s (timeout_seconds)",
                    actual=type(error).__name__,
                ) from error
            except httpx2.TransportError as error:  # the connection broke on the way
                trouble, cause = f"the connection broke ({type(error).__name__}: {error})", error
            else:
                status = _inner_status(response)
                if status not in busy:
                    return response
                trouble, cause, ordered = response.message, None, response.retry_after
                if ordered is not None and ordered > LONGEST_ORDERED_PAUSE_SECONDS:
                    trouble += f" (it asks to wait {ordered:g} s)"
                    break
        attempts = f"after {self.config.retries + 1} attempts" if self.config.retries else "at the only attempt"
        raise self.complaint(
            f"{method} {path} failed", expected="an answer", actual=f"{trouble}, {attempts}"
        ) from cause

    def complaint(self, problem: str, *, expected: str, actual: str) -> SamplerError:
        """An error that says where, what was expected, what was found, and how a right server is started."""
        start = f". A right server starts with: {self.start}" if self.start else ""
        return SamplerError(f"{self.url}: {problem}; expected {expected}; found {actual}{start}")

    def each(self, jobs: Sequence[Job], do: Callable[[Job], Result]) -> list[Result]:
        """``do`` for every job, several at once; results in order. The first failure ends the rest and is raised.

        The threads are daemons: one that still waits for a server that hangs does not keep the program from ending.
        """
        self._open()  # once, before several threads want it
        giving_up = self._giving_up = threading.Event()
        todo, lock = iter(enumerate(jobs)), threading.Lock()
        finished: queue.SimpleQueue[tuple[int, Result | None, BaseException | None]] = queue.SimpleQueue()

        def work() -> None:
            while not giving_up.is_set():
                with lock:
                    numbered = next(todo, None)
                if numbered is None:
                    return
                number, job = numbered
                try:
                    finished.put((number, do(job), None))
                except BaseException as error:
                    finished.put((number, None, error))

        for _ in range(min(self.config.concurrency, len(jobs))):
            threading.Thread(target=work, daemon=True, name="preflab-sampling").start()
        results: dict[int, Result | None] = {}
        try:
            while len(results) < len(jobs):
                number, result, error = finished.get()
                if error is not None:
                    raise error
                results[number] = result
        finally:
            giving_up.set()
        return [cast(Result, results[i]) for i in range(len(jobs))]

    def _send(self, method: str, url: str, body: object) -> ServerResponse:
        """One request; a redirect that keeps method and body is followed on the same host."""
        for _ in range(MOST_REDIRECTS + 1):
            sent = self._open().request(method, url, json=body)
            location = sent.headers.get("location")
            target = urljoin(url, location) if location else None
            response = ServerResponse(
                sent.status_code, _decode_body(sent), retry_after_seconds(sent.headers.get("retry-after")), target
            )
            # a key must not follow to another host
            if (
                response.status not in (307, 308)
                or target is None
                or urlsplit(target).hostname != urlsplit(url).hostname
            ):
                return response
            url = target
        return response

    def _pause(self, attempt: int) -> float:
        return float(min(LONGEST_PAUSE_SECONDS, self.config.backoff_seconds * 2 ** (attempt - 1)))

    def _open(self) -> "httpx2.Client":
        import httpx2

        if self._client is None:
            key = os.environ.get(self.config.api_key_variable, "")
            self._client = httpx2.Client(
                headers={"Authorization": f"Bearer {key}"} if key else None,
                timeout=httpx2.Timeout(self.config.timeout_seconds, connect=self.config.connect_seconds, pool=None),
                limits=httpx2.Limits(max_connections=self.config.concurrency),
            )
        return self._client


def _decode_body(sent: "httpx2.Response") -> Any:
    try:
        return sent.json()
    except ValueError:
        return sent.text


def retry_after_seconds(header: str | None) -> float | None:
    """The wait that a Retry-After header orders, as seconds or as a date; None where it is neither."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def _inner_status(response: ServerResponse) -> int:
    """The status of a response; that of the error inside where a response of 200 holds one with a code."""
    error = response.body.get("error") if isinstance(response.body, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if response.ok and isinstance(code, int) else response.status


def check_address(url: str) -> None:
    """Whether a server may be there.

    Raises:
        ConfigError: the address is none, or holds a password, which belongs in the environment.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{url!r} is no address of a server; expected one like http://127.0.0.1:8000")
    if parts.username or parts.password:
        raise ConfigError(
            f"the address of the server at {parts.hostname!r} holds a name or a password; addresses are recorded, "
            "so put a key in the environment (api_key_variable)"
        )
