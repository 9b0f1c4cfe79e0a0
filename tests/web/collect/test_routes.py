"""Every page asked by every kind of visitor; what each needs is the whole of what decides."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from preflab.data.store import people
from preflab.data.store.queue import claim
from preflab.data.store.studies import items_of
from preflab.web.collect.routes import PAGES, Access, Page
from tests.web.collect.lab import CHAT, Browser, Lab, Program

OPEN = {"/healthz", "/login", "/begin", "/join/{secret}", "/return/{secret}"}
"""All that a stranger may open."""
FOR_PROGRAMS = {
    "/healthz",
    "/s/{study}/export/{format}",
    "/api/openapi.json",
    "/api/studies",
    "/api/studies/{study}",
    "/api/studies/{study}/judgements",
    "/api/studies/{study}/items",
    "/api/tokens",
}
LEAST: dict[Access, int] = {"annotator": 1, "reviewer": 2, "owner": 3}


@dataclass
class Visitor:
    """Somebody or something, and what they are in the study ``red`` and on the site: 1, 2, 3, or 0 for nothing."""

    enter: Callable[[], Browser | Program]
    """A new session each time: pages that log out or erase must not spoil the next."""
    red: int = 0
    site: int = 0
    known: bool = True
    bad_token: bool = False
    people: list[str] = field(default_factory=list)


def expected(page: Page, visitor: Visitor, *, program: bool) -> str:
    """``in``, ``login`` (the browser is shown the way), or the refusal's number."""
    if visitor.bad_token:
        return "401"
    if program and page.path not in FOR_PROGRAMS:
        return "403"
    if page.path in OPEN:
        return "in"
    if not visitor.known:
        return "login" if page.method == "GET" and not page.path.startswith("/api/") else "401"
    if page.access == "person":
        return "in"
    if page.access == "site owner":
        return "in" if visitor.site == 3 else "403"
    return "in" if max(visitor.red, visitor.site) >= LEAST[page.access] else "403"


class Town:
    """A site with two studies and everybody who might come."""

    def __init__(self, folder: Path) -> None:
        self.lab = lab = Lab(folder)
        lab.study("red")
        lab.study("blue", CHAT)
        who = {
            "annotator of red": lab.person(("red", "annotator")),
            "annotator of blue": lab.person(("blue", "annotator")),
            "reviewer of red": lab.person(("red", "reviewer")),
            "owner of red": lab.person(("red", "owner")),
            "owner of blue": lab.person(("blue", "owner")),
            "owner of the site": lab.person(("*", "owner"), name="root"),
            "somebody without a role": lab.person(),
        }
        self.task = claim(lab.store, "red", who["annotator of red"])
        rank = {"annotator of red": 1, "reviewer of red": 2, "owner of red": 3}
        self.visitors: dict[str, Visitor] = {
            name: Visitor(lambda one=one: lab.browser(one), rank.get(name, 0), 3 if name == "owner of the site" else 0)
            for name, one in who.items()
        }
        red, root = who["owner of red"], who["owner of the site"]
        self.visitors |= {
            "stranger": Visitor(lab.browser, known=False),
            "session revoked": Visitor(lambda: self.ended(red, revoked=True), known=False),
            "session expired": Visitor(lambda: self.ended(red, revoked=False), known=False),
            "token of an annotator": Visitor(lambda: lab.program(red, "red", "annotator"), 1),
            "token of a reviewer": Visitor(lambda: lab.program(red, "red", "reviewer"), 2),
            "token of an owner": Visitor(lambda: lab.program(red, "red", "owner"), 3),
            "token of an owner, for another study": Visitor(lambda: lab.program(red, "blue", "owner")),
            "token for all, of an owner of one": Visitor(lambda: lab.program(red, "*", "owner"), 3),
            "token for more than its person may": Visitor(
                lambda: lab.program(who["reviewer of red"], "red", "owner"), 2
            ),
            "token of the site's owner": Visitor(lambda: lab.program(root), 3, 3),
            "token of the site's owner, for red": Visitor(lambda: lab.program(root, "red"), 3),
            "token of the site's owner, as reviewer": Visitor(lambda: lab.program(root, "*", "reviewer"), 2, 2),
            "token of somebody without a role": Visitor(lambda: lab.program(who["somebody without a role"])),
            "token expired": Visitor(lambda: self.late(root), known=False, bad_token=True),
            "token made up": Visitor(lambda: Program(lab, "x" * 43), known=False, bad_token=True),
            "a session's secret as token": Visitor(lambda: self.session_as_token(root), known=False, bad_token=True),
        }

    def ended(self, who: str, *, revoked: bool) -> Browser:
        """A session that is over."""
        found = self.lab.browser(who, days=0.0 if not revoked else 1.0)
        if revoked:
            secret = found.cookies["preflab"]
            token = people.find_token(self.lab.store, secret, "session")
            assert token is not None
            people.revoke(self.lab.store, token.hash, actor=who)
        return found

    def late(self, who: str) -> Program:
        """A token that has expired."""
        return self.lab.program(who, days=0.0)

    def session_as_token(self, who: str) -> Program:
        """A secret of the wrong kind."""
        return Program(self.lab, self.lab.browser(who).cookies["preflab"])

    def address(self, page: Page) -> str:
        """The page's address in the study ``red``."""
        assert self.task is not None
        numbers = {"slot": self.task.slot, "item": items_of(self.lab.store, "red")[0].id, "turn": 0, "seq": 1}
        path = page.path
        for name, value in numbers.items():
            path = path.replace(f"{{{name}:number}}", str(value))
        words = {"study": "red", "secret": "y" * 43, "format": "judgements", "film": f"{'0' * 64}.gif"}
        for name, word in words.items():
            path = path.replace(f"{{{name}}}", word)
        assert "{" not in path, path
        return path


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    own = Town(tmp_path_factory.mktemp("town"))
    yield own
    own.lab.close()


def test_what_is_open_to_strangers_and_to_programs_is_what_this_list_says() -> None:
    assert {page.path for page in PAGES if page.access == "anyone"} == OPEN
    assert {page.path for page in PAGES if page.accepts_token} == FOR_PROGRAMS
    for page in PAGES:  # a page of a study needs a role in it
        assert ("{study}" in page.path) == (page.access in LEAST)


def outcome(answer: Any) -> str:
    """As in ``expected``; a page that is open may still complain of an empty form."""
    if answer.status_code in (401, 403):
        return str(answer.status_code)
    if answer.status_code == 303 and answer.headers["location"] == "/login":
        return "login"
    assert answer.status_code in (200, 201, 303, 404, 409, 422), answer.status_code
    return "in"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.method} {page.path}")
def test_a_page_answers_those_whom_it_is_for_and_nobody_else(page: Page, town: Town) -> None:
    found, wanted = {}, {}
    for name, visitor in town.visitors.items():
        entered = visitor.enter()
        found[name] = outcome(visit(entered, page, town.address(page)))
        wanted[name] = expected(page, visitor, program=isinstance(entered, Program))
    if (page.method, page.path) == ("POST", "/login"):  # an empty login is refused as a wrong one is
        wanted = {name: "403" if what == "in" else what for name, what in wanted.items()}
    if page.path in ("/logout", "/account/password"):  # both end at the login page
        found = {name: "in" if wanted[name] == "in" and what == "login" else what for name, what in found.items()}
    assert found == wanted


def visit(entered: Browser | Program, page: Page, address: str) -> Any:
    town_limits = entered.lab.site.login_limiter
    town_limits._buckets.clear()  # this test is not about guessing
    if page.method == "GET":
        return entered.get(address)
    return entered.post(address) if isinstance(entered, Browser) else entered.post(address, json={})


def test_a_refused_program_is_told_so_in_json(town: Town) -> None:
    for name, visitor in town.visitors.items():
        entered = visitor.enter()
        if isinstance(entered, Program):
            for path in ("/account", "/api/studies/red", "/api/nothing", "/s/red/manage"):
                answer = entered.get(path)
                if answer.status_code != 200:
                    assert set(answer.json()) == {"error"}, (name, path)


@pytest.mark.parametrize(
    "path",
    [
        "/admin",
        "/s/red/unknown",
        "/s//manage",
        "/s/red/task/x",
        "/s/red/task/-1",
        "/s/red/task/" + "9" * 16,  # no number of a database
        "/s/red/task/" + "9" * 5000,  # nor of Python's
        "/s/red/manage/",
        "/API/studies",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/%00",
        "/static/" + "a" * 5000,
        "/static/",
        "/.env",
    ],
)
@pytest.mark.parametrize("name", ["stranger", "owner of the site", "annotator of red"])
def test_an_address_that_is_not_in_the_table_is_not_found(path: str, name: str, town: Town) -> None:
    answer = town.visitors[name].enter().get(path)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


@pytest.mark.parametrize("path", sorted({page.path for page in PAGES}))
def test_a_method_that_is_not_in_the_table_is_refused_whoever_asks(path: str, town: Town) -> None:
    methods = {page.method for page in PAGES if page.path == path}
    address = town.address(next(page for page in PAGES if page.path == path))
    allowed = {*methods, "HEAD"} if "GET" in methods else methods
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} - methods:
        for name in ("stranger", "owner of the site"):
            answer = town.visitors[name].enter().ask(method, address)
            assert answer.status_code == 405, (method, name)
            assert set(answer.headers["allow"].split(", ")) == allowed


def test_a_head_request_is_answered_as_a_get_without_its_text(town: Town) -> None:
    assert town.visitors["stranger"].enter().ask("HEAD", "/login").status_code == 200
    assert town.visitors["stranger"].enter().ask("HEAD", "/account").status_code == 303
    assert town.visitors["owner of red"].enter().ask("HEAD", "/s/red/manage").text == ""


def test_a_study_that_does_not_exist_looks_as_one_that_is_not_ours(town: Town) -> None:
    assert town.visitors["owner of red"].enter().get("/s/nothing").status_code == 403
    assert town.visitors["owner of red"].enter().get("/s/blue").status_code == 403
    assert town.visitors["owner of the site"].enter().get("/s/nothing").status_code == 404


def test_a_fault_of_ours_is_a_plain_page_with_all_headers_and_names_no_secret(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("preflab.web.collect.pages.entry.people.find_token", broken)
    invited = town.visitors["stranger"].enter().get("/join/very-secret-invitation")
    assert invited.status_code == 500
    assert "Something went wrong on our side" in invited.text and "inside" not in invited.text
    assert "GET /join/{secret} failed" in caplog.text and "very-secret-invitation" not in caplog.text
    asked = Program(town.lab, "z" * 43).get("/api/studies")
    assert (asked.status_code, set(asked.json())) == (500, {"error"})


def test_a_form_that_cannot_be_read_is_refused_and_not_our_fault(town: Town) -> None:
    browser = town.visitors["owner of the site"].enter()
    assert isinstance(browser, Browser)
    kinds = {
        "multipart/form-data": 422,
        "multipart/form-data; boundary=x": 422,
        "multipart/form-data; boundary=x; charset=nonsense": 422,
        "application/x-www-form-urlencoded; charset=utf-7": 403,  # read, but no token of a form in it
        "text/plain": 403,
        "": 403,
    }
    for kind, status in kinds.items():
        headers = {"content-type": kind, "origin": browser.origin}
        assert browser.ask("POST", "/logout", headers, content=b"\xff--x\r\n\xfe%%%=&&").status_code == status, kind


def test_a_task_of_another_study_is_not_shown_by_this_one(town: Town) -> None:
    lab = town.lab
    who = lab.person(("red", "annotator"), ("blue", "annotator"))
    task = claim(lab.store, "blue", who)
    assert task is not None
    browser = lab.browser(who)
    assert browser.get(f"/s/blue/task/{task.slot}").status_code == 200
    for path in (f"/s/red/task/{task.slot}", f"/s/red/task/{task.slot}/talk"):
        assert browser.get(path).status_code == 404
    for path in ("keep", "skip"):
        assert browser.post(f"/s/red/task/{task.slot}/{path}").status_code == 404
