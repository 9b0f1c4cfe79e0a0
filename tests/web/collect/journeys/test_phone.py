"""On a phone of 390 by 844: nothing wider than the screen, nothing too small for a thumb."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from preflab.feedback.protocols import EXAMPLES
from tests.web.collect.journeys.lab import Lab, Visit, become_owner, make_study, overflow
from tests.web.collect.journeys.test_order import FOUR
from tests.web.collect.journeys.test_protocols import tiny

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
TOO_SMALL = """() => {
  const small = [];
  const tapped = 'main button, main .button, main select, main summary, main input, header a, header button';
  for (const element of document.querySelectorAll(tapped)) {
    if (element.type === 'hidden' || !element.checkVisibility()) continue;
    let box = element.getBoundingClientRect();
    const label = element.matches('input') && element.closest('label');
    if (label) box = label.getBoundingClientRect(); // a tap on the label counts
    const [least, tall] = element.closest('.points') ? [24, 44] : [24, 34];
    if (box.width >= least && box.height >= tall) continue;
    small.push(`${box.width} x ${box.height}: ${element.outerHTML.slice(0, 120)}`);
  }
  return small;
}"""


def fits(page: Page) -> None:
    assert overflow(page) <= 0
    assert page.evaluate(TOO_SMALL) == []


def join_by_taps(page: Page, link: str) -> None:
    page.goto(link)
    fits(page)
    page.get_by_role("button", name="Take part").tap()
    agree = page.get_by_role("checkbox", name="I agree")
    agree.wait_for()
    fits(page)
    agree.tap()
    page.get_by_role("button", name="Begin").tap()


def test_every_page_of_an_annotator(lab: Lab, visit: Visit, tiny_policy: None) -> None:
    for name in ("rank", "rule-judge", "chat", "questions"):
        lab.study(tiny(name))
    lab.study(FOUR)
    page = visit.window(**PHONE)
    join_by_taps(page, lab.link("which-is-better"))
    page.locator(".points label").nth(8).tap()
    expect(page.locator("[data-said]")).to_have_text("B is far better")
    expect(page.locator("kbd").first).to_be_hidden()  # there are no keys
    fits(page)
    page.get_by_role("button", name="Send").tap()
    page.get_by_role("link", name="Go on").wait_for()
    fits(page)

    join_by_taps(page, lab.link("four"))
    third = page.locator("[data-card]").nth(2)
    words = third.locator(".text").inner_text()
    third.get_by_role("button", name="up").tap()
    assert page.locator("[data-card] .text").nth(1).inner_text() == words
    fits(page)

    join_by_taps(page, lab.link("talk-and-choose"))
    page.get_by_label("Your message").fill("x" * 200)
    page.locator("form.say button").tap()
    page.locator(".points").wait_for()
    fits(page)
    page.locator(".points label").nth(0).tap()
    page.get_by_role("button", name="Choose").tap()
    page.get_by_text("End the conversation").tap()
    fits(page)

    join_by_taps(page, lab.link("with-a-little-help"))
    question, assistant = page.get_by_role("heading", name="Question"), page.get_by_role("heading", name="Assistant")
    assert question.bounding_box()["y"] < assistant.bounding_box()["y"]  # type: ignore[index]
    fits(page)
    join_by_taps(page, lab.link("was-it-broken"))
    page.get_by_role("radio", name="definitely kept").wait_for()
    fits(page)
    for address in ("/", "/account", "/s/was-it-broken/history", "/s/was-it-broken"):
        page.goto(address)
        fits(page)


@pytest.mark.slow
def test_pages_of_an_owner(lab: Lab, visit: Visit) -> None:
    page = visit.window(**PHONE)
    become_owner(page, lab)
    make_study(page, EXAMPLES["rank"])
    fits(page)
    for address in ("/", "/new", "/s/which-is-better/results", "/s/which-is-better/log"):
        page.goto(address)
        fits(page)
