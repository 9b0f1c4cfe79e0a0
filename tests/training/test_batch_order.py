"""The order of batches: every pass sees everything once, in an order that only seed and pass decide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflab.data.rows import Row
from preflab.errors import ConfigError
from preflab.training.batch_order import BatchOrder, forward_passes, shuffled_stream

small = st.integers(1, 7)


@given(small, small, small, st.integers(0, 99))
def test_every_pass_sees_everything_once(n: int, batch: int, epochs: int, seed: int) -> None:
    order = BatchOrder(n_items=n, batch=batch, epochs=epochs, seed=seed)
    steps = [order.at(step) for step in range(order.total_steps)]
    for epoch in range(epochs):
        own = steps[epoch * order.steps_per_epoch : (epoch + 1) * order.steps_per_epoch]
        assert sorted(i for step in own for i in step) == list(range(n))
        assert all(len(step) == batch for step in own[:-1])


def test_passes_and_seeds_differ_and_repeat() -> None:
    def passes(seed: int) -> list[list[int]]:
        order = BatchOrder(n_items=20, batch=20, epochs=2, seed=seed)
        return [order.at(0), order.at(1)]

    assert passes(1) == passes(1)
    assert len({tuple(p) for p in passes(1) + passes(2)}) == 4


@pytest.mark.parametrize("counts", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_nothing_to_pass_over_is_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        BatchOrder(n_items=counts[0], batch=counts[1], epochs=counts[2], seed=0)


def test_forward_passes_hold_the_chosen_rows_once_and_keep_to_the_limit() -> None:
    rows = [Row.of([1] * n, [2]) for n in (3, 9, 2, 5)]  # 4, 10, 3 and 6 tokens
    found = [(own, batch.n_tokens) for own, batch in forward_passes(rows, [3, 0, 1], max_tokens=10)]
    assert found == [([1], 10), ([3, 0], 10)]


def test_the_stream_shows_every_item_once_before_any_twice_and_is_the_same_wherever_it_is_entered() -> None:
    whole = shuffled_stream(5, range(20), seed=3)
    assert [sorted(whole[i : i + 5]) for i in range(0, 20, 5)] == [[0, 1, 2, 3, 4]] * 4
    assert whole[7:13] == shuffled_stream(5, range(7, 13), seed=3)
    assert whole != shuffled_stream(5, range(20), seed=4)
