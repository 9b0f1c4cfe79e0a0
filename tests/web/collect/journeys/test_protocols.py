"""Each protocol from the owner's making of the study to the owner's export, all of it in the browser."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from preflab.feedback.protocols import EXAMPLES
from tests.web.collect.journeys.lab import Lab, Visit, become_owner, export, join, make_study, pick, send


def tiny(example: str) -> str:
    """An example whose policies are random two-layer models."""
    return EXAMPLES[example].replace("model: smollm2, max_new_tokens: 120", "model: tiny, max_new_tokens: 12")


def say(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.locator("form.say button").click()


def test_two_replies_are_compared_after_practice(lab: Lab, visit: Visit) -> None:
    owner = visit.window()
    become_owner(owner, lab)
    link = make_study(owner, EXAMPLES["rank"])

    page = visit.window()
    join(page, link)
    expect(page.get_by_role("heading", name="Practice")).to_be_visible()
    oslo = page.locator(".reply").first.inner_text()
    pick(page, 1 if "Oslo" in oslo else 9)
    send(page)
    expect(page.get_by_text("Right.")).to_be_visible()
    page.get_by_role("link", name="Go on").click()

    expect(page.get_by_text("basil alive")).to_be_visible()
    water_left = "Water it" in page.locator(".reply").first.inner_text()
    pick(page, 2 if water_left else 8)
    expect(page.locator("[data-said]")).to_have_text("A is much better" if water_left else "B is much better")
    page.get_by_label("Remark").fill("six hours of sun")
    send(page)
    expect(page.get_by_text("There is nothing left for you")).to_be_visible()

    (line,) = [json.loads(line) for line in export(owner, "which-is-better").splitlines()]
    assert line["ranks"] == [0, 1] and line["strength"] == 3.0
    assert lab.answers("which-is-better")[0]["comment"] == "six hours of sun"


def test_a_conversation_goes_on_from_the_chosen_replies(lab: Lab, visit: Visit, tiny_policy: None) -> None:
    owner = visit.window()
    become_owner(owner, lab)
    link = make_study(owner, tiny("chat"))

    page = visit.window()
    join(page, link)
    expect(page.get_by_text("Suggestion: Something you cook")).to_be_visible()
    for turn, key in enumerate((1, 8)):
        say(page, f"question {turn}")
        expect(page.get_by_role("group", name="Which is better")).to_be_visible()
        pick(page, key)
        send(page)
        expect(page.locator(".message.assistant")).to_have_count(turn + 1)
    page.get_by_text("End the conversation").click()
    page.get_by_role("button", name="End and send").click()
    expect(page.get_by_text("A letter you have put off")).to_be_visible()

    lines = [json.loads(line) for line in export(owner, "talk-and-choose").splitlines()]
    assert [len(line["prompt"]) for line in lines] == [1, 3]  # the second vote saw the first turn, chosen and all
    assert [line["strength"] for line in lines] == [4.0, 4.0]


def test_red_teaming_warns_caps_and_lets_people_go(lab: Lab, visit: Visit, tiny_policy: None) -> None:
    owner = visit.window()
    become_owner(owner, lab)
    link = make_study(owner, tiny("red-team").replace("exposure_cap: 40 ", "exposure_cap: 1 "))

    page = visit.window()
    page.goto(link)
    expect(page.get_by_text("You may read things that are upsetting")).to_be_visible()
    join(page, link)
    say(page, "insult me")
    expect(page.get_by_text("Which is more harmful, and by how much?")).to_be_visible()
    pick(page, 8)
    page.get_by_role("checkbox", name="Both are bad").check()
    send(page)
    expect(page.locator(".message.assistant")).to_have_count(1)
    page.get_by_text("End the conversation").click()
    page.get_by_role("radio", name="partly").check()
    page.get_by_role("button", name="End and send").click()
    expect(page.get_by_text("you have done 1 tasks in 24 hours")).to_be_visible()

    page.get_by_role("link", name="Back to the instructions").click()
    page.get_by_text("Leave this study").click()
    page.get_by_role("button", name="Leave").click()
    page.get_by_role("link", name="Make it say something harmful").click()
    expect(page.get_by_role("checkbox", name="I agree")).to_be_visible()  # out, until they agree anew

    (line,) = [json.loads(line) for line in export(owner, "find-the-harm").splitlines()]
    vote, end = lab.answers("find-the-harm")
    assert vote["both_bad"] and end["success"] == 2
    assert line["ranks"][vote["picked"]] == 1  # the more harmful one was picked, and is the worse


@pytest.mark.slow
def test_a_rule_is_probed(lab: Lab, visit: Visit, tiny_policy: None) -> None:
    owner = visit.window()
    become_owner(owner, lab)
    link = make_study(owner, tiny("rule-probe"))

    page = visit.window()
    join(page, link)
    expect(page.get_by_role("heading", name="Try to break this rule")).to_be_visible()
    say(page, "are you a doctor?")
    page.get_by_text("End the conversation").click()
    page.get_by_role("radio", name="probably broken").check()
    page.get_by_role("button", name="End and send").click()
    complaint = page.get_by_role("alert")  # which reply was it?
    expect(complaint).to_be_focused()
    assert page.get_by_role("radio", name="probably broken").is_checked()
    visit.witness.allow_status(422)
    page.get_by_label("In which reply").select_option("1")
    page.get_by_role("button", name="End and send").click()
    expect(page).to_have_url(re.compile(r"/task/2$"))
    assert lab.answers("break-a-rule") == [{"finish": True, "rating": 2, "turn": 0, "comment": ""}]


@pytest.mark.slow
def test_a_rule_is_judged(lab: Lab, visit: Visit) -> None:
    owner = visit.window()
    become_owner(owner, lab)
    link = make_study(owner, EXAMPLES["rule-judge"])

    page = visit.window()
    join(page, link)
    expect(page.get_by_text("I am a computer program")).to_be_visible()
    page.get_by_role("radio", name="definitely kept").check()
    send(page)
    expect(page.get_by_text("There is nothing left for you")).to_be_visible()
    assert lab.answers("was-it-broken") == [{"rating": 5, "turn": None, "comment": ""}]


def test_questions_are_answered_with_help_and_the_answer_is_shown(lab: Lab, visit: Visit, tiny_policy: None) -> None:
    owner = visit.window()
    become_owner(owner, lab)
    link = make_study(owner, tiny("questions"))

    page = visit.window()
    join(page, link)
    for turn in (1, 2):
        say(page, f"what do plants breathe? {turn}")
        expect(page.locator(".message.assistant")).to_have_count(turn)
    page.get_by_role("radio", name="Carbon dioxide").check()
    page.get_by_role("radio", name="80 %").check()
    send(page)
    expect(page.get_by_text("Your answer was right.")).to_be_visible()

    (found,) = [one for one in lab.judgements("with-a-little-help") if one.status == "counted"]
    assert found.payload is not None and len(found.payload["conversation"]) == 2
    assert found.payload["answer"]["confidence"] == 80 and found.payload["answer"]["correct"]


def test_questions_are_answered_without_help(lab: Lab, visit: Visit) -> None:
    text = re.sub(r"policies:\n.*\n", "", tiny("questions")).replace("assisted: true", "assisted: false")
    lab.study(text)
    page = visit.window()
    join(page, lab.link("with-a-little-help"))
    expect(page.get_by_text("Which gas do plants take in")).to_be_visible()
    expect(page.get_by_role("heading", name="Assistant")).to_have_count(0)
    page.get_by_role("radio", name="Oxygen").check()
    page.get_by_role("radio", name="100 %").check()
    send(page)
    expect(page.get_by_text("Your answer was not right.")).to_be_visible()
