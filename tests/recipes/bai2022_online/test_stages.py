"""Iterated online training on a tiny model: what it leaves behind, waiting and coming back, kills, others' studies."""

import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from preflab.atomic_files import read_json
from preflab.data.load import load_comparisons
from preflab.data.store import judgements, people
from preflab.data.store.open import Store, open_store
from preflab.data.store.studies import find_study, revise_study
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.study import StudyDefinition
from preflab.recipes.bai2022_online.report import stages_of, write_report
from preflab.recipes.bai2022_online.summary import summarise
from preflab.web.collect.worker import ReplyWorker
from tests.killing import Nursery, results
from tests.recipes.bai2022_online.command import SMALL


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


def test_ratings_count_every_choice_between_two_policies_with_the_start_policy_at_zero(finished: Path) -> None:
    found = results(finished)
    votes = [vote for k in (1, 2, 3) for vote in found[f"collect{k}"]["votes"] if vote[0] != vote[1]]
    last = found["collect3"]["elo"]
    judged = {name for vote in votes for name in vote[:2]}
    assert set(last["ratings"]) == judged  # in four choices the last policy may not have been drawn once
    assert last["ratings"]["start" if "start" in judged else min(judged)]["value"] == 0.0
    assert {rating["n"] for rating in last["ratings"].values()} == {len(votes)}
    assert found["compare"]["elo"] == last


def test_how_much_of_the_known_preference_was_learned_is_measured(finished: Path) -> None:
    found = results(finished)
    for k in range(3):
        assert 0 <= found[f"preference{k}"]["known"]["value"] <= 1
        assert 0 <= found[f"measure{k}"]["known"]["wins"]["value"] <= 1
    assert len(found["compare"]["verdicts"]) >= 2


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
