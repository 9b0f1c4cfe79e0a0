"""A request, read and checked: roles under tokens, fields that must be there, addresses to hand on."""

from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from preflab.data.store import people
from preflab.web.collect.request_context import RequestContext, RequestRefused, study_path
from tests.web.collect.lab import Lab, Seconds


def make_context(lab: Lab, person: str | None = None, token: people.Token | None = None, **form: str) -> RequestContext:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"lab.example")],
        "path_params": {"study": "red", "slot": 7},
    }
    return RequestContext(Request(scope), lab.site, form, person, token, "")


def api_token(lab: Lab, person: str, study: str, role: people.Role) -> people.Token:
    token = people.find_token(
        lab.store, people.issue_token(lab.store, "api", pseudonym=person, study=study, role=role, days=1.0), "api"
    )
    assert token is not None
    return token


def test_a_token_gives_no_more_than_its_person_may_and_no_more_than_it_was_issued_for(lab: Lab) -> None:
    lab.study("blue")
    reviewer = lab.person(("red", "reviewer"), ("blue", "owner"))
    assert make_context(lab, reviewer).role_in("red") == "reviewer"
    assert make_context(lab, reviewer).role_in("blue") == "owner"
    for study, role, in_red, in_blue in (
        ("red", "owner", "reviewer", None),
        ("red", "annotator", "annotator", None),
        ("blue", "reviewer", None, "reviewer"),
        ("*", "owner", "reviewer", "owner"),
    ):
        context = make_context(lab, reviewer, api_token(lab, reviewer, study, role))  # type: ignore[arg-type]
        assert (context.role_in("red"), context.role_in("blue")) == (in_red, in_blue)
    assert make_context(lab).role_in("red") is None


def test_a_stranger_has_no_pseudonym(lab: Lab) -> None:
    person = lab.person()
    assert make_context(lab, person).pseudonym == person
    with pytest.raises(RequestRefused, match="please log in") as refused:
        _ = make_context(lab).pseudonym
    assert refused.value.status == 403


@pytest.mark.parametrize("form", [{}, {"lease": ""}])
def test_a_field_that_is_missing_or_empty_is_named(lab: Lab, form: dict[str, str]) -> None:
    assert make_context(lab, lease="abc").required_field("lease") == "abc"
    with pytest.raises(RequestRefused, match="the form lacks lease") as refused:
        make_context(lab, **form).required_field("lease")
    assert refused.value.status == 422


def test_numbers_and_the_study_are_read_from_the_address(lab: Lab) -> None:
    context = make_context(lab)
    assert (context.study, context.path_number("slot")) == ("red", 7)
    assert context.annotation_service().study == "red"


def test_guesses_are_limited_by_name_and_a_look_costs_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path, logins_per_quarter_hour=2)
    lab.site.login_limiter._clock = Seconds()
    context = make_context(lab)
    for _ in range(5):
        context.throttle("name ada", cost=0.0)
    context.throttle("name ada")
    context.throttle("name ada")
    with pytest.raises(RequestRefused, match="please wait 450 s") as refused:  # two in 900 s
        context.throttle("name ada", cost=0.0)
    assert refused.value.status == 429
    context.throttle("name bob")
    lab.close()


def test_urls_to_hand_on_keep_the_host_and_are_https_where_browsers_are(lab: Lab, secure: Lab) -> None:
    assert make_context(lab).absolute_url("/join/x") == "http://lab.example/join/x"
    assert make_context(secure).absolute_url("/join/x") == "https://lab.example/join/x"


def test_redirects_stay_under_the_path_of_the_proxy(tmp_path: Path) -> None:
    lab = Lab(tmp_path, root_path="/lab")
    response = make_context(lab).redirect(study_path("red", "task", 7))
    assert (response.status_code, response.headers["location"]) == (303, "/lab/s/red/task/7")
    lab.close()


def test_paths_of_a_study_are_quoted() -> None:
    assert study_path("red") == "/s/red"
    assert study_path("a b", "film", "x?y.gif") == "/s/a%20b/film/x%3Fy.gif"
