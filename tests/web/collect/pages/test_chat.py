"""A conversation through its pages: a message, the replies as they grow, a vote, and asking once more."""

import re
from dataclasses import dataclass

import pytest

from preflab.data.store import conversation
from tests.web.collect.lab import CHAT, Browser, Lab

POLICIES = [("talk", "secret-1"), ("talk", "secret-2")]


@dataclass
class Conversation:
    """A task of the study ``talk`` in somebody's browser."""

    lab: Lab
    browser: Browser
    path: str

    def hidden(self, form_class: str) -> dict[str, str]:
        """Hidden fields of a form of the page."""
        form = self.browser.get(self.path).text.split(f'class="{form_class}"', 1)[1].split("</form>")[0]
        return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))

    def say(self, text: str) -> str:
        """Send a message; the page that comes back."""
        answer = self.browser.post(f"{self.path}/say", **self.hidden("say"), message=text)
        if answer.status_code == 303:
            assert answer.headers["location"] == self.path
            return str(self.browser.get(self.path).text)
        assert answer.status_code == 422
        return str(answer.text)

    def reply(self, text: str | None) -> None:
        """Let the next policy answer, or fail for good (None)."""
        job = conversation.take_job(self.lab.store, "worker", policies=POLICIES)
        assert job is not None
        if text is None:
            conversation.fail_reply(self.lab.store, job.reply, "worker", "engine died", again_after_ms=None)
        else:
            assert conversation.finish_reply(self.lab.store, job.reply, "worker", text, {})


@pytest.fixture
def talk(lab: Lab) -> Conversation:
    lab.study("talk", CHAT)
    browser = lab.browser(lab.person(("talk", "annotator")))
    browser.post("/s/talk/consent", agree="1")
    return Conversation(lab, browser, browser.get("/s/talk/next").headers["location"])


def test_replies_are_waited_for_until_both_are_there_and_the_vote_goes_on_from_one(talk: Conversation) -> None:
    page = talk.say("How do I bake bread?")
    assert "How do I bake bread?" in page and f'data-follow="{talk.path}/talk"' in page
    talk.reply("Knead it.")
    fragment = talk.browser.get(f"{talk.path}/talk").text
    assert "data-follow" in fragment and "/vote/" not in fragment and "<html" not in fragment
    talk.reply("Bake it.")
    fragment = talk.browser.get(f"{talk.path}/talk").text
    assert "data-follow" not in fragment and "Knead it." in fragment and "Bake it." in fragment
    vote = talk.hidden("judge")
    answer = talk.browser.post(f"{talk.path}/vote/0", **vote)  # nothing chosen
    assert answer.status_code == 422 and "Not sent yet." in answer.text
    assert talk.browser.post(f"{talk.path}/vote/0", **vote, scale="-4").status_code == 303
    chosen = talk.browser.get(talk.path).text
    left = "Knead it." if fragment.index("Knead it.") < fragment.index("Bake it.") else "Bake it."
    other = "Bake it." if left == "Knead it." else "Knead it."
    assert left in chosen and other not in chosen and 'class="say"' in chosen


def test_an_empty_message_is_complained_of_and_not_sent(talk: Conversation) -> None:
    assert "Not sent yet." in talk.say("  ")
    assert conversation.take_job(talk.lab.store, "worker", policies=POLICIES) is None


def test_a_message_is_kept_when_no_answer_came_and_can_be_asked_again(talk: Conversation) -> None:
    talk.say("hello")
    talk.reply(None)
    talk.reply(None)
    page = talk.browser.get(talk.path).text
    assert "Your message is kept" in page and "hello" in page
    assert talk.browser.post(f"{talk.path}/again").headers["location"] == talk.path
    assert f'data-follow="{talk.path}/talk"' in talk.browser.get(talk.path).text
    talk.reply("one")
    talk.reply("two")
    assert "/vote/0" in talk.browser.get(talk.path).text


def test_who_has_not_agreed_is_sent_to_the_consent_text_and_nothing_is_said(talk: Conversation) -> None:
    form = talk.hidden("say")
    talk.browser.post("/s/talk/leave")
    answer = talk.browser.post(f"{talk.path}/say", **form, message="hello")
    assert (answer.status_code, answer.headers["location"]) == (303, "/s/talk")
    assert conversation.take_job(talk.lab.store, "worker", policies=POLICIES) is None
