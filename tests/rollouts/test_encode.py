"""Dialogues and comparisons as rows: what is cut and what never is, trees, and what is refused by name."""

from pathlib import Path

import pytest

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue, Message
from preflab.data.rows import Row
from preflab.models.tiny import tiny_tokenizer
from preflab.rollouts.encode import (
    encode_comparisons,
    encode_conversations,
    encode_dialogues,
    encode_replies,
    fit_prompt,
)
from preflab.rollouts.encoder import Encoder

STORIES = Path(__file__).parents[3] / "shared/data/models/stories260k"
PAD, END, SYSTEM, USER, ASSISTANT = range(5)


def encoder(max_tokens: int = 256) -> Encoder:
    return Encoder(tiny_tokenizer(), max_tokens=max_tokens)


def bytes_of(text: str) -> list[int]:
    return list(tiny_tokenizer()(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


# fitting -------------------------------------------------------------------------------------------------


LONG = Dialogue.of("one", "first", "two", "second", "three", system="be kind")


def test_the_earliest_exchanges_go_and_never_the_system_message_or_the_last_turn() -> None:
    own = encoder()
    whole, two, one = (own.prompt(d) for d in (LONG, Dialogue.of("two", "second", "three", system="be kind"),
                                               Dialogue.of("three", system="be kind")))  # fmt: skip
    assert fit_prompt(own, LONG, room=len(whole)) == (whole, False)
    assert fit_prompt(own, LONG, room=len(whole) - 1) == (two, True)
    assert fit_prompt(own, LONG, room=len(two)) == (two, True)
    assert fit_prompt(own, LONG, room=len(two) - 1) == (one, True)
    assert fit_prompt(own, LONG, room=len(one)) == (one, True)
    assert fit_prompt(own, LONG, room=len(one) - 1) is None


@pytest.mark.parametrize("room", [0, -5])
def test_no_room_is_no_crash(room: int) -> None:
    assert fit_prompt(encoder(), LONG, room=room) is None


def test_a_dialogue_that_begins_with_the_assistant_begins_with_a_person_once_it_is_cut() -> None:
    own = encoder()
    messages = [{"role": r, "content": r} for r in ("assistant", "user")]
    kept = own.prompt(Dialogue.of("user"))
    assert fit_prompt(own, Dialogue.from_json(messages), room=len(kept)) == (kept, True)


def test_a_lone_system_message_fits_or_does_not() -> None:
    own, lone = encoder(), Dialogue.from_json([{"role": "system", "content": "s"}])
    assert fit_prompt(own, lone, room=99) == (own.prompt(lone), False)
    assert fit_prompt(own, lone, room=1) is None


def test_comparisons_become_rows_and_everything_left_out_is_counted() -> None:
    short = Comparison(prompt=Dialogue.of("two"), replies=("a", "bb"), ranks=(0, 1))
    cut = Comparison(prompt=Dialogue.of("one" * 5, "first", "two"), replies=("a", "bb"), ranks=(0, 1))
    long = Comparison(prompt=Dialogue.of("x"), replies=("a", "b" * 30), ranks=(0, 1), provenance=Provenance(id="q7"))
    own = encoder(max_tokens=20)
    found = encode_comparisons(own, [long, short, cut])
    assert found.comparisons == [short, cut]
    assert found.shortened == 1
    assert found.refused == ["q7: prompt and longest reply exceed 20 tokens"]
    prompt = own.prompt(Dialogue.of("two"))
    assert [row.segments for row in found.rows] == [(prompt, own.reply("a"), own.reply("bb"))] * 2
    assert found.n_tokens == 2 * (len(prompt) + 2 + 3)
    assert encode_comparisons(own, []).rows == []


def test_a_comparison_that_the_template_refuses_is_counted_and_the_rest_goes_on() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        + tokenizer.chat_template
    )
    good = Comparison(prompt=Dialogue.of("x"), replies=("a", "b"), ranks=(0, 1))
    bad = Comparison(prompt=Dialogue.of("x", system="s"), replies=("a", "b"), ranks=(0, 1))
    found = encode_comparisons(Encoder(tokenizer, max_tokens=64), [bad, good])
    assert found.comparisons == [good]
    (why,) = found.refused
    assert "comparison 0" in why and "no system role" in why


def test_the_scoring_template_ends_where_the_score_is_read() -> None:
    tokenizer = tiny_tokenizer()
    breaking = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>\n{% endfor %}"
    tokenizer.chat_template = breaking + "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    encoder = Encoder(tokenizer, max_tokens=100)
    dialogue = Dialogue.of("hi", "hello")
    own = [*encoder.prompt(dialogue.prompt), *encoder.reply("hello")]
    tokenizer.chat_template = encoder.scoring_template
    text = tokenizer.apply_chat_template(dialogue.to_json(), tokenize=False)
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == own
    prompt = tokenizer.apply_chat_template(dialogue.prompt.to_json(), tokenize=False, add_generation_prompt=True)
    assert tuple(tokenizer(prompt, add_special_tokens=False)["input_ids"]) == encoder.prompt(dialogue.prompt)


# trees and dialogues -------------------------------------------------------------------------------------

TURNS = [
    Comparison(prompt=Dialogue.of("hi"), replies=("hello", "what"), ranks=(0, 1)),
    Comparison(prompt=Dialogue.of("hi", "hello", "sing"), replies=("la la", "no"), ranks=(0, 1)),
    Comparison(prompt=Dialogue.of("hi", "hello", "sing", "no", "please"), replies=("la", "never"), ranks=(0, 1)),
]


def alone(row: Row) -> list[Row]:
    return [row.isolate(k) for k in range(len(row.replies))]


def test_a_dialogue_with_two_replies_at_every_turn_is_one_row() -> None:
    found = encode_conversations(encoder(), [TURNS, TURNS[:1]])
    assert found.comparisons == [tuple(TURNS), (TURNS[0],)]
    tree = found.rows[0]
    # prompt, two replies, the user behind the first, two replies, the user behind the second of those, two replies
    assert tree.parents == (-1, 0, 0, 1, 3, 3, 5, 6, 6)
    assert tree.replies == (1, 2, 4, 5, 7, 8)
    one_by_one = encode_comparisons(encoder(), TURNS)
    assert alone(tree) == [branch for row in one_by_one.rows for branch in alone(row)]
    assert len(tree) < one_by_one.n_tokens


def test_a_turn_that_had_to_lose_its_beginning_starts_a_row_of_its_own() -> None:
    long = len(encoder().prompt(TURNS[2].prompt)) + len(encoder().reply("never"))
    found = encode_conversations(encoder(long - 1), [TURNS])
    assert found.comparisons == [tuple(TURNS[:2]), (TURNS[2],)]
    assert (found.shortened, found.refused) == (1, [])
    assert found.rows[1].segments[0] == encoder().prompt(Dialogue.of("sing", "no", "please"))


def test_a_turn_that_does_not_fit_at_all_is_refused_and_the_next_goes_on() -> None:
    endless = Comparison(prompt=TURNS[1].prompt, replies=("x" * 300, "y"), ranks=(0, 1))
    found = encode_conversations(encoder(), [[TURNS[0], endless, TURNS[2]]])
    assert found.comparisons == [(TURNS[0], TURNS[2])]
    assert found.refused == ["conversation 0, turn 1: prompt and longest reply exceed 256 tokens"]


def test_dialogues_share_no_row_even_if_one_goes_on_from_the_other() -> None:
    found = encode_conversations(encoder(), [TURNS[:1], TURNS[1:2]])
    assert len(found.rows) == 2


def test_a_template_that_tells_earlier_turns_otherwise_gets_a_row_a_turn() -> None:
    forgetful = tiny_tokenizer()
    forgetful.chat_template = (
        "{% for m in messages %}<|{{ m['role'] }}|>"
        "{{ m['content'] if loop.revindex <= (1 if add_generation_prompt else 2) else m['content'][:1] }}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    own = Encoder(forgetful, max_tokens=256)
    found = encode_conversations(own, [TURNS[:2]])
    assert found.rows == encode_comparisons(own, TURNS[:2]).rows
    assert len(encode_dialogues(own, [Dialogue.of("hi", "hello", "sing", "la")]).rows) == 2


def test_every_turn_of_the_assistant_is_a_reply_of_one_row() -> None:
    own, dialogue = encoder(), Dialogue.of("hi", "hello", "sing", "la la", "thanks")
    found = encode_dialogues(own, [dialogue, Dialogue.of("x", "y")])
    assert found.dialogue_of == [0, 1]
    assert alone(found.rows[0]) == [
        Row.of(own.prompt(Dialogue.of("hi")), own.reply("hello")),
        Row.of(own.prompt(Dialogue.of("hi", "hello", "sing")), own.reply("la la")),
    ]
    last = encode_dialogues(own, [dialogue], last_only=True)
    assert alone(last.rows[0]) == alone(found.rows[0])[1:]


def test_turns_that_are_not_to_be_learned_are_context_and_empty_ones_are_said_to_be_left_out() -> None:
    turns = (
        Message("user", "hi"),
        Message("assistant", "hello", learned=False),
        Message("user", "sing"),
        Message("assistant", "la"),
        Message("user", "more"),
        Message("assistant", " "),
    )
    encoded = encode_dialogues(encoder(), [Dialogue(turns)])
    learned = encode_dialogues(encoder(), [Dialogue(turns[:4])], last_only=True)
    assert [row.segments for row in encoded.rows] == [row.segments for row in learned.rows]
    assert encoded.refused == ["dialogue 0, message 5: has no text"]


def test_a_dialogue_too_long_for_one_row_takes_several_and_loses_nothing_in_silence() -> None:
    dialogue = Dialogue.of("hi", "hello", "sing", "la la", "more", "la la la")
    found = encode_dialogues(encoder(24), [dialogue])
    assert found.dialogue_of == [0, 0]
    assert (found.shortened, found.refused) == (1, [])
    assert sum(len(row.replies) for row in found.rows) == 3


def test_replies_to_one_prompt_are_branches_to_learn() -> None:
    own = encoder()
    found = encode_replies(own, [(Dialogue.of("hi"), ("hello", "hey")), (Dialogue.of("x" * 300), ("y",))])
    assert found.rows == [Row.of(own.prompt(Dialogue.of("hi")), own.reply("hello"), own.reply("hey"))]
    assert found.dialogue_of == [0]
    assert found.refused == ["prompt 1: prompt and longest reply exceed 256 tokens"]
    assert found.reply_tokens == 6 + 4
    assert found.n_tokens == len(own.prompt(Dialogue.of("hi"))) + 10


def test_turns_that_cannot_be_learned_from_are_refused_by_name() -> None:
    speaks_first = Dialogue((Message("assistant", "hi"), Message("user", "a"), Message("assistant", "b")))
    twice = Dialogue((Message("user", "a"), Message("assistant", "b"), Message("assistant", "c")))
    found = encode_dialogues(encoder(), [speaks_first, twice, Dialogue.of("hello?")])
    assert found.refused == [
        "dialogue 0, message 0: the assistant speaks first, to nobody",
        "dialogue 1, message 2: this dialogue does not await a reply",
        "dialogue 2: the assistant says nothing",
    ]
    assert found.dialogue_of == [0, 1]
