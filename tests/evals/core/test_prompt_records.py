"""Prompts from files of several forms."""

import pytest

from preflab.errors import DataError, RecordRefused
from preflab.evals.core.prompt_records import read_prompt_record


def test_forms() -> None:
    bench = read_prompt_record({"category": "math", "turns": ["One?", "Two?"], "reference": ["1", "2"]})
    assert (bench.prompt.messages[0].text, bench.category, bench.reference) == ("One?", "math", "1")
    assert read_prompt_record({"turns": ["One?"], "reference": None}).reference == ""
    told = read_prompt_record({"kind": "seed", "instruction": "Add.", "input": "1 2", "output": "3"})
    assert told.prompt.messages[0].text == "Add.\n\n1 2" and told.reference == "3" and told.category == "seed"
    assert read_prompt_record({"prompt": [{"role": "user", "content": "Hi"}]}).prompt.messages[0].text == "Hi"
    assert read_prompt_record({"prompt": "Why?", "input": "ignored"}).prompt.messages[0].text == "Why?"


def test_the_items_of_an_earlier_evaluation() -> None:
    ask = {"kind": "speak", "prompt": [{"role": "user", "content": "Hi"}]}
    judge = {"ask": {**ask, "whom": "judge"}, "answer": {"kind": "spoken", "text": "8"}}
    own = {"ask": ask, "answer": {"kind": "spoken", "text": " Hello. "}}
    found = read_prompt_record({"id": "x", "rounds": [[judge], [own]], "outcome": {"category": "talk"}})
    assert (found.prompt.messages[0].text, found.reference, found.category) == ("Hi", "Hello.", "talk")
    with pytest.raises(RecordRefused, match="said nothing"):
        read_prompt_record({"rounds": [[judge]]})
    with pytest.raises(DataError, match="rounds"):
        read_prompt_record({"rounds": [[{"answer": 1}]]})


def test_malformed_records() -> None:
    with pytest.raises(DataError, match="instruction or prompt or question"):
        read_prompt_record({"text": "x"})
    with pytest.raises(RecordRefused, match="is empty"):
        read_prompt_record({"prompt": " "})
    with pytest.raises(DataError, match="expected text"):
        read_prompt_record({"prompt": "x", "reference": 7})
    with pytest.raises(RecordRefused, match="end with a reply"):
        read_prompt_record({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    with pytest.raises(RecordRefused, match="fewer than 1"):
        read_prompt_record({"turns": []})
