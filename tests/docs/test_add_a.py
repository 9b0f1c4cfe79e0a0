"""What the pages on adding a recipe, judge, protocol, format and suite show is complete and does what they say."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from preflab.errors import DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import measure_results, run_items
from preflab.feedback.labellers import specs
from preflab.feedback.protocols.protocol import JudgementProtocol
from preflab.maths.statistics import Estimate
from preflab.reporting.run_files import read_results
from preflab.runner import catalogue
from preflab.runner.catalogue import Recipe
from preflab.runner.launch import launch
from tests.docs.test_names_in_docs import ROOT
from tests.docs.test_pages import code_blocks
from tests.evals.synthetic import Scripted, saying


def run_page(name: str, module: ModuleType | None = None) -> dict[str, Any]:
    """Run every Python snippet of a page in order, in one namespace."""
    page = ROOT / "docs" / f"{name}.md"
    names = {"__name__": name} if module is None else vars(module)
    snippets = code_blocks(page, "python")
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, str(page), "exec"), names)
    return names


def test_the_recipe_runs_as_preflab_run_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("preflab.recipes.example2020_length")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    run_page("add-a-recipe", module)
    recipe = Recipe("example2020_length", module.__name__, str(module.__doc__), tuple(module.SCALES))
    monkeypatch.setattr(catalogue, "recipes", lambda: {recipe.name: recipe})
    folder = tmp_path / "run"
    assert launch(recipe, module.SCALES["smoke"](), folder, quiet=True)
    [verdict] = read_results(folder)["lengths"]["verdicts"]
    assert verdict["outcome"] in ("holds", "fails", "undecided")
    assert (folder / "report.html").read_text(encoding="utf-8").count("the shorter reply wins") >= 1
    names = [name for name, _, _ in module.summarise(folder)]
    assert names[0] == "shorter wins"
    assert not launch(recipe, module.SCALES["smoke"](), folder, quiet=True)  # finished: nothing is done again


def test_the_recipe_measures_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from preflab.data.comparison import Comparison
    from preflab.data.dialogue import Dialogue

    module = ModuleType("preflab.recipes.example2020_length")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = run_page("add-a-recipe", module)
    ranked = [  # shorter better, longer better, shorter better, equal lengths: two of three
        Comparison(prompt=Dialogue.of(str(i)), replies=replies, ranks=(0, 1))
        for i, replies in enumerate([("a", "bbb"), ("aaa", "b"), ("aa", "bbb"), ("aa", "bb")])
    ]
    loaded = type("Loaded", (), {"comparisons": ranked})
    names["load_comparisons"] = lambda name, limit: loaded
    estimate = names["measure"](names["Config"]()).shorter_wins
    assert isinstance(estimate, Estimate)
    assert (estimate.value, estimate.n) == (pytest.approx(2 / 3), 3)


def test_the_judge_labels_and_its_page_names_what_there_is() -> None:
    run_page("add-a-judge")  # it asserts what it shows
    assert "shorter" not in specs.KINDS
    text = (ROOT / "docs" / "add-a-judge.md").read_text(encoding="utf-8")
    for kind in specs.KINDS:
        assert f"| `{kind}" in text, f"the page's table lacks the kind {kind}"


def test_the_protocol_reads_items_and_answers_and_refuses_the_rest_by_name() -> None:
    protocol = run_page("add-a-protocol")["PROTOCOL"]
    assert isinstance(protocol, JudgementProtocol)
    item = protocol.read_item({"prompt": "Hi", "replies": ["Hello."], "acceptable": True})
    assert item["prompt"] == [{"role": "user", "content": "Hi"}]
    answer = protocol.read_answer({"answer": "no"}, item, (0,))
    assert answer["acceptable"] is False
    assert protocol.right(answer, item) is False
    assert protocol.questions(answer)["acceptable"].value == "False"
    with pytest.raises(DataError) as refused:
        protocol.read_answer({"answer": "perhaps"}, item, (0,))
    assert refused.value.field == "answer"
    with pytest.raises(DataError) as refused:
        protocol.read_item({"prompt": "Hi", "replies": ["Hello."], "acceptible": True})
    assert refused.value.field == "acceptible"


def test_the_format_reads_what_it_recognises() -> None:
    source = run_page("add-a-data-format")["SOURCE"]
    record = {"question": "Sky?", "answer_a": "Blue.", "answer_b": "Green.", "winner": "b"}
    assert source.recognise(record)
    assert not source.recognise({"prompt": "Sky?", "chosen": "Blue.", "rejected": "Green."})
    read = source.read(record)
    assert (read.replies, read.ranks) == (("Blue.", "Green."), (1, 0))
    assert source.read(record | {"winner": "tie"}).ranks == (0, 0)
    with pytest.raises(DataError):
        source.read({k: v for k, v in record.items() if k != "winner"})


def test_the_suite_measures_what_the_model_writes(tmp_path: Path) -> None:
    suite = run_page("add-a-suite")["SUITE"]
    rows = [{"question": f"Is {n} even?", "answer": n % 2 == 0} for n in range(4)]
    (tmp_path / "yes_no.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    items = suite.load(DataSource(folder=tmp_path)).items

    def reply(request: Any) -> str:  # right on 0, wrong on 1 and 2, unreadable on 3
        return "Who knows?" if "3" in request.prompt.messages[-1].text else "No." if "2" in str(request) else "Yes."

    results = run_items(suite.variants[0], items, {"policy": Scripted(saying(reply))})
    [accuracy] = [m.estimate for m in measure_results(suite.measures, results) if m.name == "accuracy"]
    assert accuracy is not None
    assert (accuracy.value, accuracy.n) == (pytest.approx(1 / 3), 3)
