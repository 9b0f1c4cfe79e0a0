"""Items are values: equal by content, not to be changed after they were read."""

from dataclasses import FrozenInstanceError, replace

import pytest

from preflab.evals.core.items import Item, Items


def test_an_item_is_a_value_and_stands_in_its_groups_only_block() -> None:
    item = Item(id="a", group="g", data=(1, 2))
    assert item == Item(id="a", group="g", data=(1, 2), block="") and item != replace(item, block="b")
    with pytest.raises(FrozenInstanceError):
        item.id = "b"  # type: ignore[misc]


def test_items_that_refused_nothing_share_no_counts() -> None:
    first, second = (Items(items=[], digest="", sources=()) for _ in range(2))
    assert first.refused == {} and first.refused is not second.refused
