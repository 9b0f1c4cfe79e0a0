"""The gate before every page: numbers of errors, what requests are counted by, the cookie of a stranger's forms."""

import pytest
from starlette.requests import Request

from preflab.data.store import people
from preflab.errors import ConfigError, Conflict, DataError, LeaseLost, NotThere, PreflabError, StoreError
from preflab.feedback.video_store import VideoDamaged
from preflab.web.collect.app import http_status, rate_limit_key
from preflab.web.collect.request_context import RequestContext, RequestRefused
from tests.web.collect.lab import Lab


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestRefused(429, "slowly"), 429),
        (NotThere("none"), 404),
        (LeaseLost("over"), 409),
        (Conflict("twice"), 409),
        (StoreError("paused"), 409),
        (DataError("empty"), 422),
        (ConfigError("odd"), 422),
        (VideoDamaged("other bytes"), 500),
        (PreflabError("something"), 422),
    ],
)
def test_each_error_has_the_status_of_its_kind(error: Exception, status: int) -> None:
    assert http_status(error) == status


def context_of(lab: Lab, address: str, token: people.Token | None) -> RequestContext:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": (address, 5)}
    return RequestContext(Request(scope), lab.site, {}, None, token, "")


def test_strangers_are_counted_by_address_and_others_by_their_session_wherever_they_are(lab: Lab) -> None:
    secret = people.issue_token(lab.store, "session", pseudonym=lab.person(), days=1.0)
    session = people.find_token(lab.store, secret, "session")
    assert session is not None
    strangers = {rate_limit_key(context_of(lab, address, None)) for address in ("192.0.2.1", "192.0.2.2")}
    assert len(strangers) == 2 and not any("192.0.2" in key for key in strangers)
    members = {rate_limit_key(context_of(lab, address, session)) for address in ("192.0.2.1", "192.0.2.2")}
    assert members == {session.hash}


@pytest.mark.parametrize(("length", "replaced"), [(0, True), (19, True), (20, False), (100, False), (101, True)])
def test_a_strangers_cookie_is_replaced_where_it_is_none_of_ours(lab: Lab, length: int, replaced: bool) -> None:
    browser = lab.browser()
    if length:
        browser.cookies["preflab-form"] = "a" * length
    browser.get("/login")
    assert (browser.cookies["preflab-form"] != "a" * length) is replaced
    assert browser.post("/login", name="nobody", password="x" * 12).status_code == 403  # refused as a login, not a form
    assert "do not go together" in browser.last.text


def test_of_a_field_that_comes_twice_the_last_counts(lab: Lab) -> None:
    browser = lab.browser(lab.person(("*", "owner"), name="root"))
    form = {"csrf": browser.token(), "state": ["closed", "paused"]}
    answer = browser.ask("POST", "/s/red/manage/state", {"origin": browser.origin}, data=form)
    assert answer.status_code == 303
    assert "Paused, revision 1" in browser.get("/s/red/manage").text


def test_errors_of_a_field_name_it_in_words(lab: Lab) -> None:
    program = lab.program(lab.person(("*", "owner")))
    answer = program.get("/s/red/export/trl?up_to=x")
    assert answer.json() == {"error": "up to: expected the number of an event"}
