"""Films from the site: for those of the study alone, kept by browsers alone, and trouble told."""

from pathlib import Path

import pytest

from preflab.feedback.video_store import VideoStore
from preflab.web.collect.security import HEADERS
from tests.web.collect.lab import Lab

STUDY = """
name: {name}
protocol: clips
items:
  - films: [FIRST, SECOND]
    clips: [4711, 4712]
"""
FIRST, SECOND = b"GIF89a first", b"GIF89a second"


@pytest.fixture
def shelf(lab: Lab, tmp_path: Path) -> VideoStore:
    """Beside the store, where the site looks."""
    found = VideoStore(tmp_path / "films")
    first, second = found.put(FIRST), found.put(SECOND)
    lab.study("clips", STUDY.replace("FIRST", first).replace("SECOND", second))
    return found


def test_a_film_is_for_those_of_the_study_and_kept_by_their_browsers_alone(lab: Lab, shelf: VideoStore) -> None:
    name = shelf.put(FIRST)
    client, address = lab.client, f"/s/clips/film/{name}"
    client.cookies.clear()
    assert client.get(address).status_code == 303  # a stranger: to the login
    assert lab.browser(lab.person(("red", "annotator"))).get(address).status_code == 403
    browser = lab.browser(lab.person(("clips", "annotator")))
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    answer = client.get(address, headers={"cookie": cookies})
    assert answer.status_code == 200 and answer.content == FIRST
    assert answer.headers["content-type"] == "image/gif"
    assert answer.headers["cache-control"] == "private, max-age=86400, immutable"
    for header, value in HEADERS.items():
        assert header == "Cache-Control" or answer.headers[header] == value


def test_a_missing_and_a_damaged_film_are_told_and_not_kept(lab: Lab, shelf: VideoStore) -> None:
    browser, name = lab.browser(lab.person(("clips", "annotator"))), shelf.put(FIRST)
    (shelf.folder / name).write_bytes(b"GIF89a other")
    answer = browser.get(f"/s/clips/film/{name}", headers={"accept": "application/json"})
    assert answer.status_code == 500 and f"film {name[:12]} is damaged" in answer.json()["error"]
    (shelf.folder / name).unlink()
    answer = browser.get(f"/s/clips/film/{name}", headers={"accept": "application/json"})
    assert answer.status_code == 404 and "is missing" in answer.json()["error"]
    assert answer.headers["cache-control"] == "no-store"
    for odd in ("..%2f..%2flab.db", "lab.db", "%00.gif"):
        assert browser.get(f"/s/clips/film/{odd}").status_code == 404


def test_a_page_tells_nothing_of_where_clips_come_from(lab: Lab, shelf: VideoStore) -> None:
    browser = lab.browser(lab.person(("clips", "annotator")))
    task = browser.get("/s/clips/next").headers["location"]
    text = browser.get(task).text
    assert all(f"/s/clips/film/{shelf.put(film)}" in text for film in (FIRST, SECOND))
    assert "471" not in text and "reward" not in text.lower()


def test_who_has_judged_all_is_told_that_more_may_come(lab: Lab) -> None:
    lab.study("empty", "name: {name}\nprotocol: clips\n")
    lab.study("whole", "name: {name}\nprotocol: clips\nsettings: {{growing: false}}\n")
    who = lab.person(("empty", "annotator"), ("whole", "annotator"))
    growing, done = (lab.browser(who).get(f"/s/{study}/next").text for study in ("empty", "whole"))
    assert 'data-again="/s/empty/next"' in growing and "More may come" in growing
    assert "data-again" not in done and "nothing left for you" in done
