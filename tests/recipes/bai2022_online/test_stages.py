"""Iterated online training on a tiny model: what it leaves behind, waiting and coming back, kills, others' studies."""

import json
import random
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from preflab.atomic_files import read_json
from preflab.data.load import load_comparisons
from preflab.data.store import judgements, people
from preflab.data.store.open import Store, open_store
from preflab.data.store.studies import find_study, revise_study
from preflab.errors import RunError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.study import StudyDefinition
from preflab.recipes.bai2022_online.report import stages_of, write_report
from preflab.recipes.bai2022_online.summary import summarise
from preflab.web.collect.worker import ReplyWorker
from tests.killing import Nursery, results

FEW = ["data.max_comparisons=30", "evaluation_prompts=3", "judgements=6", "final_judgements=4", "online_copies=2"]
SMALL = ["run", "online", "--scale", "smoke", "--quiet", "--name", "r", *(w for s in FEW for w in ("--set", s))]


@pytest.fixture(scope="module")
def finished(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds and a last one, judged by the run itself."""
    home = tmp_path_factory.mktemp("online")
    nursery.run([*SMALL, "--set", "best_of=2", "--runs", str(home)], home / "out.txt")
    return home / "r"


def stored(folder: Path) -> Store:
    return open_store(folder / "store.db", create=False)


def test_a_run_leaves_every_stage_policies_of_each_round_and_a_store_that_verifies(finished: Path) -> None:
    found = results(finished)
    config = read_json(finished / "config.json")["config"]
    assert set(stages_of(config["rounds"], config["final_judgements"])) <= set(found)
    for k in range(3):
        assert {"policy", "preference_model"} <= {path.name for path in (finished / "rounds" / str(k)).iterdir()}
    assert {"policy", "preference_model", "report.html"} <= {path.name for path in finished.iterdir()}
    store = stored(finished)
    assert judgements.verify(store).ok
    assert find_study(store, "online").revision == 3
    store.close()


def test_each_round_is_judged_on_the_newest_policies_and_learned_from_with_its_provenance(finished: Path) -> None:
    found = results(finished)
    assert found["deploy1"]["policies"] == ["start", "round-0", "round-0, best of 2"]
    assert found["deploy2"]["policies"] == ["start", "round-0", "round-1", "round-1, best of 2"]
    assert found["deploy3"]["policies"] == ["round-0", "round-1", "round-2", "round-2, best of 2"]
    for k in (1, 2):
        taught = load_comparisons(finished / "rounds" / str(k) / "comparisons.jsonl").comparisons
        assert len(taught) == found[f"collect{k}"]["comparisons"] >= 6
        for comparison in taught:
            assert set(comparison.provenance.policies) <= set(found[f"deploy{k}"]["policies"])
            assert comparison.provenance.id.startswith("online/") and comparison.provenance.annotator.startswith("p-")
    record = read_json(finished / "record.json")["judgements"]
    assert record["round 2"]["from"] == record["round 1"]["up_to"]
    assert len(record["round 2"]["hash"]) == 64


def test_every_model_is_fitted_to_old_and_new_data_in_the_stated_mix(finished: Path) -> None:
    found = results(finished)
    mixes = [found[f"preference{k}"]["mix"] for k in range(3)]
    assert [list(mix) for mix in mixes] == [["static"], ["static", "round 1"], ["static", "round 1", "round 2"]]
    assert len({mix["static"] for mix in mixes}) == 1
    assert mixes[1]["round 1"] == mixes[2]["round 1"] and mixes[1]["round 1"] % 2 == 0  # two copies of each
    steps = [found[f"preference{k}"]["steps"] for k in range(3)]
    assert steps[0] < steps[1] < steps[2]


def test_every_policy_starts_from_the_start_policy(finished: Path) -> None:
    steps = results(finished)["metrics"]
    firsts = [next(m for m in steps if m["stage"] == f"policy{k}") for k in range(3)]
    assert all(abs(first["kl"]) < 1e-4 for first in firsts)  # before its first update it is the start policy


def test_ratings_have_the_start_policy_at_zero_and_count_every_choice(finished: Path) -> None:
    found = results(finished)
    last = found["collect3"]["elo"]
    assert set(last["ratings"]) >= {"start", "round-0", "round-1", "round-2"}
    assert last["ratings"]["start"]["value"] == 0.0
    assert last["ratings"]["round-2"]["n"] == sum(len(found[f"collect{k}"]["votes"]) for k in (1, 2, 3))
    assert found["compare"]["elo"] == last


def test_how_much_of_the_known_preference_was_learned_is_measured(finished: Path) -> None:
    found = results(finished)
    for k in range(3):
        assert 0 <= found[f"preference{k}"]["known"]["value"] <= 1
        assert 0 <= found[f"measure{k}"]["known"]["wins"]["value"] <= 1
    assert len(found["compare"]["verdicts"]) >= 2


def test_the_report_is_one_file_with_every_round_and_nothing_is_markup(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    path = folder / "results" / "compare.json"
    told: dict[str, Any] = json.loads(path.read_text())
    told["examples"][0]["replies"]["start"] = "<script>alert(1)</script>"
    path.write_text(json.dumps(told))
    path = folder / "results" / "measure2.json"
    told = json.loads(path.read_text())
    told["facts"]["commonest_share"] = 0.9
    path.write_text(json.dumps(told))
    page = write_report(folder).read_text()
    assert "90 % of the replies of policy 2 are one and the same text." in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"<script|(?:src|href)=.(?!#)", page)
    for text in (
        "2 rounds of online training of tiny",
        "Scripted annotators",
        "after round 3",
        "The run is complete.",
        "last, ratings alone",
        "How much of the known preference was learned",
        "preflab run bai2022_online",
    ):
        assert text in page, text


def test_the_table_at_the_end_has_a_line_for_every_round(finished: Path) -> None:
    lines = {what: number for what, number, _ in summarise(finished)}
    assert {"static: policy, gain and KL", "round 2: policy, gain and KL", "Elo of round-2"} <= set(lines)
    assert "waiting for choices" not in lines


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_run_killed_at_random_moments_loses_and_repeats_nothing(seed: int, nursery: Nursery, tmp_path: Path) -> None:
    command = [*SMALL, "--set", "rounds=1", "--set", "final_judgements=0"]
    seconds = nursery.run([*command, "--runs", str(tmp_path / "whole")], tmp_path / "whole.txt")
    rng = random.Random(seed)
    kills = nursery.run_with_kills([*command, "--runs", str(tmp_path / "b")], tmp_path / "b.txt", rng, seconds)
    assert kills >= 2
    found, store = results(tmp_path / "b" / "r"), stored(tmp_path / "b" / "r")
    assert judgements.verify(store).ok
    with store.reading() as connection:
        votes = [j for j in judgements.judgements_of(connection, "online", statuses=("counted",)) if j.part >= 0]
    assert len(votes) >= 6 and len({(vote.slot, vote.part) for vote in votes}) == len(votes)
    assert found["collect1"]["comparisons"] >= 6
    assert [m["step"] for m in found["metrics"] if m["stage"] == "policy1"] == [1, 2]
    whole = results(tmp_path / "whole" / "r")
    assert found["preference0"] == whole["preference0"] and found["measure0"] == whole["measure0"]  # before any people
    store.close()


# people ----------------------------------------------------------------------------------------------------


def talk(store: Store, conversations: int) -> None:
    """Somebody who prefers the left reply, at the desk that the page uses."""
    who, desk = people.new_person(store), AnnotationService(store, "online")
    with ReplyWorker(store):
        for _ in range(conversations):
            task = desk.next_task(who)
            assert task is not None
            desk.conversation.send(task.slot, task.lease, who, f"say-{task.slot}-key", f"Hello number {task.slot}")
            while not desk.view(task.slot, who).turns[-1].ready:
                threading.Event().wait(0.02)
            desk.conversation.vote(task.slot, task.lease, who, f"vote-{task.slot}-key", 0, {"scale": "-2"})
            desk.submit(task.slot, task.lease, who, f"end-{task.slot}-key", {"finish": "1"})


def test_a_run_stops_to_wait_for_people_and_goes_on_when_they_have_judged(nursery: Nursery, tmp_path: Path) -> None:
    command = [*SMALL, "--runs", str(tmp_path)]
    for setting in (
        "annotators=people",
        "true_preference=null",
        "wait=stop",
        "rounds=1",
        "final_judgements=0",
        "judgements=4",
    ):
        command += ["--set", setting]
    out, folder = tmp_path / "out.txt", tmp_path / "r"
    nursery.run(command, out)
    assert "0 of 4 choices of study 'online' are there; start the same command again" in out.read_text()
    assert {what: text for what, text, _ in summarise(folder)}["waiting for choices"] == "round 1"
    assert "0 of 1 rounds are done" in write_report(folder).read_text()
    store = stored(folder)
    owned = StudyDefinition.from_mapping(find_study(store, "online").definition)
    revise_study(store, "online", replace(owned, instructions="Be strict.").to_json())  # the owner's change
    talk(store, 3)
    nursery.run(command, out)
    assert "3 of 4 choices" in out.read_text()
    talk(store, 1)
    nursery.run(command, out)
    found = results(folder)
    assert found["collect1"]["choices"] == found["collect1"]["comparisons"] == 4
    assert found["preference1"]["known"] is None and "known" not in found["compare"]
    assert find_study(store, "online").definition["instructions"] == "Be strict."
    assert "The run is complete." in write_report(folder).read_text()
    store.close()


def test_a_folder_of_another_recipe_has_no_report(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"recipe": "sft", "config": {}}')
    with pytest.raises(RunError, match="is a run of 'sft'; this report is of the recipe 'bai2022_online'"):
        write_report(tmp_path)
