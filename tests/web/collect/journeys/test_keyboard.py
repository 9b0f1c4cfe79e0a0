"""Without a mouse: from the invitation to a judgement and its undoing, the focus always in sight."""

import pytest
from playwright.sync_api import Locator, Page, expect

from preflab.feedback.protocols import EXAMPLES
from tests.web.collect.journeys.lab import Lab, Visit
from tests.web.collect.journeys.test_protocols import tiny

FOCUS_IS_SEEN = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return ''; // past the last one: the browser's own bar comes next
  const marks = [at, at.nextElementSibling].filter(Boolean).map(e => getComputedStyle(e));
  const outlined = marks.some(style => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2);
  const box = at.getBoundingClientRect();
  const inSight = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return outlined && inSight ? '' : at.outerHTML.slice(0, 200);
}"""


def tab_to(page: Page, target: Locator, *, most: int = 40) -> None:
    """Press Tab until ``target`` has the focus; at every stop the focus must be seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS_IS_SEEN) == ""
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not reach {target}")


def enter(page: Page, link: str) -> None:
    page.goto(link)
    tab_to(page, page.get_by_role("button", name="Take part"))
    page.keyboard.press("Enter")
    agree = page.get_by_role("checkbox", name="I agree")
    agree.wait_for()
    tab_to(page, agree)
    page.keyboard.press("Space")
    tab_to(page, page.get_by_role("button", name="Begin"))
    page.keyboard.press("Enter")


def test_comparing_by_digits_and_enter(lab: Lab, visit: Visit) -> None:
    lab.study(EXAMPLES["rank"])
    page = visit.window()
    enter(page, lab.link("which-is-better"))
    page.get_by_role("heading", name="Practice").wait_for()
    page.keyboard.press("9" if "Oslo" in page.locator(".reply").nth(1).inner_text() else "1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Right.")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_text("basil alive")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_text("honest about what it does not know")).to_be_visible()
    page.keyboard.press("?")
    page.keyboard.press("Enter")  # nothing is chosen yet: the browser points at the scale
    expect(page.locator(".points input").first).to_be_focused()
    page.keyboard.press("3")
    expect(page.locator("[data-said]")).to_have_text("A is clearly better")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-said]")).to_have_text("A is slightly better")
    remark = page.get_by_label("Remark")
    tab_to(page, remark)
    page.keyboard.type("1 and 2 are digits here")  # and judge nothing
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("nothing left for you")).to_be_visible()
    (answer,) = lab.answers("which-is-better")
    assert answer["strength"] == 1 and answer["comment"] == "1 and 2 are digits here"

    history = page.get_by_role("link", name="History")
    tab_to(page, history)
    page.keyboard.press("Enter")
    undo = page.get_by_role("button", name="Undo")
    undo.wait_for()
    tab_to(page, undo)
    page.keyboard.press("Enter")
    expect(page.get_by_text("basil alive")).to_be_visible()
    assert lab.answers("which-is-better") == []


def test_talking_and_voting(lab: Lab, visit: Visit, tiny_policy: None) -> None:
    lab.study(tiny("chat"))
    page = visit.window()
    enter(page, lab.link("talk-and-choose"))
    message = page.get_by_label("Your message")
    message.wait_for()
    tab_to(page, message)
    for turn in range(2):
        page.keyboard.type(f"message {turn}, with 1 and b in it")
        page.keyboard.press("Control+Enter")
        page.locator(".points").wait_for()
        page.keyboard.press("7")
        page.keyboard.press("b")
        expect(page.get_by_role("checkbox", name="Both are bad")).to_be_checked()
        page.keyboard.press("Enter")
        expect(page.locator(".message.assistant")).to_have_count(turn + 1)
        expect(message).to_be_focused()  # ready for the next message
    tab_to(page, page.locator("summary", has_text="End the conversation"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="End and send"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("A letter you have put off")).to_be_visible()
    votes = [answer for answer in lab.answers("talk-and-choose") if "picked" in answer]
    assert [(vote["strength"], vote["both_bad"]) for vote in votes] == [(3, True), (3, True)]


@pytest.mark.slow
def test_a_key_held_down_judges_one_task(lab: Lab, visit: Visit) -> None:
    lab.study(
        EXAMPLES["rule-judge"].replace(
            "items:",
            "items:\n  - {rule: not_human, messages: [{role: user, content: Hi}, {role: assistant, content: Hello}]}",
        )
    )
    page = visit.window()
    enter(page, lab.link("was-it-broken"))
    page.get_by_text("Hello").wait_for()
    page.keyboard.press("4")
    page.keyboard.down("Enter")
    page.keyboard.down("Enter")  # the second and all further ones are repetitions
    expect(page.get_by_text("computer program")).to_be_visible()
    page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    assert len(lab.answers("was-it-broken")) == 1
    expect(page.locator("main")).to_be_focused()  # nor was the next form sent, to be told that it is not whole


@pytest.mark.slow
@pytest.mark.parametrize("digit", ["2", "6"])
def test_digits_rate_where_the_focus_is(lab: Lab, visit: Visit, digit: str) -> None:
    lab.study(
        EXAMPLES["rank"]
        .split("gold:")[0]
        .replace("gold_every: 10", "")
        .replace("steps: 9 ", "quality: true\n  steps: 9 ")
    )
    page = visit.window()
    enter(page, lab.link("which-is-better"))
    quality = page.get_by_role("group", name="Quality").first
    quality.wait_for()
    tab_to(page, quality.get_by_role("radio").first)
    page.keyboard.press(digit)
    expect(quality.get_by_role("radio", name=digit)).to_be_checked()
    assert page.locator(".scale input:checked").count() == 0  # the digit was for the rating, not for the comparison
