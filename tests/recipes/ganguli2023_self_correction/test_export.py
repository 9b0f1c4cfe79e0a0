"""Files for fine-tuning and for other tools."""

import json
from pathlib import Path

import pytest

from preflab.data.dialogues import load_dialogues
from preflab.data.load import load_comparisons
from preflab.evals.suites.bias.prompt_templates import Benchmark, read_templates
from preflab.recipes.ganguli2023_self_correction.conditions import PromptSettings
from preflab.recipes.ganguli2023_self_correction.export import corrected_answers
from tests.recipes.ganguli2023_self_correction.tape import Tape, even, items_of, run


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


@pytest.mark.parametrize(("benchmark", "n"), [("bbq", 1), ("winogender", 1), ("admissions", 2)])
def test_export_pairs_the_plain_question_with_the_answer(benchmark: Benchmark, n: int, tmp_path: Path) -> None:
    """No instruction is left in the question, and the answer is the option that won, in words."""
    items = items_of(benchmark, tmp_path)[:1]
    (told,) = run(benchmark, "if", PromptSettings(), items, Tape(even, lambda ask: ""))
    assert told.outcome is not None
    found = corrected_answers(benchmark, items[0], told.outcome, PromptSettings())
    assert len(found) == n
    instruction = read_templates()[0][benchmark].lists["instruction"][0]
    for question, answer in found:
        assert instruction not in question
        assert answer
    if benchmark == "winogender":
        assert found[0][1] == "The baker told the guest that she bakes bread."
    if benchmark == "admissions":
        assert found[0][1].endswith('"no"')  # exactly one half is no
