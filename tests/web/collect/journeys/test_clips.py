"""Clips compared in a browser, by the arrow keys."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from preflab.feedback.video_store import VideoStore
from tests.web.collect.journeys.lab import Lab, Visit, join

for _package in ("PIL", "mujoco", "gymnasium"):
    pytest.importorskip(_package, reason=f"needs the extra 'control' ({_package})")


def films(lab: Lab, n: int) -> list[str]:
    """Names of films of hoppers that lean, put where the site looks."""
    from preflab.control.rendering.clip_video import encode_video
    from preflab.control.rendering.mujoco import BodyRenderer

    shelf = VideoStore(Path(str(lab.store.engine.url.database)).parent / "films")
    paint = BodyRenderer("hopper")
    still = np.array([0.0, 1.25, 0.0, 0.0, 0.0, 0.0])
    lean = np.array([0.3, 0.0, 0.2, -0.3, -0.2, 0.1])
    return [
        shelf.put(encode_video([paint(still + lean * t * k / 8) for t in range(12)], 20.0)) for k in range(1, n + 1)
    ]


def study(lab: Lab, names: list[str], pairs: list[tuple[int, int]], more: str = "") -> None:
    items = "".join(f"  - {{films: [{names[a]}, {names[b]}], clips: [{a}, {b}]}}\n" for a, b in pairs)
    title = "title: Which clip is better?\ninstructions: The robot should move to the right.\n"
    lab.study(f"name: hop\nprotocol: clips\n{title}{more}items:\n{items}")


def shown(page: Page, names: list[str]) -> list[int]:
    """Numbers of the films on the screen, from the left, once both can be answered."""
    expect(page.locator("button[value=left]")).to_be_enabled()
    sources = page.locator("img[data-film]").evaluate_all("all => all.map(one => one.getAttribute('src'))")
    return [names.index(source.rpartition("/")[2]) for source in sources]


def test_four_answers_by_four_keys_in_terms_of_the_clips(lab: Lab, visit: Visit) -> None:
    names = films(lab, 5)
    study(lab, names, [(0, 1), (1, 2), (2, 3), (3, 4)])
    page = visit.window(viewport={"width": 1100, "height": 760})
    join(page, lab.link("hop"))
    wanted: list[str] = []
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        left, right = shown(page, names)
        if os.environ.get("PREFLAB_SCREENSHOT") and key == "ArrowLeft":
            page.screenshot(path=os.environ["PREFLAB_SCREENSHOT"])
        first = "left" if left < right else "right"  # where the item's first clip stands
        side = {"ArrowLeft": "left", "ArrowRight": "right"}.get(key)
        wanted.append({"ArrowUp": "tie", "ArrowDown": "cannot tell"}.get(key) or ("left" if side == first else "right"))
        address = page.url
        page.keyboard.press(key)
        expect(page).not_to_have_url(address)
    expect(page.get_by_text("You have judged all there is")).to_be_visible()
    assert [answer["response"] for answer in lab.answers("hop")] == wanted
    assert all(0 < (found.payload or {})["seconds"] < 60 for found in lab.judgements("hop"))
    assert wanted[:2] != ["tie", "tie"] and page.evaluate("window.scrollY") == 0

    # the run adds a pair, and the page that waits finds it by itself
    from preflab.data.store.studies import add_items
    from preflab.feedback.study import StudyDefinition, item_of

    definition = StudyDefinition.from_mapping({"name": "hop", "protocol": "clips"})
    add_items(lab.store, "hop", [item_of(definition, {"films": [names[0], names[4]], "clips": [0, 4]}, "main")])
    assert set(shown(page, names)) == {0, 4}


def test_the_next_films_are_fetched_meanwhile_and_answers_can_be_taken_back(lab: Lab, visit: Visit) -> None:
    names = films(lab, 4)
    study(lab, names, [(0, 1), (2, 3)])
    page = visit.window()
    join(page, lab.link("hop"))
    shown(page, names)
    for name in names:  # those of the task after this one too
        for _ in range(50):
            if any(request.url.endswith(name) for request in visit.witness.requests):
                break
            page.wait_for_timeout(100)
        assert any(request.url.endswith(name) for request in visit.witness.requests)
    first = page.url
    page.keyboard.press("ArrowLeft")
    expect(page).not_to_have_url(first)
    shown(page, names)
    page.get_by_role("link", name="History").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("img[data-film]")).to_have_count(2)
    assert lab.answers("hop") == [] and len(lab.answers("hop", "withdrawn")) == 1


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_film_that_cannot_be_shown_is_told_and_nothing_can_be_answered(lab: Lab, visit: Visit, harm: str) -> None:
    visit.witness.allow_status(404, 500)
    names = films(lab, 2)
    study(lab, names, [(0, 1)])
    path = Path(str(lab.store.engine.url.database)).parent / "films" / names[1]
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:40])
    page = visit.window()
    join(page, lab.link("hop"))
    expect(page.locator("#connection")).to_contain_text(f"The film {names[1][:12]} is {harm}".replace("The", "the"))
    expect(page.locator("button[value=left]")).to_be_disabled()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Put this task back").click()
    expect(page).to_have_url(re.compile(r"/s/hop$"))
    assert lab.judgements("hop") == []


def test_a_key_held_down_judges_one_pair(lab: Lab, visit: Visit) -> None:
    names = films(lab, 3)
    study(lab, names, [(0, 1), (1, 2)])
    page = visit.window()
    join(page, lab.link("hop"))
    shown(page, names)
    first = page.url
    for _ in range(5):
        page.keyboard.down("ArrowUp")
    expect(page).not_to_have_url(first)
    shown(page, names)
    page.keyboard.up("ArrowUp")
    assert [answer["response"] for answer in lab.answers("hop")] == ["tie"]
