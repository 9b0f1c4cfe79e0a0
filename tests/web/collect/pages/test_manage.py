"""What owners do: studies, invitations, members, items; and what they are told when it cannot be."""

import html
import re

import pytest
import yaml

from preflab.data.store import people
from preflab.data.store.studies import find_study, items_of
from tests.web.collect.lab import CHAT, RANK, Browser, Lab, owner


@pytest.fixture
def ada(lab: Lab) -> Browser:
    return owner(lab)


def test_a_name_that_is_taken_is_refused_and_the_text_comes_back(lab: Lab, ada: Browser) -> None:
    answer = ada.post("/new", text="name: red\nprotocol: rank\ntitle: Another\n")
    assert answer.status_code == 422
    assert "there is a study &#39;red&#39; already" in answer.text and "title: Another" in answer.text
    assert find_study(lab.store, "red").definition["title"] == "Which is better?"


def test_a_study_is_paused_and_opened_again(lab: Lab, ada: Browser) -> None:
    annotator = lab.browser(lab.person(("red", "annotator")))
    annotator.post("/s/red/consent", agree="1")
    for state, status in (("paused", 200), ("open", 303)):
        assert ada.post("/s/red/manage/state", state=state).status_code == 303
        assert annotator.get("/s/red/next").status_code == status
    assert ada.post("/s/red/manage/state", state="ajar").status_code == 422
    assert find_study(lab.store, "red").state == "open"


@pytest.mark.parametrize(
    ("form", "range_"),
    [
        ({"uses": "0"}, "from 1 to 10000"),
        ({"uses": "many"}, "from 1 to 10000"),
        ({"uses": "nan"}, "from 1 to 10000"),
        ({"days": "91"}, "from 1 to 90"),
        ({"role": "king"}, "annotator, reviewer, owner"),
    ],
)
def test_an_invitation_out_of_range_is_refused(form: dict[str, str], range_: str, lab: Lab, ada: Browser) -> None:
    answer = ada.post("/s/red/manage/invite", **form)
    assert answer.status_code == 422 and range_ in answer.text
    assert people.tokens_of(lab.store, "red", "invite") == []


def test_an_invitation_is_shown_once_and_ends_when_it_is_revoked(lab: Lab, ada: Browser) -> None:
    text = ada.post("/s/red/manage/invite", role="annotator", uses="2", days="3", note="the class of May").text
    link = re.search(r"http://localhost(/join/[\w-]+)", text)
    assert link is not None and "the class of May" in text
    assert link.group(1) not in ada.get("/s/red/manage").text
    assert lab.browser().get(link.group(1)).status_code == 200
    (invitation,) = people.tokens_of(lab.store, "red", "invite")
    assert ada.post("/s/red/manage/revoke", token=invitation.hash).status_code == 303
    assert lab.browser().get(link.group(1)).status_code == 404


def test_an_invitation_of_another_study_cannot_be_revoked_from_here(lab: Lab, ada: Browser) -> None:
    lab.study("blue", CHAT)
    people.issue_token(lab.store, "invite", study="blue", role="annotator", days=1.0)
    (invitation,) = people.tokens_of(lab.store, "blue", "invite")
    assert ada.post("/s/red/manage/revoke", token=invitation.hash).status_code == 404
    (invitation,) = people.tokens_of(lab.store, "blue", "invite")
    assert invitation.revoked is None


def test_a_revision_keeps_the_name_and_what_the_form_shows_can_be_saved_as_it_is(lab: Lab, ada: Browser) -> None:
    answer = ada.post("/s/red/manage/revise", text=RANK.format(name="green"))
    assert answer.status_code == 422 and "the name of a study cannot change" in answer.text
    revised = RANK.format(name="red").replace("title: Which is better?", 'instructions: "One line.\\n\\nAnother."')
    assert ada.post("/s/red/manage/revise", text=revised).status_code == 303
    page = ada.get("/s/red/manage").text
    assert "revision 2" in page
    shown = page.split('name="text"')[1].split(">", 1)[1].split("</textarea>")[0]
    shown = html.unescape(shown)
    assert "instructions: |" in shown  # several lines as such
    assert yaml.safe_load(shown)["instructions"] == "One line.\n\nAnother."
    assert ada.post("/s/red/manage/revise", text=shown).status_code == 303
    assert find_study(lab.store, "red").revision == 2


def test_items_are_added_all_or_none_and_a_bad_line_is_named(lab: Lab, ada: Browser) -> None:
    good = '{"prompt": "Why?", "replies": ["a", "b"]}'
    before = len(items_of(lab.store, "red"))
    for lines, message in (
        (f"{good}\nnonsense", "line 2 is not JSON"),
        (f"\n{good}\n[1]\n", "line 2 is no JSON object"),
        ("\n\n", "no items were given"),
    ):
        answer = ada.post("/s/red/manage/items", lines=lines)
        assert answer.status_code == 422 and message in answer.text
    assert len(items_of(lab.store, "red")) == before
    assert ada.post("/s/red/manage/items", lines=f"{good}\n\n", purpose="practice").status_code == 303
    (item,) = items_of(lab.store, "red", "practice")
    assert item.content["replies"] == ["a", "b"]
    assert ada.post("/s/red/manage/items", lines=good, purpose="decoration").status_code == 422


def test_a_member_who_is_removed_is_no_longer_listed(lab: Lab, ada: Browser) -> None:
    member = lab.person(("red", "reviewer"))
    assert member in ada.get("/s/red/manage").text
    assert ada.post("/s/red/manage/remove", person=member).status_code == 303
    assert member not in ada.get("/s/red/manage").text
    assert lab.browser(member).get("/s/red/results").status_code == 403
