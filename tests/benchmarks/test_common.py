"""What the races rest on: turns, ratios, and bytes counted rightly."""

import torch

from benchmarks.common import Timing, peak_bytes, race, ratios


def test_contestants_take_turns_and_the_order_turns_round() -> None:
    tape: list[str] = []

    def contestant(name: str):  # type: ignore[no-untyped-def]
        def set_up():  # type: ignore[no-untyped-def]
            tape.append(f"set up {name}")
            return lambda: tape.append(f"run {name}")

        return set_up

    timings = race({"a": contestant("a"), "b": contestant("b")}, repeats=2)
    assert tape == [f"{what} {name}" for name in "abba" for what in ("set up", "run")]
    assert [len(t.wall) for t in timings.values()] == [2, 2]


def test_ratios_by_hand() -> None:
    peer, ours = Timing(wall=[4.0, 9.0, 6.0]), Timing(wall=[2.0, 3.0, 1.0])
    # minima 4 / 1, medians 6 / 2, pairs 2, 3 and 6
    assert ratios(peer, ours) == {"of_minima": 4.0, "of_medians": 3.0, "lowest": 2.0, "highest": 6.0}


def test_peak_counts_what_is_alive_at_once() -> None:
    def work() -> None:
        a = torch.ones(100)  # 400 bytes
        b = a + 1  # 800 alive
        del a
        c = b.view(10, 10)  # no new bytes
        d = c * 2  # 800
        del b, c, d
        torch.ones(150)  # 600

    assert peak_bytes(work) == 800


def test_peak_sees_the_backward_pass() -> None:
    x = torch.ones(1000, requires_grad=True)

    def work() -> None:
        (x.exp() * 2).sum().backward()  # exp is saved (4,000), and its gradient, and the product's

    assert peak_bytes(work) >= 2 * 4000
