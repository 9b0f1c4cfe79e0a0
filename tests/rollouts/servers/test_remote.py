"""What any server may do: refuse, break off, be slow, be busy; and a chat endpoint as a sampler."""

import threading
import time
from collections.abc import Iterator

import pytest

from preflab.errors import ConfigError, PreflabError, SamplerError
from preflab.rollouts.servers.remote import Server, ServerConfig
from tests.fake_vllm import FakeVLLM, refusal

QUICK = ServerConfig(retries=2, backoff_seconds=0.001, timeout_seconds=5.0)


@pytest.fixture
def fake() -> Iterator[FakeVLLM]:
    fake = FakeVLLM()
    yield fake
    fake.stop()


@pytest.fixture
def server(fake: FakeVLLM) -> Iterator[Server]:
    server = Server(fake.url, QUICK, start="vllm serve tiny")
    yield server
    server.close()


def test_an_answer_that_refuses_is_handed_back_at_once(fake: FakeVLLM, server: Server) -> None:
    answer = server.get("/nothing")
    assert (answer.ok, answer.status, answer.message) == (False, 404, "404 Not Found")
    assert len(fake.asked) == 1


def test_a_busy_server_is_asked_again_and_again_with_growing_pauses(fake: FakeVLLM, server: Server) -> None:
    statuses = iter([503, 429])
    fake.before = lambda path, body: refusal(status, "busy") if (status := next(statuses, 0)) else None
    assert server.get("/v1/models").ok
    assert len(fake.asked) == 3
    patient = Server(fake.url, ServerConfig(backoff_seconds=0.5))
    assert [patient._pause(k) for k in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_one_that_stays_busy_is_given_up_with_its_own_words_and_what_to_start(fake: FakeVLLM, server: Server) -> None:
    fake.before = lambda path, body: refusal(503, "the engine is loading")
    with pytest.raises(SamplerError, match=r"POST /x failed; expected an answer; found 503 the engine is loading"):
        server.post("/x", {})
    with pytest.raises(SamplerError, match=r"after 3 attempts\. A right server starts with: vllm serve tiny"):
        server.post("/x", {})
    assert len(fake.asked) == 6


def test_a_server_that_is_not_there_is_named(fake: FakeVLLM, server: Server) -> None:
    fake.stop()
    with pytest.raises(SamplerError, match=rf"{fake.url}: GET /v1/models failed.*nothing answers there") as found:
        server.get("/v1/models")
    assert isinstance(found.value, ConnectionError) and isinstance(found.value, PreflabError)
    fake.start()
    assert server.get("/v1/models").ok


def test_a_connection_that_breaks_is_opened_again(fake: FakeVLLM, server: Server) -> None:
    assert server.get("/v1/models").ok
    fake.stop()  # the open connection is now dead on the server's side
    fake.start()
    assert server.get("/v1/models").ok


def test_a_slow_server_is_not_given_more_to_do(fake: FakeVLLM) -> None:
    fake.before = lambda path, body: time.sleep(0.4)
    server = Server(fake.url, ServerConfig(timeout_seconds=0.05, retries=3))
    with pytest.raises(SamplerError, match=r"no answer in time; expected one within 0\.05 s \(timeout_seconds\)"):
        server.get("/v1/models")
    server.close()
    assert len(fake.asked) == 1


def test_jobs_run_at_once_up_to_the_limit_and_come_back_in_order(fake: FakeVLLM) -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def job(number: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01 * (5 - number % 5))
        with lock:
            under_way -= 1
        return number * number

    server = Server(fake.url, ServerConfig(concurrency=3))
    assert server.each(list(range(10)), job) == [n * n for n in range(10)]
    assert most == 3
    assert server.each([], job) == []
    server.close()


def test_the_first_failure_ends_the_jobs_that_have_not_begun(fake: FakeVLLM) -> None:
    begun: list[int] = []

    def job(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise SamplerError("number 2")
        time.sleep(0.01)
        return number

    server = Server(fake.url, ServerConfig(concurrency=2))
    with pytest.raises(SamplerError, match="number 2"):
        server.each(list(range(100)), job)
    time.sleep(0.05)
    assert len(begun) < 10
    server.close()


def test_a_server_that_hangs_holds_up_nobody_when_a_sister_request_has_failed(fake: FakeVLLM) -> None:
    fake.before = lambda path, body: time.sleep(3) if path == "/slow" else refusal(500, "dead")
    server = Server(fake.url, ServerConfig(retries=1, backoff_seconds=0.001))
    began = time.monotonic()
    with pytest.raises(SamplerError, match="500 dead"):
        server.each(["/slow", "/fast"], server.get)
    assert time.monotonic() - began < 1
    server.close()


def test_keys_come_from_the_environment_and_addresses_hold_none(
    fake: FakeVLLM, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFLAB_API_KEY", "secret")
    keyed = Server(f"{fake.url}/v1/", QUICK)
    keyed.get("/v1/models")
    server.get("/v1/models")
    keyed.close()
    assert [path for _, path, _, _ in fake.asked] == ["/v1/models", "/v1/models"]
    assert fake.asked[0][3]["Authorization"] == "Bearer secret"
    with pytest.raises(ConfigError, match="put a key in the environment") as error:
        Server("http://me:secret@host:8000")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "in-process"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"no address of a server; expected one like http://"):
        Server(url)


@pytest.mark.parametrize(
    "wrong", [{"timeout_seconds": 0.0}, {"connect_seconds": -1.0}, {"retries": -1}, {"concurrency": 0}]
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be"):
        ServerConfig(**wrong)  # type: ignore[arg-type]


# any chat endpoint as a sampler ----------------------------------------------------------------------------
