"""Loading: everything is kept, counted as refused, or an error that says where."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.data.load import load_comparisons
from preflab.errors import ConfigError, DataError

SHARED = Path(__file__).parents[3] / "shared"


def pair(n: int, **change: Any) -> dict[str, Any]:
    """A record in TRL's plain form."""
    return {"prompt": f"q{n}", "chosen": "good", "rejected": "bad"} | change


def jsonl(path: Path, records: list[dict[str, Any]]) -> Path:
    """A file of those records."""
    text = "".join(json.dumps(record) + "\n" for record in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_a_file_is_loaded_with_its_origin(tmp_path: Path, name: str) -> None:
    path, records = tmp_path / name, [pair(1), pair(2)]
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        jsonl(path, records)
    loaded = load_comparisons(path)
    assert loaded.comparisons[1] == Comparison.chosen_rejected(
        Dialogue.of("q2"), "good", "bad", provenance=Provenance(dataset=name, id="2")
    )
    assert (loaded.format, loaded.source, loaded.records, loaded.refused) == ("trl", str(path), 2, {})
    assert load_comparisons(str(path)) == loaded


def test_an_origin_that_the_record_names_is_kept(tmp_path: Path) -> None:
    record = {"id": "x", "prompt": "q", "replies": ["a", "b"], "ranks": [0, 1], "provenance": {"dataset": "mine"}}
    loaded = load_comparisons(jsonl(tmp_path / "a.jsonl", [record]))
    assert loaded.comparisons[0].provenance == Provenance(dataset="mine", id="x")


def test_unusable_records_are_counted_with_the_first_of_each_kind(tmp_path: Path) -> None:
    records = [pair(1), pair(2, rejected="good"), pair(3, chosen=" "), pair(4, chosen="bad"), pair(1)]
    loaded = load_comparisons(path := jsonl(tmp_path / "a.jsonl", records))
    same, empty = "a text is judged better than the same text (chosen == rejected)", "a reply is empty"
    assert loaded.refused == {same: 2, empty: 1}
    assert loaded.first_refused == {same: f"{path}:2", empty: f"{path}:3"}
    assert [found.prompt for found in loaded.comparisons] == [Dialogue.of("q1")] * 2  # repeated prompts stay
    assert loaded.records == 5
    assert loaded.render().splitlines() == [
        f"{path} (trl): 2 of 5 records kept",
        f"  2 refused: {same}, first at {path}:2",
        f"  1 refused: {empty}, first at {path}:3",
    ]


def test_a_file_of_nothing_usable_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing usable\n.*0 of 2 records kept\n  2 refused: a reply is empty"):
        load_comparisons(jsonl(tmp_path / "a.jsonl", [pair(1, chosen=""), pair(2, chosen="")]))


def test_broken_json_in_line_7_is_an_error_there(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [pair(n) for n in range(6)])
    path.write_text(path.read_text() + '{"prompt": "q"\n')
    with pytest.raises(DataError, match=r"a\.jsonl:7: not valid JSON") as error:
        load_comparisons(path)
    assert (error.value.path, error.value.line) == (path, 7)


def test_a_missing_column_is_an_error_with_line_field_and_what_was_expected(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [pair(1), {"prompt": "q", "chosen": "a"}])
    with pytest.raises(DataError, match=r"a.jsonl:2 \[rejected\]: missing; this record has prompt, chosen; .*trl has"):
        load_comparisons(path)


def test_an_unknown_form_is_an_error_with_the_known_ones(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"question": "q", "answer": "a"}])
    with pytest.raises(DataError, match=r"a.jsonl:1: unknown format; found columns question, answer(.|\n)*hh: chosen"):
        load_comparisons(path)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl: is empty"):
        load_comparisons(jsonl(tmp_path / "a.jsonl", []))


def test_a_named_format_is_not_second_guessed(tmp_path: Path) -> None:
    text = {"chosen": "\n\nHuman: a b\n\nAssistant: c", "rejected": "\n\nHuman: a b\n\nAssistant: d"}
    path = jsonl(tmp_path / "a.jsonl", [text])
    assert load_comparisons(path).format == "hh"
    with pytest.raises(DataError, match=r"a.jsonl:1 \[prompt\]: missing; this record has chosen, rejected"):
        load_comparisons(path, format="trl")
    with pytest.raises(DataError, match=r"a.jsonl:1 \[replies\]: missing"):
        load_comparisons(path, format="preflab_jsonl")
    with pytest.raises(ConfigError, match="unknown format 'csv'"):
        load_comparisons(path, format="csv")


ALPACA = {"instruction": "Name a bird.", "input": "", "chosen": "A wren.", "rejected": "A brick."}


def test_the_prompt_is_read_from_the_column_it_stands_in(tmp_path: Path) -> None:
    loaded = load_comparisons(jsonl(tmp_path / "a.jsonl", [ALPACA, ALPACA | {"input": "In a wood."}]))
    assert loaded.format == "instruction"
    assert [comparison.prompt for comparison in loaded.comparisons] == [
        Dialogue.of("Name a bird."),
        Dialogue.of("Name a bird.\nIn a wood."),
    ]


def test_a_column_that_matters_and_is_not_read_stands_in_the_way(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [pair(1, context="Birds")])
    with pytest.raises(DataError, match=r"a.jsonl:1: looks like format trl, which would not read 'context' \(perhaps"):
        load_comparisons(path)
    assert load_comparisons(path, columns=["ignore=context"]).comparisons[0].prompt == Dialogue.of("q1")
    renamed = load_comparisons(path, columns=["ignore=prompt", "instruction=context"])
    assert (renamed.format, renamed.comparisons[0].prompt) == ("instruction", Dialogue.of("Birds"))
    with pytest.raises(DataError, match=r"1 refused: column 'context' holds something that format trl does not read"):
        load_comparisons(path, format="trl")


def test_a_column_that_begins_to_matter_later_refuses_that_record(tmp_path: Path) -> None:
    records = [pair(1, context=""), pair(2, context="Birds"), pair(3, context=None)]
    loaded = load_comparisons(jsonl(tmp_path / "a.jsonl", records))
    reason = "column 'context' holds something that format trl does not read"
    assert (len(loaded.comparisons), loaded.refused) == (2, {reason: 1})
    assert loaded.first_refused[reason].endswith("a.jsonl:2")


def test_columns_that_do_not_matter_are_named_once(tmp_path: Path) -> None:
    loaded = load_comparisons(jsonl(tmp_path / "a.jsonl", [pair(1, notes="n"), pair(2, lang="en")]))
    assert loaded.columns == {
        "prompt": "the prompt",
        "chosen": "the better reply",
        "rejected": "the worse reply",
        "notes": "not used",
        "lang": "not used: bookkeeping",
    }
    assert loaded.render().splitlines()[1] == "  columns not used: notes, lang"


def test_a_record_with_several_rejected_replies_counts_once(tmp_path: Path) -> None:
    loaded = load_comparisons(jsonl(tmp_path / "a.jsonl", [pair(1, rejected=["b", "c"]), pair(2, chosen="")]))
    assert (len(loaded.comparisons), loaded.records, sum(loaded.refused.values())) == (2, 2, 1)
    assert loaded.render().splitlines()[0].endswith("1 of 2 records kept, 2 comparisons of them")


def test_a_table_of_text_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,system,chosen,rejected,margin\nName a bird.,Be brief.,A wren.,A brick.,2.5\n")
    (comparison,) = load_comparisons(path).comparisons
    assert comparison.prompt == Dialogue.of("Name a bird.", system="Be brief.")
    assert comparison.strength == 2.5


def test_two_texts_without_a_prompt_are_an_unknown_format(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"chosen": "The sky is blue.", "rejected": "The sky is black."}])
    with pytest.raises(DataError, match=r"unknown format; found columns chosen, rejected(.|\n)*--columns prompt=NAME"):
        load_comparisons(path)


def test_a_limit_stops_the_reading(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [pair(1, chosen=""), pair(2), pair(3), pair(4)])
    path.write_text(path.read_text() + "broken, but never reached\n")
    loaded = load_comparisons(path, limit=2)
    assert [found.provenance.id for found in loaded.comparisons] == ["2", "3"]
    assert loaded.records == 3
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        load_comparisons(path, limit=0)


def test_a_folder_is_its_files_in_order_or_those_of_a_split(tmp_path: Path) -> None:
    for n, name in enumerate(["train-2.jsonl", "train-1.jsonl.gz", "test.jsonl"]):
        jsonl(tmp_path / name, [pair(n)])
    (tmp_path / "README.md").write_text("not data")

    def asked(split: str | None) -> list[tuple[str, str]]:
        """(file, prompt) of what was loaded."""
        found = load_comparisons(tmp_path, split=split).comparisons
        return [(one.provenance.dataset, one.prompt.messages[0].text) for one in found]

    assert asked("train") == [("train-1.jsonl.gz", "q1"), ("train-2.jsonl", "q0")]
    assert asked(None) == [("test.jsonl", "q2"), *asked("train")]
    with pytest.raises(ConfigError, match=r"no file called dev\.\* or dev-\*, only test.jsonl"):
        load_comparisons(tmp_path, split="dev")


def test_a_folder_without_data_and_a_file_without_splits_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no file ending in"):
        load_comparisons(tmp_path)
    with pytest.raises(ConfigError, match="single file and has no split 'train'"):
        load_comparisons(jsonl(tmp_path / "a.jsonl", [pair(1)]), split="train")


def test_a_folder_saved_by_datasets_is_loaded(tmp_path: Path) -> None:
    table = datasets.Dataset.from_list([pair(1), pair(2, chosen="")])
    datasets.DatasetDict({"train": table, "test": table}).save_to_disk(tmp_path / "set")
    loaded = load_comparisons(tmp_path / "set", split="train")
    assert loaded.comparisons[0].provenance == Provenance(dataset="set", id="1")
    assert loaded.refused == {"a reply is empty": 1}
    assert loaded.digest.startswith("sha256:")


def test_messages_survive_parquet_and_saved_sets(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "hi"}]
    record = {"id": "1", "prompt": said, "replies": ["a", "b"], "ranks": [0, 1], "why": {"0>1": "x"}}
    other = record | {"id": "2", "why": {"1>0": "y"}, "ranks": [1, 0]}
    pq.write_table(pa.Table.from_pylist([record, other]), tmp_path / "a.parquet")
    datasets.Dataset.from_list([record, other]).save_to_disk(tmp_path / "set")
    for name in ("a.parquet", "set"):
        loaded = load_comparisons(tmp_path / name)
        assert [found.why for found in loaded.comparisons] == [{(0, 1): "x"}, {(1, 0): "y"}]


@pytest.mark.parametrize("name", ["missing.jsonl", "./missing", "missing", Path("some/where"), "a/b.parquet"])
def test_what_is_not_there_and_no_hub_name_is_an_error_at_once(name: str | Path) -> None:
    with pytest.raises(DataError, match=r"no such file or folder \(looked in .*\); expected 'starter', a file ending"):
        load_comparisons(name)


def test_a_hub_name_without_a_network_says_that_nothing_is_here_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"nobody/nothing: there is no such file.*hub data set could not be had"):
        load_comparisons("nobody/nothing")


def test_the_starter_set_is_in_the_package() -> None:
    packaged = Path(__file__).parents[2] / "preflab" / "data" / "starter" / "starter.jsonl"
    if not packaged.is_file():
        with pytest.raises(DataError, match="starter set is missing from this installation"):
            load_comparisons("starter")
        return
    loaded = load_comparisons("starter", limit=3)
    assert (loaded.source, loaded.format, loaded.refused) == ("starter", "preflab_jsonl", {})


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no real data at {SHARED}")
def test_real_harmlessness_comparisons_are_all_accounted_for() -> None:
    loaded = load_comparisons(SHARED / "data" / "preferences" / "hh_harmless_base.jsonl.gz")
    assert loaded.format == "hh"
    assert loaded.records == 1696
    assert len(loaded.comparisons) == 1690
    assert loaded.refused == {"a reply is empty": 3, "the two sides have different numbers of turns": 3}
    assert loaded.digest.removeprefix("sha256:") in (SHARED / "data" / "manifest.json").read_text()
    assert not any("\n\nHuman:" in reply for found in loaded.comparisons for reply in found.replies)
