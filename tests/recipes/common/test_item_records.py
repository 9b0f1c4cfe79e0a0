"""Items of an evaluation, read back as they were written."""

import math
from pathlib import Path

import pytest

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError
from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult, write_items
from preflab.recipes.common.item_records import Exchange, ItemRecord, read_item_records
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    RewardScores,
    ScoreReplies,
)

EXCHANGES = [
    Exchange(
        OptionLogprobs(prompt=Dialogue.of("a?"), options=(" x", " y"), closed=True), OptionScores((-1.0, -2.0), (1, 2))
    ),
    Exchange(Generate(prompt="b", stop=("\n",), sample=2, temperature=1.0, role="judge"), Generation("c", 3, False)),
    Exchange(ScoreReplies(prompt=Dialogue.of("d", "e", "f"), replies=("g",)), RewardScores((0.5,))),
    Exchange(Generate(prompt="h"), Failure("too long")),
]


def test_what_a_run_wrote_is_read_back(tmp_path: Path) -> None:
    rounds = [([exchange.request], [exchange.response]) for exchange in EXCHANGES]
    scored = ItemResult(Item(id="a", group="g", data=None), list(rounds), {"correct": 1.0, "mass": math.inf}, None)
    failed = ItemResult(Item(id="b", group="g", data=None), [], None, "the model said nothing")
    write_items(tmp_path / "x.jsonl", [scored, failed])
    first, second = read_item_records(tmp_path / "x.jsonl")
    assert first.rounds == [[exchange] for exchange in EXCHANGES]
    assert first.outcome == {"correct": 1.0, "mass": math.inf}
    assert second == ItemRecord(id="b", group="g", rounds=[], outcome=None, failed="the model said nothing")


@pytest.mark.parametrize(
    ("line", "message"),
    [({"id": "a", "group": "g"}, "not an item of an evaluation"),
     ({"id": "a", "group": "g", "rounds": [[{"ask": {"kind": "sing"}, "answer": {}}]]}, "not a stored request"),
     ({"id": "a", "group": "g", "rounds": [[{"ask": {"kind": "speak", "prompt": "x"}, "answer": {}}]]},
      "not a stored response")],
)  # fmt: skip
def test_what_is_no_item_is_refused(line: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ItemRecord.from_json(line)
