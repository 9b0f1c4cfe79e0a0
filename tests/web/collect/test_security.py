"""Forms of other sites, names and proxies, sizes, and what is never kept."""

import logging
import re
from pathlib import Path

import pytest

from preflab.data.store import people
from preflab.errors import ConfigError
from preflab.web.collect.security import CONTENT_SECURITY_POLICY
from preflab.web.collect.site import SiteConfig
from tests.web.collect.lab import PASSWORD, Browser, Lab, Program, check_headers, owner

# the policy ------------------------------------------------------------------------------------------------


def test_the_policy_allows_our_own_files_and_nothing_inline_and_nothing_remote() -> None:
    told = dict(part.split(" ", 1) for part in CONTENT_SECURITY_POLICY.split("; "))
    assert told["default-src"] == told["base-uri"] == told["frame-ancestors"] == "'none'"
    assert told["script-src"] == told["style-src"] == told["connect-src"] == told["form-action"] == "'self'"
    assert told["img-src"] == "'self' data:"  # plots
    assert not re.search(r"unsafe|https?:|\*|blob:", CONTENT_SECURITY_POLICY)


def test_every_answer_of_a_file_carries_the_headers_too(lab: Lab) -> None:
    paths = re.findall(r'(?:src|href)="(/static/[^"]+)"', lab.browser().get("/login").text)
    assert len(paths) >= 3
    for path in paths:
        answer = lab.client.get(path)
        check_headers(answer)
        assert answer.status_code == 200
        assert answer.headers["content-type"].split(";")[0] in ("text/javascript", "text/css", "application/javascript")


# forms of other sites --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},  # no Origin and no Sec-Fetch-Site: no browser of today
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://evil.example"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://localhost:8080"},  # another server on this machine
        {"origin": "https://localhost"},  # another scheme
        {"origin": "localhost"},
        {"origin": "http://["},  # no address at all
        {"origin": "http://localhost/"},  # a path has no place in it, but the netloc is ours: see below
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://evil.example", "sec-fetch-site": "same-origin"},
    ],
)
def test_a_form_from_elsewhere_is_refused_even_with_the_right_token(lab: Lab, headers: dict[str, str]) -> None:
    browser = owner(lab)
    good = browser.token()
    answer = browser.ask("POST", "/account/link", headers, data={"csrf": good})
    if headers == {"origin": "http://localhost/"}:
        assert answer.status_code == 200
        return
    assert answer.status_code == 403 and "did not come from this site" in answer.text


@pytest.mark.parametrize("headers", [{"origin": "http://localhost"}, {"sec-fetch-site": "same-origin"}])
def test_a_form_of_ours_is_taken_with_its_token_in_a_field_or_a_header(lab: Lab, headers: dict[str, str]) -> None:
    browser = owner(lab)
    good = browser.token()
    assert browser.ask("POST", "/account/link", headers, data={"csrf": good}).status_code == 200
    assert browser.ask("POST", "/account/link", {**headers, "x-csrf-token": good}).status_code == 200


def test_a_form_without_the_token_of_this_very_session_is_refused(lab: Lab) -> None:
    browser, other, stranger = owner(lab), lab.browser(lab.person(("red", "owner"))), lab.browser()
    again = Browser(lab, {"preflab": lab.browser(lab.person(("red", "owner"))).cookies["preflab"]})
    for token in ("", "x" * 40, "ü", other.token(), stranger.token(), again.token(), browser.token()[:-1]):
        answer = browser.post("/account/link", csrf=token)
        assert answer.status_code == 403 and "this form is too old" in answer.text
    assert browser.post("/account/link").status_code == 200


def test_a_strangers_form_is_tied_to_the_cookie_of_their_browser(lab: Lab) -> None:
    lab.person(("*", "owner"), name="root")
    here, there = lab.browser(), lab.browser()
    token = here.token()
    assert there.post("/login", csrf=token, name="root", password=PASSWORD).status_code == 403
    assert there.ask("POST", "/login", {"origin": there.origin}, data={"csrf": token}).status_code == 403
    assert here.post("/login", csrf=token, name="root", password=PASSWORD).status_code == 303


def test_a_token_in_the_header_does_not_open_the_forms_of_strangers(lab: Lab) -> None:
    lab.person(("*", "owner"), name="root")
    form = {"name": "root", "password": PASSWORD}
    assert Program(lab, "made-up").post("/login", data=form).status_code == 401
    good = lab.program(lab.person(("red", "owner")))
    invited = people.issue_token(lab.store, "invite", study="red", role="owner", days=1.0, uses=1)
    assert good.post("/login", data=form).status_code == 403
    assert good.post(f"/join/{invited}").status_code == 403
    assert people.find_token(lab.store, invited, "invite") is not None  # not used up


def test_a_proxy_with_a_login_of_its_own_is_no_program(lab: Lab) -> None:
    browser = owner(lab)
    basic = {"authorization": "Basic cm9vdDpyb290"}
    assert browser.ask("GET", "/account", basic).status_code == 200
    assert browser.post("/account/link", basic).status_code == 200
    assert browser.ask("POST", "/account/link", basic).status_code == 403


# names and proxies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8765", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8765", 200),
        ("[::1]", 200),
        ("evil.example", 400),  # a name that was bound to our address
        ("localhost.evil.example", 400),
        ("evil.example:80@localhost", 400),
        ("", 400),
        ("*", 400),
    ],
)
def test_only_names_of_ours_are_answered(lab: Lab, host: str, status: int) -> None:
    assert lab.browser().ask("GET", "/login", {"host": host}).status_code == status


def test_more_names_can_be_allowed_with_or_without_a_port(tmp_path: Path) -> None:
    own = Lab(tmp_path, hosts=("lab.example:8443", "[::1]"))
    assert own.browser().ask("GET", "/login", {"host": "lab.example"}).status_code == 200
    assert own.browser().ask("GET", "/login", {"host": "localhost"}).status_code == 400
    own.close()


def test_behind_https_the_browsers_origin_is_https_whatever_we_are_asked_by(secure: Lab) -> None:
    browser = owner(secure)
    good = browser.token()
    for origin, status in (("https://localhost", 200), ("http://localhost", 403)):
        found = browser.ask("POST", "http://localhost/account/link", {"origin": origin}, data={"csrf": good})
        assert found.status_code == status


def test_links_to_hand_on_are_https_where_browsers_come_over_https(secure: Lab, lab: Lab) -> None:
    for site, scheme in ((secure, "https"), (lab, "http")):
        browser = owner(site)
        form = {"csrf": browser.token()}
        headers = {"origin": browser.origin, "host": "localhost:99"}
        headers["origin"] = f"{scheme}://localhost:99"
        for path, kind in (("/account/link", "return"), ("/s/red/manage/invite", "join")):
            page = browser.ask("POST", f"http://localhost{path}", headers, data=form).text
            assert re.search(rf"<code class=\"link\">{scheme}://localhost:99/{kind}/[\w-]{{40,}}</code>", page)


def test_under_a_path_of_a_proxy_pages_forms_links_and_tokens_work(tmp_path: Path) -> None:
    own = Lab(tmp_path, root_path="/lab")
    own.study("red")
    own.client._transport.root_path = "/lab"  # as uvicorn is told
    who = own.person(("*", "owner"), name="root")
    browser = own.browser()
    shown = browser.get("/lab/account")
    assert (shown.status_code, shown.headers["location"]) == (303, "/lab/login")
    page, first = browser.get("/lab/login"), shown.headers["set-cookie"]
    assert 'action="/lab/login"' in page.text and 'href="/lab/static/style.css?' in page.text
    assert "Path=/lab;" in first
    csrf = re.search(r'name="csrf" value="(\w+)"', page.text)
    assert csrf is not None
    form = {"csrf": csrf.group(1), "name": "root", "password": PASSWORD}
    entered = browser.ask("POST", "/lab/login", {"origin": browser.origin}, data=form)
    assert (entered.status_code, entered.headers["location"]) == (303, "/lab/")
    assert own.program(who).get("/lab/api/studies").status_code == 200
    assert own.program(who).get("/lab/account").status_code == 403
    assert browser.get("/lab/static/style.css").status_code == 200
    own.close()


@pytest.mark.parametrize("bad", ["lab", "/lab/", "/"])
def test_a_path_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="root_path"):
        SiteConfig(root_path=bad)


# sizes -----------------------------------------------------------------------------------------------------


def test_a_request_that_is_too_large_is_refused_by_its_length_or_by_counting(lab: Lab) -> None:
    large = b"x" * 2_000_001
    browser = lab.browser()
    assert browser.ask("POST", "/login", content=large).status_code == 413
    assert browser.ask("POST", "/login", content=iter([large[:1_500_000], large[:500_001]])).status_code == 413
    assert browser.ask("POST", "/login", content=iter([large[:1_500_000], large[:500_000]])).status_code == 403
    for lie in ("-1", "1e3", "9" * 5000, "x"):
        assert browser.ask("GET", "/login", {"content-length": lie}).status_code == 413
    program = lab.program(lab.person(("*", "owner")))
    answer = program.post("/api/tokens", content=large)
    assert (answer.status_code, list(answer.json())) == (413, ["error"])
    assert "2,000,000 bytes" in answer.json()["error"]


def test_a_form_of_very_many_fields_is_refused_before_it_is_read(lab: Lab) -> None:
    browser = lab.browser()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert browser.ask("POST", "/login", headers, content=b"a=&" * 400_000).status_code == 422


def test_a_remark_full_of_ampersands_is_no_form_of_many_fields(lab: Lab) -> None:
    browser = owner(lab)
    files = {"csrf": (None, browser.token()), "sure": (None, "&" * 5000)}
    answer = browser.ask("POST", "/account/erase", {"origin": browser.origin}, files=files)
    assert answer.status_code == 422 and "type the word erase" in answer.text


# what is never kept ----------------------------------------------------------------------------------------


def test_no_address_of_anybody_reaches_the_store_or_the_logs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from starlette.testclient import TestClient

    own = Lab(tmp_path)
    own.study("red")
    caplog.set_level(logging.DEBUG)
    address = "203.0.113.77"
    invited = people.issue_token(own.store, "invite", study="red", role="annotator", days=1.0, uses=5)
    with TestClient(own.app, base_url="http://localhost", client=(address, 50077), follow_redirects=False) as client:
        own.client, before = client, own.client
        browser = own.browser()
        told = {"x-forwarded-for": "198.51.100.23", "forwarded": "for=198.51.100.23", "user-agent": "Mosaic/9.99"}
        for _ in range(12):
            browser.post("/login", told, name="nobody", password="wrong wrong wrong")
        assert browser.last.status_code == 429
        own.site.login_limiter._buckets.clear()
        assert browser.post(f"/join/{invited}", told).status_code == 303
        browser.post("/s/red/consent", told, agree="1")
        page = browser.get(browser.get("/s/red/next", headers=told).headers["location"], headers=told)
        assert page.status_code == 200
        browser.ask("GET", "/healthz", {"host": "elsewhere"})
        own.client = before
    own.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("lab.db*")) + caplog.text.encode()
    for trace in (address, "50077", "198.51.100.23", "Mosaic/9.99", "testclient"):
        assert trace.encode() not in kept, trace
    assert b"consent" in kept  # the needle would be found in this haystack


def test_secrets_are_kept_as_hashes_only(lab: Lab) -> None:
    who = lab.person(("*", "owner"), name="root")
    browser = lab.browser(who)
    secrets = [browser.cookies["preflab"], lab.program(who).token]
    secrets += re.findall(r"/(?:join|return)/([\w-]{40,})", browser.post("/account/link").text)
    secrets += re.findall(r"/(?:join|return)/([\w-]{40,})", browser.post("/s/red/manage/invite").text)
    assert len(secrets) == 4
    lab.store.close()
    kept = b"".join(file.read_bytes() for file in lab.path.parent.glob("lab.db*"))
    for secret in (*secrets, PASSWORD):
        assert secret.encode() not in kept
    assert b"$argon2id$v=19$" in kept
