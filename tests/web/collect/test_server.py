"""The server: where it listens, and the one in a thread."""

import signal
import socket

import httpx2
import pytest

from preflab.errors import ConfigError, RunError
from preflab.web.collect.server import ServerConfig, listen, serve_in_background, stop_on_terminate
from tests.web.collect.lab import Lab


def test_port_zero_is_a_free_one_and_a_port_in_use_is_refused_with_its_number() -> None:
    with listen(ServerConfig(port=0)) as bound:
        host, port = bound.getsockname()
        assert host == "127.0.0.1" and port > 0
        with pytest.raises(RunError, match=f"cannot listen on 127.0.0.1:{port}: .*try another --port"):
            listen(ServerConfig(port=port))
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass  # taken before anything serves: it waits in the socket's queue


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": -1}, r"port must be in \[0, 65535\], got -1"),
        ({"port": 65_536}, "got 65536"),
        ({"reply_threads": -1}, "reply_threads must not be negative, got -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ServerConfig(**settings)  # type: ignore[arg-type]


def test_a_server_in_the_background_answers_until_its_block_ends(lab: Lab) -> None:
    with serve_in_background(lab.store) as url:
        assert httpx2.get(f"{url}/healthz").text == "ok\n"
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/healthz")


def test_the_terminate_signal_interrupts_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        stop_on_terminate()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
