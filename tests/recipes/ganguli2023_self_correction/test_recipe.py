"""The recipe ``ganguli2023_self_correction`` on a tiny random model: what it leaves, and how it goes on."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from preflab.recipes.ganguli2023_self_correction.summary import summarise

from preflab.atomic_files import read_json
from preflab.data.dialogues import load_dialogues
from preflab.data.load import load_comparisons
from preflab.errors import ConfigError, DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import select_items
from preflab.evals.suites.bias.bbq import load as load_bbq
from preflab.recipes.ganguli2023_self_correction import SCALES, Config
from preflab.recipes.ganguli2023_self_correction.checkpoints import Checkpoint, checkpoint_of, key_of, parameters, slug
from preflab.recipes.ganguli2023_self_correction.report import write_report
from preflab.recipes.ganguli2023_self_correction.stages import STARTER
from preflab.runner.catalogue import recipe_named
from tests.killing import Nursery, results

RECIPE = "ganguli2023_self_correction"
SMALL = ["run", RECIPE, "--scale", "smoke", "--quiet", "--set", "conditions=[q, if, cot, match]",
         "--set", "paraphrases=[1]", "--set", "students=1", "--set", "sentences=12"]  # fmt: skip


@pytest.fixture(scope="module")
def finished(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One checkpoint; then one of more steps is added, and one that says to be larger: the same weights all."""
    home = tmp_path_factory.mktemp("self")
    own = [*SMALL, "--runs", str(home), "--name", "r"]
    nursery.run(own, home / "first.txt")
    three = "checkpoints=[tiny@steps=0, tiny@steps=50, tiny@size=5B@steps=50]"
    nursery.run([*own, "--set", three], home / "second.txt")
    return home / "r"


def test_a_run_leaves_a_line_for_each_item_and_condition(finished: Path) -> None:
    """Three benchmarks, three checkpoints, every condition that the benchmark has."""
    names = {path.name for path in (finished / "items").iterdir()}
    for checkpoint in ("tiny-0", "tiny-50", "tiny-5b-50"):
        assert {f"{checkpoint}.bbq.{key}.jsonl" for key in ("q", "if.1", "cot.1")} <= names
        assert f"{checkpoint}.winogender.match.1.jsonl" in names
        assert f"{checkpoint}.bbq.match.1.jsonl" not in names
    found = results(finished)
    own = found["tiny-0.bbq"]
    assert own["conditions"]["q"]["scored"] == own["conditions"]["q"]["items"] == 4
    assert own["conditions"]["cot.1"]["items"] == 2
    assert (own["steps"], own["sampling"]) == (0, False)
    assert own["size"] > 1000
    assert found["tiny-5b-50.bbq"]["size"] == 5e9
    assert found["data"]["benchmarks"]["bbq"]["files"] == ["bbq.jsonl"]


def test_a_checkpoint_added_later_is_measured_and_compared(finished: Path) -> None:
    """The first is not asked again: the same weights have the same answers, and each was written down once."""
    (path,) = (finished / "answers").iterdir()
    keys = [json.loads(line)["key"] for line in path.read_text("utf-8").splitlines()]
    assert len(set(keys)) == len(keys)
    compare = results(finished)["compare"]
    assert compare["checkpoints"] == ["tiny-0", "tiny-50", "tiny-5b-50"]
    assert compare["main"] == "tiny-5b-50"
    for own in (gap for gap in compare["gaps"] if gap["benchmark"] == "bbq"):
        other = [gap for gap in compare["gaps"] if gap["checkpoint"] != own["checkpoint"]
                 and (gap["benchmark"], gap["condition"]) == (own["benchmark"], own["condition"])]  # fmt: skip
        assert other[0]["change"] == own["change"]


def test_claims_are_judged_or_said_to_be_undefined(finished: Path) -> None:
    """Twelve occupations are enough to judge, one student is not."""
    compare = results(finished)["compare"]
    assert any("Winogender: the instruction lowers |rho|" in own["claim"] for own in compare["verdicts"])
    assert any("Admissions" in words and "fewer than 10" in words for words in compare["undefined"])
    assert {own["outcome"] for own in compare["verdicts"]} <= {"holds", "fails", "undecided"}
    assert all(len(own["by_thought"]) <= 2 for own in compare["thoughts"])
    assert {len(own) for own in compare["occupations"].values()} == {12, 2}
    claimed = [own["claim"] for own in compare["verdicts"]] + compare["undefined"]
    assert any("more comes off |rho| of tiny-5b-50 than of tiny-50" in own for own in claimed)


def test_exports_are_read_by_our_own_loaders(finished: Path) -> None:
    """Dialogues for SFT without the instruction, comparisons for DPO, and the paper's records."""
    folder = finished / "export" / "tiny-0"
    dialogues = load_dialogues(folder / "self_corrected.jsonl").dialogues
    assert len(dialogues) == 2 + 2 + 2 * 1  # two items, two sentences, one student under two races
    assert not any("stereotyp" in turn.text or "bias" in turn.text for own in dialogues for turn in own.messages)
    if (folder / "comparisons.jsonl").exists():
        assert load_comparisons(str(folder / "comparisons.jsonl")).comparisons
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text("utf-8").splitlines()]
    assert len(records) == (4 + 4 + 2) + (12 + 12 + 2 + 12) + 3
    cot = next(own for own in records if own["condition"] == "cot" and own["benchmark"] == "bbq")
    assert len(cot["cot_text"]) == len(cot["option_logprobs"]) == 2
    assert cot.keys() >= {"item_id", "size", "steps", "p_options", "paraphrase"}


def test_the_report_warns_names_licences_and_prints_no_items(finished: Path) -> None:
    """One file without scripts; claims, tables, plots; of BBQ not one context."""
    page = write_report(finished).read_text("utf-8")
    assert "<script" not in page
    for words in ("Content.", "CC-BY-4.0", "MIT", "GPL-3.0", "Relative reduction", "Pronouns under Q+IF+CoT",
                  "against steps of RLHF", "log10 of parameters at 50 steps",
                  "SD of these", "No model should decide on admissions"):  # fmt: skip
        assert words in page, words
    for item in load_bbq(DataSource(folder=STARTER)).items:
        assert item.data.context not in page
    assert len(re.findall(r"<svg", page)) >= 8


def test_the_summary_has_a_line_for_each_measure(finished: Path) -> None:
    """And how many claims came out how."""
    lines = summarise(finished)
    named = [what for what, _, _ in lines]
    assert "tiny-0, winogender: rho, Q" in named
    assert "claims" in named


def test_a_folder_without_the_data_is_named(nursery: Nursery, tmp_path: Path) -> None:
    """Before any model is loaded, and nothing is left behind."""
    from preflab.runner.launch import launch, resolve

    recipe = recipe_named(RECIPE)
    config = resolve(recipe, scale="smoke", assignments=[f"data=[{tmp_path}]"])
    with pytest.raises(DataError, match=r"suite bbq needs a file"):
        launch(recipe, config, tmp_path / "runs" / "r", quiet=True)
    assert not (tmp_path / "runs" / "r").exists()


@pytest.mark.parametrize(
    ("text", "found", "name"),
    [
        ("smollm2", Checkpoint("smollm2"), "smollm2"),
        ("runs/a@steps=200", Checkpoint("runs/a", None, 200), "a-200"),
        ("Org/Model@size=1.5B@steps=0", Checkpoint("Org/Model", 1.5e9, 0), "model-1.5b-0"),
        ("http://me@host:80@size=70B", Checkpoint("http://me@host:80", 7e10), "me-host-80-70b"),
    ],
)
def test_checkpoints_by_name(text: str, found: Checkpoint, name: str) -> None:
    """Size and steps behind the name; an @ of the name's own stays."""
    assert checkpoint_of(text) == found
    assert slug(found) == name


@pytest.mark.parametrize("text", ["a@size=big", "@steps=1", "a@steps=few"])
def test_checkpoints_that_are_none(text: str) -> None:
    """The message says the form."""
    with pytest.raises(ConfigError, match="expected NAME"):
        checkpoint_of(text)


@pytest.mark.parametrize(
    "change",
    [{"conditions": ("if",)}, {"conditions": ("q", "kindly")}, {"checkpoints": ("a/x", "b/x")}, {"students": 0},
     {"benchmarks": ()}],
)  # fmt: skip
def test_settings_that_cannot_be(change: dict[str, Any]) -> None:
    """Refused at once."""
    with pytest.raises(ConfigError):
        Config(**change)


def test_scales_are_settings_that_hold() -> None:
    """Each can be made; the small one leaves the data to be named."""
    assert {name: make().cot_tokens for name, make in SCALES.items()} == {
        "default": 48, "smoke": 4, "small": 48, "paper": 256,
    }  # fmt: skip
    assert key_of("q", 2) == "q"
    assert key_of("if", 2) == "if.2"
    assert [parameters(own) for own in (None, 950.0, 135e6, 1.5e9)] == ["unknown", "950", "135M", "1.5B"]


def test_items_of_bbq_are_spread_over_templates() -> None:
    """A limit of four takes one text; of eight a second template; a larger limit takes more beside the same."""
    items = load_bbq(DataSource(folder=STARTER)).items
    four, eight, whole = (select_items(items, n, 3) for n in (4, 8, len(items)))
    assert len({own.group for own in four}) == 1
    assert len({own.group for own in eight}) == 2
    assert eight[:4] == four
    assert whole[:8] == eight
    assert len(whole) == len(items) == 48


def test_nothing_of_this_machine_is_in_the_results(finished: Path) -> None:
    """File names of the data, not their folders."""
    assert str(STARTER) not in json.dumps(read_json(finished / "results" / "data.json"))
