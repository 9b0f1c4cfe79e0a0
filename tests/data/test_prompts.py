"""Prompts alone."""

import json
from pathlib import Path

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.prompts import distinct_prompts, load_prompts
from preflab.errors import DataError


def test_every_prompt_once_in_order_of_first_appearance() -> None:
    asked = ["b", "a", "b", "c", "a"]
    comparisons = [Comparison.chosen_rejected(Dialogue.of(prompt), "good", "bad") for prompt in asked]
    assert distinct_prompts(comparisons) == [Dialogue.of("b"), Dialogue.of("a"), Dialogue.of("c")]


def test_a_text_file_has_a_prompt_a_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("\ufeffWhat: now?\n\n  Human: me \r\n", encoding="utf-8")
    assert load_prompts(path) == [Dialogue.of("What: now?"), Dialogue.of("Human: me")]


def test_records_have_prompts_of_three_forms(tmp_path: Path) -> None:
    system = [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]
    forms: list[object] = ["hi", system, "\n\nHuman: hi\n\nAssistant: yo\n\nHuman: so?\n\nAssistant:"]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": form}) + "\n" for form in forms))
    assert load_prompts(str(path)) == [
        Dialogue.of("hi"),
        Dialogue.of("hi", system="s"),
        Dialogue.of("hi", "yo", "so?"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("p.txt", "\n \n", "p.txt: is empty; expected one prompt a line"),
        ("p.jsonl", '{"prompt": "a"}\n{"text": "b"}\n', r"p.jsonl:2 \[prompt\]: missing; this record has text"),
        ("p.jsonl", '{"prompt": " "}\n', r"p.jsonl:1 \[prompt\]: the prompt is empty"),
        ("p.jsonl", '{"prompt": []}\n', r"p.jsonl:1 \[prompt\]: the prompt is empty"),
        ("p.jsonl", '{"prompt": 3}\n', r"p.jsonl:1 \[prompt\]: expected a list of messages"),
        ("p.jsonl", '{"prompt": [{"role": "assistant", "content": "x"}]}\n', "already ends with a reply"),
        ("p.xlsx", "prompt\n", "expected a file ending in"),
        ("p.csv", "prompt\n", "is empty"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=complaint):
        load_prompts(tmp_path / name)


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_prompts(tmp_path / "none.txt")
    (tmp_path / "p.txt").write_bytes(b"one\n\xff\xfe")
    with pytest.raises(DataError, match=r"p.txt:2: byte 0xff at column 1 is not UTF-8"):
        load_prompts(tmp_path / "p.txt")
