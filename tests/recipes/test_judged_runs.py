"""Runs whose comparisons a judge labels, from the command line to the report, with judges of every kind."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from preflab.data.comparison import Comparison
from preflab.data.load import load_comparisons
from preflab.data.store import Store, open_store
from preflab.data.write import write_comparisons
from preflab.errors import StoreError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.label_comparisons import label_comparisons, pairs_of
from preflab.feedback.labellers.oracle import OracleLabeller
from preflab.feedback.labellers.rules import BOTH_BAD
from preflab.feedback.labellers.synthetic_annotator import SyntheticPreference
from preflab.feedback.recorded_labels import pair_key
from preflab.interfaces import Labeller
from preflab.recipes import rafailov2023_dpo
from preflab.recipes.common import comparison_parts
from preflab.recipes.common.open_models import ModelLoading, open_judge, open_scorer
from preflab.run import Run
from tests.feedback.conftest import somebody
from tests.killing import Nursery, killed_and_whole, results

FEW = ["--scale", "smoke", "--quiet", "--set", "data.max_comparisons=20", "--set", "evaluation_prompts=2"]
DPO = ["run", "dpo", *FEW]
STORE_ERROR = StoreError.exit_code
ORACLE = OracleLabeller(SyntheticPreference(criterion="brief", noise=0.0), name="oracle:brief")


def answers(run: Path) -> dict[str, float | str]:
    """Digest of each pair -> its label, or why it has none."""
    blocks = [json.loads(line)["value"] for line in (run / "results" / "labels.jsonl").read_text().splitlines()]
    return {key: answer for block in blocks for key, answer in block["answers"].items()}


@pytest.fixture(scope="module")
def home(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one of ``align`` up to its preference model, judged by an oracle: ``a``."""
    runs = tmp_path_factory.mktemp("judged")
    command = ["align", *FEW, "--until", "preference", "--judge", "oracle:brief", "--runs", str(runs), "--name", "a"]
    nursery.run(command, runs / "out.txt")
    return runs


def test_an_oracle_is_what_align_fits_and_the_report_says_so(home: Path) -> None:
    data = results(home / "a")["data"]["judge"]
    assert sum(data["pairs"].values()) == len(answers(home / "a"))
    assert set(data["pairs"]) == {"train", "judge", "held_out"}
    page = (home / "a" / "report.html").read_text()
    assert "are of the judge oracle:brief: it was asked about" in page
    assert f"of {data['agreement']['n']} pairs" in page
    assert "judge agrees with the labels before" in (home / "out.txt").read_text()
    by_length = results(home / "a")["preference"]["baselines"]["length"]["value"]
    assert by_length == 1.0  # the shorter reply wins each held-out pair: the baseline that knows it is never wrong


def test_a_judged_run_fits_as_one_on_a_file_with_these_labels(nursery: Nursery, tmp_path: Path) -> None:
    path = tmp_path / "relabelled.jsonl"
    write_comparisons(label_comparisons(load_comparisons("starter").comparisons, ORACLE).comparisons, path)
    runs = ["--runs", str(tmp_path)]
    nursery.run([*DPO, *runs, "--name", "judged", "--judge", "oracle:brief"], tmp_path / "out.txt")
    nursery.run([*DPO, *runs, "--name", "file", "--set", f"data.comparisons={path}"], tmp_path / "out.txt")
    judged, plain = results(tmp_path / "judged"), results(tmp_path / "file")
    assert judged["metrics"] == plain["metrics"] and len(judged["metrics"]) >= 2
    assert judged["dpo"] == plain["dpo"] and judged["measure"] == plain["measure"]
    assert plain["data"].pop("judge") is None and judged["data"].pop("judge") is not None
    assert judged["data"] == plain["data"]


def test_the_preference_model_of_a_run_judges_another(nursery: Nursery, home: Path) -> None:
    nursery.run([*DPO, "--judge", "pm:a", "--runs", str(home), "--name", "pm"], home / "pm.txt")
    scorer, _ = open_scorer("a", ModelLoading(runs=str(home), device="cpu"))
    labels = answers(home / "pm")
    pairs = {pair_key(pair): pair for pair in pairs_of(load_comparisons("starter").comparisons)}
    assert len(labels) >= 20
    for key, prob in labels.items():
        first, second = scorer(pairs[key].dialogues()).tolist()
        assert prob == pytest.approx(1 / (1 + math.exp(second - first)), abs=1e-4)
    assert results(home / "pm")["data"]["judge"]["judge"].startswith("pm:a@")


def test_rules_of_a_file_judge_and_what_they_bar_is_left_out_and_counted(nursery: Nursery, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "- {id: short, category: form, goal: helpful, text: Be brief., check: {longer_than: 90}}\n"
        "- {id: long, category: form, goal: helpful, text: Not too long., check: {longer_than: 140}, veto: true}\n"
    )
    nursery.run([*DPO, "--judge", f"rules:{rules}", "--runs", str(tmp_path), "--name", "r"], tmp_path / "out.txt")
    judged = results(tmp_path / "r")["data"]["judge"]
    labels = answers(tmp_path / "r")
    pairs = {pair_key(pair): pair for pair in pairs_of(load_comparisons("starter").comparisons)}
    for key, label in labels.items():
        lengths = [len(reply) for reply in pairs[key].replies]
        barred = [length > 140 for length in lengths]
        penalty = [(length > 90) + (length > 140) for length in lengths]
        expected = BOTH_BAD if all(barred) else 0.5 + ((penalty[0] < penalty[1]) - (penalty[0] > penalty[1])) / 2
        assert label == expected
    assert judged["abstained"] == {BOTH_BAD: sum(label == BOTH_BAD for label in labels.values())}
    assert judged["abstained"][BOTH_BAD] > 0
    page = (tmp_path / "r" / "report.html").read_text()
    assert f"Not labelled: {judged['abstained'][BOTH_BAD]} pairs, since both are bad." in page


def test_a_language_model_that_answers_nothing_ends_the_run_and_is_not_asked_again(
    nursery: Nursery, tmp_path: Path
) -> None:
    command = [*DPO, "--judge", "model:tiny", "--runs", str(tmp_path), "--name", "m"]
    for start in range(2):
        nursery.start(command, tmp_path / "out.txt")
        assert nursery.wait(120) == 2
        assert "finds no reply better than another in part 'train': " in (tmp_path / "out.txt").read_text()
        labels = answers(tmp_path / "m")
        assert set(labels.values()) == {"the judge answers neither"}
        (responses,) = (tmp_path / "m" / "answers").iterdir()
        assert len(responses.read_text().splitlines()) <= 2 * len(labels)
        if start == 0:
            before = responses.read_bytes()
    assert responses.read_bytes() == before


def judge_the_shorter(store: Store) -> int:
    """Someone judges all that is open, by the number of characters; how many pairs."""
    annotator, service, n_judged = somebody(store), AnnotationService(store, "s"), 0
    while (screen := service.next_task(annotator)) is not None:
        left, right = (len(reply) for reply in screen.content["replies"])
        form = {"scale": str((left > right) - (left < right))}
        service.submit(screen.slot, screen.lease, annotator, f"key-{n_judged:06d}", form)
        n_judged += 1
    return n_judged


def test_people_judge_between_two_starts(nursery: Nursery, tmp_path: Path) -> None:
    spec = f"human:s,store={tmp_path / 'store.db'},wait=false"
    command = [*DPO, "--judge", spec, "--runs", str(tmp_path), "--name", "h"]
    nursery.start(command, tmp_path / "out.txt")
    assert nursery.wait(120) == STORE_ERROR
    message = (tmp_path / "out.txt").read_text()
    assert "start the same command again when they are judged" in message and "Traceback" not in message
    store = open_store(tmp_path / "store.db")
    n_pairs = judge_the_shorter(store)
    store.close()
    assert f"0 of {n_pairs} comparisons of study 's' are judged so far, {n_pairs} wait for people" in message
    nursery.run(command, tmp_path / "out.txt")
    pairs = {pair_key(pair): pair for pair in pairs_of(load_comparisons("starter").comparisons)}
    labels = answers(tmp_path / "h")
    assert len(labels) == n_pairs >= 20
    for key, label in labels.items():
        first, second = map(len, pairs[key].replies)
        assert label == 0.5 + ((first < second) - (first > second)) / 2
    assert results(tmp_path / "h")["data"]["judge"]["judge"] == "human:s"


def test_a_run_killed_after_labelling_ends_as_the_unbroken_one_without_asking_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = rafailov2023_dpo.smoke()
    data = replace(start.data, max_comparisons=20, judge="oracle:brief,noise=0.2")
    config = replace(start, data=data, evaluation_prompts=2)
    opened: list[Path] = []

    def open_and_note(spec: str, run: Run, **more: Any) -> Labeller[Comparison]:
        opened.append(run.folder)
        return open_judge(spec, run, **more)

    monkeypatch.setattr(comparison_parts, "open_judge", open_and_note)
    cut, unbroken = killed_and_whole(rafailov2023_dpo.main, config, "rafailov2023_dpo", tmp_path, monkeypatch, at=1)
    assert opened == [unbroken, cut]  # the second start of the one that was cut off opened no judge
    assert results(cut) == results(unbroken)
