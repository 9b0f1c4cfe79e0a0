"""The API: what it says, and that nothing a program sends is our fault."""

from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from preflab.data.store import people
from preflab.web.collect.server import serve_in_background
from preflab.web.collect.site import SiteConfig
from tests.web.collect.lab import Lab, Program


@pytest.fixture
def root(lab: Lab) -> Program:
    """A token that may do everything."""
    return lab.program(lab.person(("*", "owner")))


def test_a_study_with_its_progress_and_its_judgements_a_page_at_a_time(lab: Lab, root: Program) -> None:
    told = root.get("/api/studies").json()
    assert told == {"studies": [{"name": "red", "state": "open", "revision": 1, "role": "owner"}]}
    study = root.get("/api/studies/red").json()
    assert study["progress"] == {"slots": 6, "filled": 0, "held": 0, "free": 6}
    browser = lab.browser(lab.person(("red", "annotator")))
    for vote in range(2):
        task = browser.get("/s/red/next").headers["location"]
        lease = browser.get(task).text.split('name="lease" value="')[1].split('"')[0]
        assert browser.post(task, key=f"key {vote:>10}", lease=lease, scale="1").status_code == 303
    first = root.get("/api/studies/red/judgements?limit=1").json()
    second = root.get(f"/api/studies/red/judgements?after={first['next']}").json()
    assert [len(page["judgements"]) for page in (first, second)] == [1, 1]
    assert first["judgements"][0]["seq"] < second["judgements"][0]["seq"] == second["next"]
    assert first["judgements"][0]["says"]["answer"]["ranks"] in ([0, 1], [1, 0])
    assert root.get(f"/api/studies/red/judgements?after={second['next']}").json()["judgements"] == []


def test_items_are_added_all_or_none(lab: Lab, root: Program) -> None:
    good, bad = {"prompt": "Why?", "replies": ["a", "b"]}, {"prompt": "Why?", "replies": ["a"]}
    answer = root.post("/api/studies/red/items", json={"items": [good, bad]})
    assert answer.status_code == 422 and "2 to 9 replies" in answer.json()["error"]
    assert root.get("/api/studies/red").json()["progress"]["slots"] == 6
    assert root.post("/api/studies/red/items", json={"items": [good, {**good, "prompt": "When?"}]}).json() == {
        "added": 2
    }
    assert root.get("/api/studies/red").json()["progress"]["slots"] == 12


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'{"items": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"items": {}}',
        b'{"items": []}',
        b'{"items": [1]}',
        b'{"items": [{}]}',
        b'{"items": [{"prompt": "a", "replies": ["a", "b"], "slots": 1e400}]}',
        b'{"items": [{"prompt": "a", "replies": ["a", "b"], "slots": 100000000000000000000000}]}',
        b'{"items": [{"prompt": "a", "replies": ["a", "b"], "slots": true}]}',
        b'{"items": [{"prompt": "a", "replies": ["a", "b"], "name": "\\ud800"}]}',
        b'{"items": [{"prompt": "a", "replies": ["a", "\\udfff"]}]}',
        b'{"items": [{"prompt": "a", "replies": ["a", "b"], "name": "\\u0000"}]}',
        b'{"items": [{"prompt": [{"role": "user"}], "replies": ["a", "b"]}]}',
        b'{"items": [{"prompt": [{"role": [], "content": {}}], "replies": ["a", "b"]}]}',
        b'{"items": [{"prompt": [{}], "replies": ["a", "b"]}]}',
        b'{"items": [{"prompt": "a", "replies": [{"text": 1}, {}]}]}',
        b'{"items": [{"prompt": "a", "replies": ["a", "b"], "policies": {"a": 1}}]}',
        b'{"items": [{"prompt": "a", "replies": ["a", "b"], "best": 1.5}], "purpose": "gold"}',
        b'{"items": [{"prompt": "a", "replies": ["a", "b"]}], "purpose": ["main"]}',
    ],
)
def test_what_is_no_list_of_items_is_refused_with_a_reason(content: bytes, root: Program) -> None:
    answer = root.post("/api/studies/red/items", content=content)
    assert answer.status_code == 422, answer.text
    assert len(answer.json()["error"]) > 10
    assert root.get("/api/studies/red").json()["progress"]["slots"] == 6


@pytest.mark.parametrize(
    "told",
    [
        {"role": []},
        {"role": {}},
        {"role": "king"},
        {"role": None},
        {"study": 7},
        {"study": "nothing"},
        {"study": "\ud800"},
        {"days": 0},
        {"days": -1},
        {"days": 366},
        {"days": True},
        {"days": "7"},
        {"days": 10**400},
    ],
)
def test_a_token_that_cannot_be_is_refused(told: dict[str, Any], root: Program) -> None:
    import json

    answer = root.post("/api/tokens", content=json.dumps(told).encode())
    assert answer.status_code in (404, 409, 422)
    assert list(answer.json()) == ["error"]


def test_a_token_made_by_the_api_works_until_its_time_is_over(lab: Lab, root: Program) -> None:
    made = root.post("/api/tokens", json={"study": "red", "role": "reviewer", "days": 2})
    assert made.status_code == 201
    token = Program(lab, made.json()["token"])
    assert token.get("/api/studies/red").status_code == 200
    assert token.post("/api/studies/red/items", json={"items": [{}]}).status_code == 403
    lab.clock.forward(2 * 86_400)
    assert token.get("/api/studies/red").status_code == 401


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=1e3", "after=" + "9" * 13, "after=\u0663", "limit="])
def test_a_query_that_is_no_number_is_refused(query: str, root: Program) -> None:
    assert root.get(f"/api/studies/red/judgements?{query}").status_code == 422


@pytest.mark.parametrize("query", ["weakest=x", "weakest=nan", "weakest=inf", "weakest=-1", "up_to=x", "up_to=-1"])
def test_an_export_with_a_query_that_is_no_number_is_refused(query: str, root: Program) -> None:
    assert root.get(f"/s/red/export/judgements?{query}").status_code == 422
    assert root.get("/s/red/export/nothing").status_code == 422
    assert root.get("/s/red/export/judgements?up_to=99999").status_code == 404


def test_whatever_is_sent_to_a_real_server_by_its_description_is_answered_and_never_our_fault(lab: Lab) -> None:
    """schemathesis draws requests that keep to the description and such that do not."""
    token = people.issue_token(lab.store, "api", pseudonym=lab.person(("*", "owner")), role="owner", days=1.0)
    headers = {"Authorization": f"Bearer {token}"}
    seen: set[int] = set()
    lab.study("clips", "name: {name}\nprotocol: clips\n")
    with serve_in_background(lab.store, SiteConfig(requests_per_second=1e6)) as url:
        schema = schemathesis.openapi.from_url(f"{url}/api/openapi.json", headers=headers)
        schema.config.generation.update(modes=list(schemathesis.GenerationMode))
        for found in schema.get_all_operations():
            operation = found.ok()

            @given(case=operation.as_strategy())
            @settings(
                max_examples=10,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def ask(case: Any) -> None:
                if "study" in (case.path_parameters or {}) and (own := len(str(case.body)) % 3):
                    case.path_parameters["study"] = ("red", "clips")[own - 1]
                answer = case.call(headers=headers)
                seen.add(answer.status_code)
                assert answer.status_code < 500, (case.as_curl_command(), answer.text)
                case.validate_response(answer, checks=[schemathesis.checks.not_a_server_error])

            ask()
        assert httpx2.get(f"{url}/healthz").text == "ok\n"
    assert seen >= {200, 422} and max(seen) < 500
