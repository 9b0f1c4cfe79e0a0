"""Serve the site: uvicorn, the reply worker, and the secret that makes the first owner."""

import signal
import socket
import threading
from dataclasses import dataclass
from typing import Any

from preflab.data.store import people
from preflab.data.store.open import Store
from preflab.errors import ConfigError, RunError
from preflab.web.collect.app import create_app
from preflab.web.collect.site import SiteConfig
from preflab.web.collect.worker import ReplyWorker

BOOTSTRAP_DAYS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where the server listens."""

    host: str = "127.0.0.1"
    port: int = 8765
    """0 takes a free one."""
    proxies: tuple[str, ...] = ()
    """Addresses of proxies that are trusted to name scheme and client."""
    reply_threads: int = 2
    """Replies of policies under way at once; 0 where another process answers."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port must be in [0, 65535], got {self.port}; 0 takes a free one")
        if self.reply_threads < 0:
            raise ConfigError(f"reply_threads must not be negative, got {self.reply_threads}")


def issue_bootstrap_secret(store: Store) -> str | None:
    """A secret for the first owner; earlier secrets end. None once the site has an owner."""
    if any(member.role == "owner" for member in people.members_of(store, people.EVERY)):
        return None
    for token in people.tokens_of(store, people.EVERY, "bootstrap"):
        people.revoke(store, token.hash, actor="server")
    return people.issue_token(store, "bootstrap", role="owner", days=BOOTSTRAP_DAYS, uses=1)


def listen(config: ServerConfig) -> socket.socket:
    """The socket to serve on, bound already, so that a port that is taken is reported before anything else starts.

    Raises:
        RunError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((config.host, config.port))
        bound.listen(2048)  # clients may come as soon as the address is printed
    except OSError as error:
        bound.close()
        raise RunError(f"cannot listen on {config.host}:{config.port}: {error.strerror}; try another --port") from error
    return bound


def serve(store: Store, site: SiteConfig, config: ServerConfig, bound: socket.socket) -> None:
    """Serve until a signal comes; requests under way are finished first."""
    import uvicorn

    worker = ReplyWorker(store, threads=config.reply_threads)
    settings: dict[str, Any] = {
        "log_level": "warning",
        "access_log": False,  # it would hold addresses, and the secrets of invitations
        "server_header": False,
        "proxy_headers": bool(config.proxies),
        "forwarded_allow_ips": list(config.proxies) or None,
        "root_path": site.root_path,
        "timeout_graceful_shutdown": 10,
        "limit_concurrency": 500,
    }
    server = uvicorn.Server(uvicorn.Config(create_app(store, site), **settings))
    worker.start()
    try:
        server.run(sockets=[bound])
    finally:
        worker.stop()


def serve_in_background(store: Store, site: SiteConfig | None = None, *, reply_threads: int = 0) -> "BackgroundServer":
    """A server in a thread of this process, on a free port: for tests, benchmarks and notebooks."""
    return BackgroundServer(store, site or SiteConfig(), reply_threads)


class BackgroundServer:
    """A server in a thread; a context manager that gives the address."""

    def __init__(self, store: Store, site: SiteConfig, reply_threads: int) -> None:
        import uvicorn

        self.bound = listen(ServerConfig(port=0))
        self.url = f"http://127.0.0.1:{self.bound.getsockname()[1]}"
        config = uvicorn.Config(create_app(store, site), log_level="warning", access_log=False)
        self._server = uvicorn.Server(config)
        self._worker = ReplyWorker(store, threads=reply_threads)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self.bound]}, daemon=True)

    def __enter__(self) -> str:
        self._worker.start()
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RunError("the server ended before it had begun")
            threading.Event().wait(0.01)
        return self.url

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._worker.stop()
        self.bound.close()


def stop_on_terminate() -> None:
    """SIGTERM ends the program as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
