"""One's own account: what its page shows, the personal link, erasing."""

import re

from preflab.data.store import people
from tests.web.collect.lab import PASSWORD, Lab


def test_the_page_offers_a_password_to_those_who_have_a_name_alone(lab: Lab) -> None:
    nameless, named = lab.person(("red", "annotator")), lab.person(("*", "owner"), name="Ada")
    text = lab.browser(nameless).get("/account").text
    assert nameless in text and "/account/password" not in text
    text = lab.browser(named).get("/account").text
    assert named in text and "<bdi>Ada</bdi>" in text and "/account/password" in text


def test_who_has_no_name_can_set_no_password(lab: Lab) -> None:
    answer = lab.browser(lab.person()).post("/account/password", old="", password=PASSWORD)
    assert answer.status_code == 422 and "use your personal link" in answer.text


def test_a_personal_link_ends_after_ninety_days(lab: Lab) -> None:
    text = lab.browser(lab.person()).post("/account/link").text
    assert "it works for 90 days" in text
    secret = re.search(r"/return/([\w-]+)", text)
    assert secret is not None
    lab.clock.forward(90 * 86_400 - 1)
    assert lab.browser().get(f"/return/{secret.group(1)}").status_code == 200
    lab.clock.forward(1)
    assert people.find_token(lab.store, secret.group(1), "return") is None


def test_erasing_wants_the_word_and_then_the_person_is_gone(lab: Lab) -> None:
    person = lab.person(("red", "annotator"))
    browser = lab.browser(person)
    answer = browser.post("/account/erase", sure="yes")
    assert answer.status_code == 422 and "type the word erase" in answer.text
    assert browser.get("/account").status_code == 200
    answer = browser.post("/account/erase", sure=" Erase ")
    assert answer.status_code == 200 and "<h1>Erased</h1>" in answer.text
    assert browser.get("/account").headers["location"] == "/login"
    assert people.members_of(lab.store, "red") == []
