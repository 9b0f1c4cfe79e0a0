"""Questions against the clock, in a browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.collect.journeys.lab import Lab, Visit, join

QUICK = """
name: quick
protocol: questions
settings: {assisted: true, seconds: 9}
policies:
  - {name: small, model: tiny, max_new_tokens: 12}
items:
  - question: Which gas do plants take in?
    options: [Oxygen, Carbon dioxide]
    answer: 1
"""


@pytest.mark.slow
def test_when_the_time_runs_out_what_is_chosen_is_handed_in(lab: Lab, visit: Visit, tiny_policy: None) -> None:
    lab.study(QUICK)
    page = visit.window()
    join(page, lab.link("quick"))
    page.get_by_role("radio", name="Carbon dioxide").check()
    page.get_by_label("Your message").fill("what do plants breathe?")
    page.locator("form.say button").click()
    expect(page.locator(".message.user")).to_be_visible()
    assert page.get_by_role("radio", name="Carbon dioxide").is_checked()  # a message does not empty the answer
    seconds = [int(page.locator("[data-clock]").inner_text())]
    page.wait_for_timeout(1500)  # replies are fetched meanwhile, which must not start the clock anew
    seconds.append(int(page.locator("[data-clock]").inner_text()))
    assert seconds[1] < seconds[0] <= 9
    expect(page.get_by_text("Your answer was right.")).to_be_visible(timeout=10_000)
    assert re.search(r"/task/\d+$", page.url)

    (answer,) = lab.answers("quick")
    assert answer["timed_out"] and answer["choice"] == 1 and answer["confidence"] is None
    (found,) = lab.judgements("quick")
    assert found.payload is not None and 8 <= found.payload["seconds"] <= 12
