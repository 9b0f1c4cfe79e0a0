"""What a study has gathered: the log, one judgement, taking it out of the count, exports."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.web.collect.lab import Browser, Lab, owner


@pytest.fixture
def ada(lab: Lab) -> Browser:
    return owner(lab)


def judge(lab: Lab, scale: str = "-1") -> int:
    """Judge the first task of ``red`` as a new person; the judgement's number."""
    browser = lab.browser(lab.person(("red", "annotator")))
    browser.post("/s/red/consent", agree="1")
    task = browser.get("/s/red/next").headers["location"]
    lease = browser.get(task).text.split('name="lease" value="')[1].split('"')[0]
    assert browser.post(task, key=f"key of {task}", lease=lease, scale=scale).status_code == 303
    row = lab.program(lab.person(("red", "reviewer")), "red", "reviewer").get("/api/studies/red/judgements").json()
    return int(row["next"])


def test_the_log_counts_kinds_and_links_to_judgements(lab: Lab, ada: Browser) -> None:
    seq = judge(lab)
    text = ada.get("/s/red/log").text
    assert "1 judgement" in text and f'href="/s/red/judgements/{seq}"' in text
    assert "The store's last event is" in text


def test_a_judgement_is_shown_whole_and_one_that_is_none_is_not_found(lab: Lab, ada: Browser) -> None:
    seq = judge(lab)
    text = ada.get(f"/s/red/judgements/{seq}").text
    assert f"<h1>Judgement {seq}</h1>" in text and "&#34;strength&#34;: 1" in text
    answer = ada.get(f"/s/red/judgements/{seq - 1}")  # an event, but no judgement
    assert answer.status_code == 404 and "has no judgement" in answer.text


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_taking_a_judgement_out_of_the_count_wants_a_reason(reason: str, lab: Lab, ada: Browser) -> None:
    seq = judge(lab)
    assert ada.post(f"/s/red/judgements/{seq}/discard", reason=reason).status_code == 422
    assert "<p>counted · " in ada.get(f"/s/red/judgements/{seq}").text


def test_a_judgement_that_is_taken_out_no_longer_counts_and_its_slot_is_free(lab: Lab, ada: Browser) -> None:
    seq = judge(lab)
    assert "1 of 6 judgements are in" in ada.get("/s/red/results").text
    answer = ada.post(f"/s/red/judgements/{seq}/discard", reason="a test of ours")
    assert answer.headers["location"] == f"/s/red/judgements/{seq}"
    text = ada.get(f"/s/red/judgements/{seq}").text
    assert "<p>withdrawn · " in text and "/discard" not in text
    assert "0 of 6 judgements are in" in ada.get("/s/red/results").text


def test_results_offer_every_export_and_the_manifest_is_of_the_data(lab: Lab, ada: Browser) -> None:
    judge(lab)
    assert 'href="/s/red/export/judgements"' in ada.get("/s/red/results").text
    data = ada.get("/s/red/export/judgements")
    assert data.headers["content-type"] == "application/jsonl; charset=utf-8"
    assert "attachment" in data.headers["content-disposition"]
    assert "red.judgements.jsonl" in data.headers["content-disposition"]
    manifest = ada.get("/s/red/export/judgements?manifest=1").json()
    assert manifest["sha256"] == hashlib.sha256(data.content).hexdigest()
    assert manifest["records"] == len(data.text.splitlines()) == 1


def test_an_export_up_to_an_event_leaves_out_what_came_later(lab: Lab, ada: Browser) -> None:
    first = judge(lab)
    judge(lab, scale="1")
    lines = ada.get(f"/s/red/export/judgements?up_to={first}").text.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [first]
    assert len(ada.get("/s/red/export/judgements").text.splitlines()) == 2


def test_a_site_under_a_path_links_exports_under_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path, root_path="/lab")
    lab.study("red")
    assert 'href="/lab/s/red/export/trl"' in owner(lab).get("/s/red/results").text
    lab.close()
