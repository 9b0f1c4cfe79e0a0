"""Which measures a way has, and which items they count."""

import numpy as np

from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult, measure_results
from preflab.evals.core.suite import Columns, Measure


def product(columns: Columns) -> float:
    return float(np.mean(columns["a"] * columns["b"]))


def test_a_function_is_left_out_without_the_columns_that_it_reads() -> None:
    measures = [
        Measure(name="product", statistic=product, reads=("a", "b")),
        Measure(name="other", statistic=product, reads=("a", "c")),
        Measure(name="a", statistic="a"),
    ]
    outcomes = [{"a": 2.0, "b": 3.0}, {"a": 4.0, "b": 1.0}]
    told = [ItemResult(Item(id=str(i), group=str(i), data=None), outcome=own) for i, own in enumerate(outcomes)]
    found = {own.name: own.estimate for own in measure_results(measures, told)}
    assert found.keys() == {"product", "a"}
    assert found["product"] is not None and (found["product"].value, found["product"].n) == (5.0, 2)
    assert found["a"] is not None and (found["a"].value, found["a"].n) == (3.0, 2)
