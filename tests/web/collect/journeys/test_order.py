"""Three and more replies are put in order: by dragging, by keys with ties, by the lists of places."""

from playwright.sync_api import Page, expect

from tests.web.collect.journeys.lab import Lab, Visit, join, send

PLACE = "select[name^=rank_]"
FOUR = """
name: four
protocol: rank
title: Order four replies
settings: {quality: true}
slots: 3
items:
  - prompt: Count.
    replies: [alpha, beta, gamma, delta]
"""


def begin(lab: Lab, visit: Visit) -> Page:
    lab.study(FOUR)
    page = visit.window(viewport={"width": 1000, "height": 1600})  # all four on the screen at once
    join(page, lab.link("four"))
    expect(page.locator("[data-card]")).to_have_count(4)
    return page


def rate(page: Page) -> None:
    for card in range(4):
        page.locator("[data-card]").nth(card).get_by_role("radio", name="4", exact=True).check()


def order_on_screen(page: Page) -> list[str]:
    return page.locator("[data-card] .text").all_inner_texts()


def places(page: Page) -> list[str]:
    return [select.input_value() for select in page.locator(PLACE).all()]


def ranks_by_name(lab: Lab) -> dict[str, int]:
    (found,) = [one for one in lab.judgements("four") if one.status == "counted"]
    assert found.payload is not None
    return dict(zip(found.payload["content"]["replies"], found.payload["answer"]["ranks"], strict=True))


def test_replies_are_dragged_by_their_headings(lab: Lab, visit: Visit) -> None:
    page = begin(lab, visit)
    before = order_on_screen(page)
    cards = page.locator("[data-card]")
    cards.nth(3).locator("h2").drag_to(cards.nth(0), target_position={"x": 40, "y": 4})
    wanted = [before[3], *before[:3]]
    assert order_on_screen(page) == wanted
    assert places(page) == ["1", "2", "3", "4"]
    rate(page)
    send(page)
    expect(page.get_by_text("nothing left for you")).to_be_visible()
    assert ranks_by_name(lab) == {name: place for place, name in enumerate(wanted)}


def test_replies_are_moved_and_tied_by_keys(lab: Lab, visit: Visit) -> None:
    page = begin(lab, visit)
    first, second, third, fourth = order_on_screen(page)
    card = page.locator("[data-card]").nth(2)
    card.focus()
    page.keyboard.press("ArrowUp")
    moved = page.locator("[data-card]", has_text=third).first
    expect(moved).to_be_focused()
    expect(page.locator("#told")).to_have_text("Reply C: place 2 of 4")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")  # it is the first: nothing happens
    assert order_on_screen(page) == [third, first, second, fourth]
    page.locator("[data-card]").nth(3).focus()
    page.keyboard.press("=")
    assert places(page) == ["1", "2", "3", "3"]
    rate(page)
    page.locator("[data-card]").nth(0).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("nothing left for you")).to_be_visible()
    assert ranks_by_name(lab) == {third: 0, first: 1, second: 2, fourth: 2}


def test_the_lists_of_places_move_the_replies(lab: Lab, visit: Visit) -> None:
    page = begin(lab, visit)
    first, second, third, fourth = order_on_screen(page)
    for name, place in {first: "4", second: "1", third: "1", fourth: "3"}.items():
        page.locator("[data-card]", has_text=name).locator(PLACE).select_option(place)
    assert order_on_screen(page) == [second, third, fourth, first]
    tied = [box.is_checked() for box in page.locator("[data-tie]").all()]
    assert tied == [False, True, False, False]


def test_an_order_that_was_refused_comes_back_as_it_was(lab: Lab, visit: Visit) -> None:
    page = begin(lab, visit)
    before = order_on_screen(page)
    page.locator("[data-card]").nth(3).locator("[data-move='-1']").click()
    wanted = [before[0], before[1], before[3], before[2]]
    page.locator("form.judge").evaluate("form => form.noValidate = true")  # so that the server has to complain
    send(page)
    expect(page.get_by_role("alert")).to_be_focused()
    visit.witness.allow_status(422)
    assert order_on_screen(page) == wanted
