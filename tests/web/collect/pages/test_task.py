"""The way of an annotator: consent, practice, tasks, history."""

import re

import pytest

from preflab.data.store.studies import revise_study
from preflab.feedback.study import parse_study
from tests.web.collect.lab import RANK, Browser, Lab

CAREFUL = """
name: {name}
protocol: rank
title: Which is better?
warning: Some of it may upset.
lease_minutes: 10
practice_right: 1
items:
  - {{prompt: "Why is the sky blue?", replies: [Rayleigh., It is not.]}}
practice:
  - {{prompt: "The capital of Norway?", replies: [Oslo., Bergen.], best: 0, feedback: "Oslo it is."}}
"""


@pytest.fixture
def browser(lab: Lab) -> Browser:
    """Somebody who was let into the study ``careful`` and has done nothing yet."""
    lab.study("careful", CAREFUL)
    browser = lab.browser(lab.person(("careful", "reviewer")))
    return browser


def hidden(page: str) -> dict[str, str]:
    form = page.split('class="judge"', 1)[1].split("</form>")[0]
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))


def prefer(page: str, reply: str, other: str) -> str:
    """The far end of the scale, on the side where a reply stands."""
    return "-4" if page.index(f"<bdi>{reply}") < page.index(f"<bdi>{other}") else "4"


def practise(browser: Browser, right: bool) -> str:
    page = browser.get("/s/careful/practice").text
    action = re.search(r'action="(/s/careful/practice/\d+)"', page)
    assert action is not None
    scale = prefer(page, "Oslo.", "Bergen.") if right else prefer(page, "Bergen.", "Oslo.")
    answer = browser.post(action.group(1), **hidden(page), scale=scale)
    assert answer.status_code == 200
    return str(answer.text)


def begin(browser: Browser) -> str:
    """Agree, practise, and take the first task; its path."""
    browser.post("/s/careful/consent", agree="1", warned="1")
    practise(browser, right=True)
    return str(browser.get("/s/careful/next").headers["location"])


def test_both_boxes_must_be_ticked_before_the_first_task(browser: Browser) -> None:
    assert browser.get("/s/careful/next").headers["location"] == "/s/careful"
    page = browser.get("/s/careful").text
    assert "Some of it may upset." in page and 'name="warned"' in page
    for form in ({}, {"agree": "1"}, {"warned": "1"}):
        assert browser.post("/s/careful/consent", **form).status_code == 422
    assert browser.post("/s/careful/consent", agree="1", warned="1").headers["location"] == "/s/careful/next"
    assert browser.get("/s/careful/next").headers["location"] == "/s/careful/practice"


def test_practice_says_what_was_right_and_comes_again_until_enough_is(browser: Browser) -> None:
    browser.post("/s/careful/consent", agree="1", warned="1")
    text = practise(browser, right=False)
    assert "Not quite." in text and "Oslo it is." in text
    assert browser.get("/s/careful/next").headers["location"] == "/s/careful/practice"
    assert "Right." in practise(browser, right=True)
    assert "/s/careful/task/" in browser.get("/s/careful/next").headers["location"]
    assert browser.get("/s/careful/practice").headers["location"] == "/s/careful/next"


def test_an_incomplete_judgement_comes_back_as_it_was_filled_in(browser: Browser) -> None:
    task = begin(browser)
    form = hidden(browser.get(task).text)
    answer = browser.post(task, **form, comment="hard to tell")
    assert answer.status_code == 422 and "Not sent yet." in answer.text and "hard to tell" in answer.text
    assert hidden(answer.text)["key"] == form["key"]
    assert browser.post(task, **form, scale="2").headers["location"] == "/s/careful/next"
    assert "nothing left for you" in browser.get("/s/careful/next").text
    assert "This task is done and kept." in browser.get(task).text


def test_a_judgement_can_be_undone_while_its_lease_runs(lab: Lab, browser: Browser) -> None:
    task = begin(browser)
    browser.post(task, **hidden(browser.get(task).text), scale="2")
    undo = re.search(r'action="(/s/careful/history/\d+/undo)"', browser.get("/s/careful/history").text)
    assert undo is not None
    assert browser.post(undo.group(1)).headers["location"] == "/s/careful/next"
    assert browser.get("/s/careful/next").headers["location"] == task
    browser.post(task, **hidden(browser.get(task).text), scale="-2")
    lab.clock.forward(11 * 60)
    assert "/undo" not in browser.get("/s/careful/history").text


def test_a_task_is_held_while_its_page_is_open_and_late_work_is_kept_but_not_counted(
    lab: Lab, browser: Browser
) -> None:
    task = begin(browser)
    form = hidden(browser.get(task).text)
    lab.clock.forward(6 * 60)
    assert browser.post(f"{task}/keep").json() == {"left_ms": 10 * 60_000}
    lab.clock.forward(11 * 60)
    answer = browser.post(task, **form, scale="1")
    assert answer.status_code == 200 and "it does not count" in answer.text


def test_a_task_that_is_put_back_is_free_for_somebody_else(lab: Lab, browser: Browser) -> None:
    task = begin(browser)
    other = lab.browser(lab.person(("careful", "reviewer")))
    other.post("/s/careful/consent", agree="1", warned="1")
    practise(other, right=True)
    assert "nothing left for you" in other.get("/s/careful/next").text
    assert browser.post(f"{task}/skip").headers["location"] == "/s/careful"
    assert other.get("/s/careful/next").headers["location"] == task
    assert browser.get(task).status_code in (404, 409)


def test_another_consent_text_must_be_agreed_to_anew(lab: Lab) -> None:
    browser = lab.browser(lab.person(("red", "annotator")))
    assert "/s/red/task/" in browser.get("/s/red/next").headers["location"]
    revised = parse_study(RANK.format(name="red") + "consent: We keep more now.\n").definition
    revise_study(lab.store, "red", revised.to_json())
    assert browser.get("/s/red/next").headers["location"] == "/s/red"
    assert "We keep more now." in browser.get("/s/red").text
    browser.post("/s/red/consent", agree="1")
    assert "/s/red/task/" in browser.get("/s/red/next").headers["location"]


def test_who_leaves_a_study_gets_no_more_of_its_tasks(lab: Lab, browser: Browser) -> None:
    begin(browser)
    assert browser.post("/s/careful/leave").headers["location"] == "/"
    assert browser.get("/s/careful/next").headers["location"] == "/s/careful"
