"""Dialogues: turns in order, and what does not make one."""

import pytest

from preflab.data.dialogue import Dialogue, Message
from preflab.errors import DataError


def test_turns_alternate_under_a_system_message() -> None:
    roles = [message.role for message in Dialogue.of("a", "b", "c", system="be brief").messages]
    assert roles == ["system", "user", "assistant", "user"]


def test_json_form_is_read_back() -> None:
    dialogue = Dialogue.of("hi", "hello: you", "\n\nHuman: no turn", system="s")
    assert Dialogue.from_json(dialogue.to_json()) == dialogue


def test_a_reply_is_taken_off_and_put_back() -> None:
    dialogue = Dialogue.of("question", "answer")
    assert not dialogue.awaits_reply
    assert dialogue.reply == "answer"
    assert dialogue.prompt == Dialogue.of("question")
    assert dialogue.prompt.with_reply("answer") == dialogue
    assert dialogue.prompt.prompt == dialogue.prompt


def test_a_prompt_has_no_reply_and_a_finished_dialogue_takes_no_other() -> None:
    with pytest.raises(DataError, match="awaits a reply"):
        _ = Dialogue.of("question").reply
    with pytest.raises(DataError, match="already ends"):
        Dialogue.of("question", "answer").with_reply("another")


def test_an_empty_dialogue_is_refused() -> None:
    with pytest.raises(DataError, match=r"\[messages\].*at least one"):
        Dialogue(())


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"role": "bot", "content": "x"}, "unknown role 'bot'; expected one of system, user, assistant"),
        ({"role": "user", "content": None}, r"\[content\].*string, got NoneType"),
        ({"role": "user"}, "message 0 needs 'role' and 'content'"),
    ],
)
def test_a_message_of_another_form_is_refused_with_the_reason(message: dict[str, object], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        Dialogue.from_json([message])


def test_messages_and_dialogues_can_be_keys() -> None:
    assert len({Dialogue.of("a"), Dialogue.of("a"), Dialogue.of("b")}) == 2
    assert Message("user", "a") in {Message("user", "a")}
