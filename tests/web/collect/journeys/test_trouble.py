"""Double clicks, the back button, lost connections, refusals, expired leases: nothing is lost, nothing counts twice."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from preflab.data.store import people
from tests.web.collect.journeys.lab import OFFLINE, PAIR, Lab, Visit, join, pick, send

CHAT = """
name: chat
protocol: chat
policies:
  - {name: small, model: tiny, max_new_tokens: 12}
items:
  - topic: anything
"""


@pytest.fixture
def page(lab: Lab, visit: Visit) -> Page:
    """An annotator before the first of two tasks."""
    lab.study(PAIR)
    found = visit.window()
    join(found, lab.link("pair"))
    expect(found.get_by_text("First prompt")).to_be_visible()
    return found


def test_a_double_click_sends_one_judgement(lab: Lab, page: Page) -> None:
    pick(page, 1)
    page.get_by_role("button", name="Send").dblclick()
    expect(page.get_by_text("Second prompt")).to_be_visible()
    assert len(lab.answers("pair")) == 1


def test_the_back_button_shows_that_the_task_is_done(lab: Lab, page: Page) -> None:
    first = page.url
    pick(page, 1)
    send(page)
    expect(page.get_by_text("Second prompt")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("This task is done and kept.")).to_be_visible()
    assert page.url == first
    page.wait_for_load_state()
    page.go_forward()
    expect(page.get_by_text("Second prompt")).to_be_visible()
    assert len(lab.answers("pair")) == 1


def test_the_skip_link_leaves_a_half_filled_form_alone(page: Page) -> None:
    page.get_by_label("Remark").fill("half a thought")
    page.get_by_role("link", name="To the content").focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    expect(page.get_by_label("Remark")).to_have_value("half a thought")


def test_without_a_connection_a_judgement_waits_and_arrives_once(lab: Lab, visit: Visit, page: Page) -> None:
    visit.witness.allow(OFFLINE)
    pick(page, 2)
    page.get_by_label("Remark").fill("written on a train")
    page.context.set_offline(True)
    send(page)
    line = page.locator("#connection")
    expect(line).to_contain_text("Not sent yet: no connection.")
    expect(page.get_by_label("Remark")).to_have_value("written on a train")
    assert lab.answers("pair") == []
    page.context.set_offline(False)
    expect(page.get_by_text("Second prompt")).to_be_visible()
    expect(line).to_be_hidden()
    assert [answer["comment"] for answer in lab.answers("pair")] == ["written on a train"]


def test_a_judgement_whose_answer_is_lost_on_the_way_back_counts_once(lab: Lab, visit: Visit, page: Page) -> None:
    visit.witness.allow(OFFLINE)
    lost: list[str] = []

    def lose_the_first_answer(route: Route) -> None:
        if route.request.method != "POST" or lost:
            route.continue_()
            return
        lost.append(route.request.url)
        route.fetch(max_redirects=0)  # it has arrived, and nobody will know
        route.abort()

    page.route(re.compile(r"/task/\d+$"), lose_the_first_answer)
    pick(page, 9)
    send(page)
    expect(page.locator("#connection")).to_contain_text("Not sent yet")
    assert len(lab.answers("pair")) == 1
    expect(page.get_by_text("Second prompt")).to_be_visible()
    assert len(lost) == 1 and len(lab.answers("pair")) == 1


def test_a_busy_server_is_asked_again(lab: Lab, visit: Visit, page: Page) -> None:
    visit.witness.allow_status(503)
    busy = [True]

    def refuse_once(route: Route) -> None:
        if route.request.method == "POST" and busy.pop():
            busy.append(False)
            route.fulfill(status=503, body="busy", content_type="text/plain")
        else:
            busy.append(False)
            route.continue_()

    page.route(re.compile(r"/task/\d+$"), refuse_once)
    pick(page, 9)
    send(page)
    expect(page.locator("#connection")).to_contain_text("the server is busy")
    expect(page.get_by_text("Second prompt")).to_be_visible()
    assert len(lab.answers("pair")) == 1


@pytest.mark.parametrize("lab", [{"max_body_bytes": 10_000}], indirect=True)
def test_a_refusal_leaves_what_was_written_on_the_page(lab: Lab, visit: Visit, page: Page) -> None:
    visit.witness.allow_status(401, 403, 413)
    pick(page, 9)
    remark = page.get_by_label("Remark")
    remark.fill("too long " * 1500)
    send(page)
    line = page.locator("#connection")
    expect(line).to_contain_text("Not sent: Too large")
    assert len(remark.input_value()) == 9 * 1500

    remark.fill("an hour of thought")
    for token in people.tokens_of(lab.store, people.EVERY, "session"):
        people.revoke(lab.store, token.hash, actor="test")
    send(page)
    expect(line).to_contain_text(re.compile("Not sent: .*(log in|open the page again)"))
    expect(remark).to_have_value("an hour of thought")
    assert lab.answers("pair") == []


def test_after_the_lease_a_judgement_is_kept_as_late_and_the_task_is_offered_again(lab: Lab, page: Page) -> None:
    lab.clock.turn_on(minutes=31)
    pick(page, 5)
    send(page)
    expect(page.get_by_text("This came after the time for the task was over.")).to_be_visible()
    assert lab.answers("pair") == [] and len(lab.answers("pair", "late")) == 1
    page.get_by_role("link", name="To the next task").click()
    expect(page.get_by_text("First prompt")).to_be_visible()
    pick(page, 1)
    send(page)
    expect(page.get_by_text("Second prompt")).to_be_visible()
    assert len(lab.answers("pair")) == len(lab.answers("pair", "late")) == 1


def test_a_task_that_went_to_somebody_else_says_so(lab: Lab, visit: Visit, page: Page) -> None:
    visit.witness.allow_status(409)
    first = page.url
    lab.clock.turn_on(minutes=31)
    other = visit.window()
    join(other, lab.link("pair"))  # takes the second task: it was free
    pick(other, 1)
    send(other)
    expect(other.get_by_text("First prompt")).to_be_visible()  # and then the one whose time is over
    pick(page, 5)
    send(page)
    expect(page.get_by_text("This came after the time for the task was over.")).to_be_visible()
    page.goto(first)
    expect(page.get_by_text("This task was handed to somebody else")).to_be_visible()
    assert len(lab.answers("pair")) == 1 and len(lab.answers("pair", "late")) == 1


def test_replies_are_looked_for_again_when_the_connection_comes_back(lab: Lab, visit: Visit, tiny_policy: None) -> None:
    visit.witness.allow(OFFLINE)
    lab.study(CHAT)
    page = visit.window()
    join(page, lab.link("chat"))
    page.route("**/talk", lambda route: route.abort())
    page.get_by_label("Your message").fill("hello")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#connection")).to_contain_text("looking again for the replies")
    page.unroute("**/talk")
    expect(page.locator(".points")).to_be_visible()
    expect(page.locator("#connection")).to_be_hidden()
    expect(page.locator("#told")).to_have_text("Both replies are here.")
