"""The ways in: names and passwords, the first owner, invitations, personal links, sessions and tokens."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from preflab.data.store import people
from preflab.data.store.queue import claim
from preflab.web.collect import passwords
from preflab.web.collect.server import issue_bootstrap_secret
from preflab.web.collect.site import SiteConfig
from tests.web.collect.lab import PASSWORD, Browser, Lab, Seconds, owner

# cookies ---------------------------------------------------------------------------------------------------


def cookies(answer: Any) -> dict[str, list[str]]:
    """Name -> attributes, as they were set."""
    found = {}
    for line in answer.headers.get_list("set-cookie"):
        parts = [part.strip() for part in line.split(";")]
        found[parts[0].split("=")[0]] = [part for part in parts[1:] if not part.lower().startswith("expires")]
    return found


def test_cookies_are_for_this_site_alone_and_no_script_sees_them(lab: Lab, secure: Lab) -> None:
    for site, prefix, extra in ((lab, "", []), (secure, "__Host-", ["Secure"])):
        site.person(("*", "owner"), name="root")
        browser = site.browser()
        first = cookies(browser.get("/login"))
        age = "Max-Age=1209600"
        rules = ["HttpOnly", age, "Path=/", "SameSite=lax", *extra]
        assert first == {f"{prefix}preflab-form": rules}
        then = cookies(browser.post("/login", name="root", password=PASSWORD))
        assert then[f"{prefix}preflab"] == rules
        assert "Max-Age=0" in then[f"{prefix}preflab-form"]
        assert set(browser.cookies) == {f"{prefix}preflab"}


def test_over_https_under_a_path_the_cookie_has_no_prefix_that_browsers_would_refuse() -> None:
    assert SiteConfig(secure=True, root_path="/lab").cookie == "preflab"


def test_a_session_that_was_planted_is_worthless_after_login(lab: Lab) -> None:
    lab.person(("*", "owner"), name="root")
    attacker = lab.person(("red", "annotator"))
    for planted in ("chosen-by-the-attacker-0000000000000000", lab.browser(attacker).cookies["preflab"]):
        browser = lab.browser()
        browser.cookies["preflab"] = planted
        assert browser.post("/login", name="root", password=PASSWORD).status_code == 303
        assert browser.cookies["preflab"] != planted
        assert people.find_token(lab.store, planted, "session") is None  # the one before has ended too


def test_logging_out_ends_the_session_in_the_store_and_not_only_in_the_browser(lab: Lab) -> None:
    browser = owner(lab)
    kept = dict(browser.cookies)
    assert browser.post("/logout").headers["location"] == "/login"
    assert "preflab" not in browser.cookies
    assert Browser(lab, kept).get("/account").status_code == 303


def test_a_session_ends_by_itself(lab: Lab) -> None:
    browser = owner(lab)
    assert browser.get("/account").status_code == 200
    lab.clock.forward(86_400)
    assert browser.get("/account").status_code == 303


def test_another_password_ends_every_way_in_that_the_person_had(lab: Lab) -> None:
    who = lab.person(("*", "owner"), name="root")
    one, two, program = lab.browser(who), lab.browser(who), lab.program(who)
    link = re.search(r"http://localhost(/return/[\w-]+)", one.post("/account/link").text)
    assert link is not None
    wrong = one.post("/account/password", old="not the old one", password="another long one")
    assert wrong.status_code == 422 and two.get("/account").status_code == 200
    short = one.post("/account/password", old=PASSWORD, password="short")
    assert short.status_code == 422 and "12 to 200" in short.text
    assert one.post("/account/password", old=PASSWORD, password="another long one").status_code == 303
    assert [b.get("/account").status_code for b in (one, two)] == [303, 303]
    assert program.get("/api/studies").status_code == 401
    assert lab.browser().post(link.group(1)).status_code == 404
    assert lab.browser().post("/login", name="root", password=PASSWORD).status_code == 403
    assert lab.browser().post("/login", name="root", password="another long one").status_code == 303


def test_guessing_the_old_password_of_an_open_session_is_limited_as_logging_in_is(lab: Lab) -> None:
    browser = owner(lab)
    tried = [browser.post("/account/password", old="guess", password="another long one") for _ in range(12)]
    assert [answer.status_code for answer in tried] == [422] * 10 + [429] * 2


def test_erasing_oneself_ends_every_session_and_leaves_no_name(lab: Lab) -> None:
    owner(lab)
    who = lab.person(("red", "annotator"), name="Ada Unforgettable")
    browser, other = lab.browser(who), lab.browser(who)
    assert browser.post("/account/erase", sure="yes").status_code == 422
    assert browser.post("/account/erase", sure="ERASE ").status_code == 200
    assert other.get("/account").status_code == 303
    lab.store.close()  # everything to the file
    for file in lab.path.parent.glob("lab.db*"):
        assert b"Unforgettable" not in file.read_bytes()


# logging in ------------------------------------------------------------------------------------------------


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every password that is worked on, with the hash it is held against."""
    calls: list[str] = []
    real = passwords._HASHER

    class Counting:
        def verify(self, kept: str, password: str) -> bool:
            calls.append(kept)
            return real.verify(kept, password)

        def hash(self, password: str) -> str:
            calls.append("hash")
            return real.hash(password)

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    return calls


def test_a_login_takes_the_same_work_whoever_it_names(lab: Lab, hasher: list[str]) -> None:
    lab.person(("*", "owner"), name="root")
    lab.person(("red", "annotator"))  # has neither name nor password
    hasher.clear()
    for name, password, status in (
        ("root", PASSWORD, 303),
        ("root", "wrong", 403),
        ("root", "", 403),
        ("nobody", PASSWORD, 403),
        ("nobody", "nobody has this password", 403),  # what the stand-in hash is of
        ("", "x", 403),
        ("x" * 5000, "x" * 5000, 403),
    ):
        assert lab.browser().post("/login", name=name, password=password).status_code == status
        assert len(hasher) == 1, name
        assert hasher.pop().startswith("$argon2id$v=19$m=8,t=1,p=1$")  # the same cost for all


def test_wrong_passwords_are_limited_by_name_and_by_address_and_right_ones_are_not(lab: Lab) -> None:
    lab.person(("*", "owner"), name="root")
    clock = Seconds()
    lab.site.login_limiter._clock = clock
    browser = lab.browser()
    for _ in range(15):
        assert lab.browser().post("/login", name="root", password=PASSWORD).status_code == 303
    tried = [browser.post("/login", name="root", password="wrong").status_code for _ in range(11)]
    assert tried == [403] * 10 + [429]
    assert browser.post("/login", name="root", password=PASSWORD).status_code == 429  # the right one too
    assert browser.post("/login", name="another", password="wrong").status_code == 429  # by address
    lab.site.login_limiter._buckets.pop(lab.site.mask("testclient"))  # from another address
    assert browser.post("/login", name="another", password="wrong").status_code == 403
    assert browser.post("/login", name="root", password=PASSWORD).status_code == 429  # by name
    clock.now = 90.0  # ten in a quarter of an hour
    assert browser.post("/login", name="root", password=PASSWORD).status_code == 303


def test_many_guesses_at_the_same_moment_are_no_more_than_the_limit(lab: Lab, hasher: list[str]) -> None:
    lab.person(("*", "owner"), name="root")
    browsers = [lab.browser() for _ in range(30)]
    tokens = [browser.token() for browser in browsers]
    hasher.clear()

    def guess(n: int) -> int:
        form = {"csrf": tokens[n], "name": "root", "password": f"guess {n}"}
        sent = {"origin": "http://localhost", "cookie": f"preflab-form={browsers[n].cookies['preflab-form']}"}
        return int(lab.client.post("/login", data=form, headers=sent).status_code)

    with ThreadPoolExecutor(30) as pool:
        found = list(pool.map(guess, range(30)))
    assert len(hasher) <= 10
    assert found.count(403) <= 10 and found.count(403) + found.count(429) == 30


def test_invitations_and_personal_links_cannot_be_guessed_at_leisure(lab: Lab) -> None:
    for path in ("/join/", "/return/"):
        lab.site.login_limiter._buckets.clear()
        browser = lab.browser()
        tried = [browser.post(f"{path}{'x' * 40}{n}").status_code for n in range(12)]
        assert tried == [404] * 10 + [429] * 2
        invited = people.issue_token(lab.store, "invite", study="red", days=1.0)
        assert browser.get(f"/join/{invited}").status_code == 429


# the ways in -----------------------------------------------------------------------------------------------


def test_the_first_owner_begins_by_the_printed_secret_once(lab: Lab) -> None:
    old, secret = issue_bootstrap_secret(lab.store), issue_bootstrap_secret(lab.store)
    assert old and secret and old != secret
    form = {"name": "root", "password": PASSWORD}
    assert lab.browser().post("/begin", secret=old, **form).status_code == 404  # a restart ends the one before
    assert lab.browser().post("/begin", secret=secret, name="root", password="short").status_code == 422
    assert lab.browser().post("/begin", secret=secret, name="a\nb", password=PASSWORD).status_code == 422
    browser = lab.browser()
    assert browser.post("/begin", secret=f" {secret} ", **form).status_code == 303
    assert browser.get("/new").status_code == 200
    assert lab.browser().post("/begin", secret=secret, name="another", password=PASSWORD).status_code == 404
    assert issue_bootstrap_secret(lab.store) is None


def test_the_bootstrap_secret_ends_after_a_day_and_other_secrets_do_not_begin(lab: Lab) -> None:
    secret = issue_bootstrap_secret(lab.store)
    assert secret is not None
    invited = people.issue_token(lab.store, "invite", study="red", role="owner", days=1.0)
    assert lab.browser().post("/begin", secret=invited, name="a", password=PASSWORD).status_code == 404
    assert lab.browser().post(f"/join/{secret}", name="a", password=PASSWORD).status_code == 404
    lab.clock.forward(86_400)
    assert lab.browser().post("/begin", secret=secret, name="a", password=PASSWORD).status_code == 404


def test_an_invitation_for_one_lets_in_one_of_many_who_press_at_once(lab: Lab) -> None:
    invited = people.issue_token(lab.store, "invite", study="red", role="annotator", days=1.0, uses=1)
    browsers = [lab.browser() for _ in range(12)]
    tokens = [browser.token() for browser in browsers]

    def join(n: int) -> int:
        sent = {"origin": "http://localhost", "cookie": f"preflab-form={browsers[n].cookies['preflab-form']}"}
        return int(lab.client.post(f"/join/{invited}", data={"csrf": tokens[n]}, headers=sent).status_code)

    with ThreadPoolExecutor(12) as pool:
        found = sorted(pool.map(join, range(12)))
    assert found[0] == 303 and set(found[1:]) <= {404, 429}
    assert len(people.members_of(lab.store, "red")) == 1


def test_following_a_link_uses_nothing_up_and_lets_nobody_in(lab: Lab) -> None:
    invited = people.issue_token(lab.store, "invite", study="red", role="annotator", days=1.0, uses=1)
    link = people.issue_token(lab.store, "return", pseudonym=lab.person(("red", "annotator")), days=1.0)
    for path in (f"/join/{invited}", f"/return/{link}"):
        for _ in range(3):  # a mail program that looks at links
            browser = lab.browser()
            assert browser.get(path).status_code == 200
            assert set(browser.cookies) == {"preflab-form"}
        assert lab.browser().post(path).status_code == 303


def test_a_personal_link_lets_its_person_in_and_joins_nobody_to_anything(lab: Lab) -> None:
    who = lab.person(("red", "annotator"))
    browser = lab.browser(who)
    first = re.search(r"/return/([\w-]+)", browser.post("/account/link").text)
    second = re.search(r"/return/([\w-]+)", browser.post("/account/link").text)
    assert first is not None and second is not None
    assert lab.browser().post(f"/return/{first.group(1)}").status_code == 404  # the newer one replaced it
    other = lab.browser(lab.person())
    assert other.post(f"/join/{second.group(1)}").status_code == 404
    assert lab.browser().post("/begin", secret=second.group(1), name="a", password=PASSWORD).status_code == 404
    there = lab.browser()
    assert there.post(f"/return/{second.group(1)}").status_code == 303
    assert who in there.get("/account").text
    assert [member.person for member in people.members_of(lab.store, "red")] == [who]


def test_an_invitation_names_its_role_and_no_form_can_raise_it(lab: Lab) -> None:
    invited = people.issue_token(lab.store, "invite", study="red", role="reviewer", days=1.0, uses=1)
    browser = lab.browser()
    assert browser.post(f"/join/{invited}", role="owner", study="*", name="r", password="short").status_code == 422
    joined = browser.post(f"/join/{invited}", role="owner", study="*", name="r", password=PASSWORD)
    assert joined.status_code == 303
    assert browser.get("/s/red/results").status_code == 200
    assert browser.get("/s/red/manage").status_code == browser.get("/new").status_code == 403


def test_whose_role_is_taken_away_is_out_at_once_and_the_task_goes_back(lab: Lab) -> None:
    who, root = lab.person(("red", "annotator")), owner(lab)
    browser = lab.browser(who)
    task = claim(lab.store, "red", who)
    assert task is not None and browser.get(f"/s/red/task/{task.slot}").status_code == 200
    assert root.post("/s/red/manage/remove", person=who).status_code == 303
    assert browser.get(f"/s/red/task/{task.slot}").status_code == 403
    another = claim(lab.store, "red", lab.person(("red", "annotator")))
    assert another is not None and another.slot == task.slot


def test_tokens_reach_no_further_than_their_study_role_and_person(lab: Lab) -> None:
    lab.study("blue")
    who = lab.person(("red", "owner"), ("blue", "reviewer"))
    names = lambda program: [study["name"] for study in program.get("/api/studies").json()["studies"]]  # noqa: E731
    assert names(lab.program(who)) == ["blue", "red"]
    assert names(lab.program(who, "blue")) == ["blue"]
    item = {"items": [{"prompt": "Why?", "replies": ["a", "b"]}]}
    assert lab.program(who).post("/api/studies/blue/items", json=item).status_code == 403  # a reviewer there
    assert lab.program(who, "red", "reviewer").post("/api/studies/red/items", json=item).status_code == 403
    assert lab.program(who, "red").post("/api/studies/red/items", json=item).status_code == 201
    assert lab.program(who).post("/api/tokens", json={}).status_code == 403
