"""How often somebody may ask, and what holds those who guess."""

from pathlib import Path

from preflab.web.collect.limits import Limiter
from tests.web.collect.lab import Lab, Seconds


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Seconds()
    limiter = Limiter(rate=0.5, burst=3.0, clock=clock)
    assert [limiter.allows("a") for _ in range(5)] == [True, True, True, False, False]
    assert limiter.allows("b")  # each has their own
    assert limiter.wait_seconds("a") == 2
    clock.now = 1.9
    assert not limiter.allows("a")
    clock.now = 2.0
    assert limiter.allows("a") and not limiter.allows("a")
    clock.now = 1e6
    assert [limiter.allows("a") for _ in range(4)] == [True, True, True, False]  # no more than the burst is held


def test_a_look_costs_nothing_and_what_is_given_back_can_be_used_again() -> None:
    limiter = Limiter(rate=1e-9, burst=2.0, clock=Seconds())
    assert all(limiter.allows("a", cost=0.0) for _ in range(10))
    assert limiter.allows("a") and limiter.allows("a") and not limiter.allows("a", cost=0.0)
    limiter.give_back("a")
    assert limiter.allows("a") and not limiter.allows("a")


def test_a_flood_of_names_does_not_fill_the_memory_nor_free_those_who_are_held() -> None:
    clock = Seconds()
    limiter = Limiter(rate=1e-6, burst=2.0, clock=clock)
    for _ in range(3):
        limiter.allows("guesser")
    for n in range(25_000):
        clock.now += 1e-3
        limiter.allows(f"name {n}", cost=0.0)
    assert len(limiter._buckets) <= 20_001
    assert not limiter.allows("guesser")


def test_too_many_requests_of_one_session_are_refused_until_it_waits(tmp_path: Path) -> None:
    own = Lab(tmp_path, requests_per_second=0.3)
    clock = Seconds()
    own.site.request_limiter._clock = clock
    one, two = own.browser(own.person()), own.browser(own.person())
    assert [one.get("/account").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert "please wait 4 s" in one.last.text
    assert two.get("/account").status_code == 200
    program = own.program(own.person())
    answers = [program.get("/api/studies") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert list(answers[-1].json()) == ["error"]
    clock.now = 4.0
    assert one.get("/account").status_code == 200
    own.close()
