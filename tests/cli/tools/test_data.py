"""``preflab data inspect``."""

import json
from pathlib import Path

import pytest

from preflab.cli import main
from preflab.cli.tools.data import as_seen, shown_to_model
from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ModelError
from preflab.models.load import load_tokenizer
from preflab.models.tiny import CHAT_TEMPLATE, tiny_model, tiny_tokenizer
from preflab.rollouts.encoder import Encoder
from tests.cli.commands import preflab, write_comparisons


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"prompt": "a", "replies": ["b", "c"]}\n', "found columns prompt, replies"), ("", "is empty")],
)
def test_a_missing_column_and_an_empty_file_are_data_errors(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "small.jsonl").write_text(text)
    refused = preflab("data", "inspect", "small.jsonl", cwd=tmp_path)
    assert refused.returncode == 3
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_data_inspect_accounts_for_every_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_comparisons(tmp_path / "small.jsonl")
    assert main(["data", "inspect", str(file), "--limit", "10"]) == 0
    shown = capsys.readouterr().out
    assert "10 of 10 records kept" in shown
    assert "distinct prompts   10" in shown


def test_data_inspect_says_what_each_column_is_read_as(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "alpaca.jsonl"
    record = {"instruction": "Name a bird.", "input": "", "good": "A wren.", "poor": "A brick.", "notes": "n", "id": 7}
    file.write_text(json.dumps(record) + "\n" + json.dumps(record | {"good": ""}) + "\n")
    assert main(["data", "inspect", str(file)]) == 3
    assert "unknown format; found columns instruction, input, good, poor" in capsys.readouterr().err
    columns = ("--columns", "chosen=good,rejected=poor", "--model", "tiny")
    assert main(["data", "inspect", str(file), *columns]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("(instruction): 1 of 2 records kept")
    assert lines[1] == "  columns not used: notes"
    assert lines[2].endswith("refused: a reply is empty, first at " + f"{file}:2")
    readings = {line.split("  ")[1]: line.split("  ", 2)[2].strip() for line in lines[5:11]}
    assert readings == {
        "instruction": "the prompt",
        "input": "the prompt, below the instruction",
        "notes": "not used",
        "id": "id",
        "chosen": "the better reply",
        "rejected": "the worse reply",
    }
    assert lines[-3:] == [
        "<|user|>Name a bird.<|end|><|assistant|>",
        "  rank 0: A wren.<|end|>",
        "  rank 1: A brick.<|end|>",
    ]


def test_data_inspect_says_what_a_template_does_to_replies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_comparisons(tmp_path / "small.jsonl")
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE.replace("m['content']", "m['content'] | trim")
    tiny_model().save_pretrained(tmp_path / "trims")
    tokenizer.save_pretrained(tmp_path / "trims")
    assert main(["data", "inspect", str(file), "--model", str(tmp_path / "trims")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "reply between blanks: '\\n An apple. \\n' is told as 'An apple.<|end|>'"
    assert main(["data", "inspect", str(file), "--model", "tiny"]) == 0
    assert "chat template" not in capsys.readouterr().out


def test_a_model_that_was_asked_for_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        shown_to_model([], "./none", "./none")
    assert shown_to_model([], "./none", None)[1].startswith("as a model sees them: not shown, ./none: no such folder")


def test_long_texts_are_cut_in_the_middle_and_what_does_not_fit_says_so() -> None:
    long = Comparison.chosen_rejected(Dialogue.of("a" * 2000), "good", "bad")
    prompt, *replies = as_seen(long, Encoder(load_tokenizer("tiny"), max_tokens=4000))
    assert len(prompt) < 800
    assert "more characters ...]" in prompt
    assert replies == ["  rank 0: good<|end|>", "  rank 1: bad<|end|>"]
    (left_out,) = as_seen(long, Encoder(load_tokenizer("tiny"), max_tokens=4))
    assert left_out.startswith("left out: ")
