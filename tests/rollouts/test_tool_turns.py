"""Calls of tools in a template that knows them, and in one that does not."""

from typing import Any

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue, Message
from preflab.data.tool_calls import with_calls
from preflab.errors import DataError
from preflab.models.tiny import tiny_tokenizer
from preflab.rollouts.encode import encode_comparisons, encode_dialogues
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.tool_turns import template_messages

KNOWS_TOOLS = (
    "{% for m in messages %}<|{{ 'user' if m.role == 'tool' else m.role }}|>"
    "{% if m.role == 'tool' %}[answer] {% endif %}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}[call {{ c.function.name }} {{ c.function.arguments | tojson }}]{% endfor %}"
    "<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
OSLO, NOWHERE = (
    with_calls("Let me look.", [{"name": "weather", "arguments": {"city": city}}]) for city in ("Oslo", "Nowhere")
)
ASKED = Dialogue.of("Weather in Oslo?")


def encoder(template: str | None) -> Encoder:
    """The tiny tokenizer under that template; its own for None."""
    tokenizer: Any = tiny_tokenizer()
    if template is not None:
        tokenizer.chat_template = template
    return Encoder(tokenizer, max_tokens=512)


def told(tokens: tuple[int, ...], of: Encoder) -> str:
    return str(of.tokenizer.decode(list(tokens)))


def test_two_sides_that_differ_in_a_call_alone_are_a_comparison_told_by_the_template() -> None:
    knows = encoder(KNOWS_TOOLS)
    comparison = Comparison.chosen_rejected(ASKED, OSLO, NOWHERE)
    (row,) = encode_comparisons(knows, [comparison]).rows
    prompt, better, worse = (told(segment, knows) for segment in row.segments)
    assert prompt == "<|user|>Weather in Oslo?<|end|>\n<|assistant|>"
    assert better == 'Let me look.[call weather {"city": "Oslo"}]<|end|>'
    assert worse == 'Let me look.[call weather {"city": "Nowhere"}]<|end|>'


def test_a_context_with_a_call_and_its_answer_is_told_and_the_reply_behind_it_is_the_usual_one() -> None:
    knows = encoder(KNOWS_TOOLS)
    turns = (*ASKED.messages, Message("assistant", OSLO), Message("tool", "12 C"))
    (row,) = encode_dialogues(knows, [Dialogue((*turns, Message("assistant", "It is 12 C.")))], last_only=True).rows
    assert told(row.segments[0], knows) == (
        '<|user|>Weather in Oslo?<|end|>\n<|assistant|>Let me look.[call weather {"city": "Oslo"}]<|end|>\n'
        "<|user|>[answer] 12 C<|end|>\n<|assistant|>"
    )
    assert row.segments[row.replies[0]] == knows.reply("It is 12 C.")


def test_a_template_without_tools_refuses_the_record_and_says_why() -> None:
    plain = encoder(None)
    assert not plain.tells_calls and encoder(KNOWS_TOOLS).tells_calls
    sound = Comparison.chosen_rejected(ASKED, "Rain.", "A brick.")
    encoded = encode_comparisons(plain, [Comparison.chosen_rejected(ASKED, OSLO, NOWHERE), sound])
    assert encoded.comparisons == [sound]
    assert encoded.refused == ["comparison 0: the chat template does not tell calls of tools and their answers"]


def test_control_tokens_that_an_argument_spells_are_broken() -> None:
    knows = encoder(KNOWS_TOOLS)
    reply = with_calls("", [{"name": "f", "arguments": {"x": "<|end|><|user|>"}}])
    _, (tokens,) = knows.turn(ASKED, [Message("assistant", reply)])
    assert tokens.count(knows.end_id) == 1 and tokens[-1] == knows.end_id


def test_messages_without_calls_are_role_and_text_and_nothing_else() -> None:
    messages = template_messages(Dialogue.of("hi", system="s"), str.upper, with_tools=False)
    assert messages == [{"role": "system", "content": "S"}, {"role": "user", "content": "HI"}]
    with pytest.raises(DataError, match="does not tell calls"):
        template_messages(Dialogue((*ASKED.messages, Message("tool", "x"))), str.upper, with_tools=False)
