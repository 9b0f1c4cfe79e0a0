"""Thoughts and replies are told apart by their markers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflab.rollouts.requests.thoughts import split_thoughts
from preflab.rollouts.requests.types import CUT_AT_LIMIT, CUT_IN_THOUGHT, ONLY_THOUGHT, Generation, UnreadableResponse

MARKERS = [
    ("<think>", "</think>"),
    ("<THINKING>", "</THINKING>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
]


@given(st.sampled_from(MARKERS), st.text(st.sampled_from("ab .\n"), max_size=20), st.sampled_from(["B", "so: B.", ""]))
def test_a_thought_is_taken_off_and_one_cut_midway_leaves_nothing(
    markers: tuple[str, str], thought: str, reply: str
) -> None:
    opening, closing = markers
    assert split_thoughts(f"{opening}{thought}{closing}\n\n{reply}") == (reply, False)
    assert split_thoughts(f"{opening}{thought}") == ("", True)


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("so it is A.</think>\nB", "B"),  # the template opened the thought
        ("<think>one</think><think>two</think> B", "B"),
        ("<think>one <think>two</think> three</think> B", "B"),
        ("First. <think>hm</think>Then.", "First. Then."),
        ("1 < 2, and <b>bold</b>", "1 < 2, and <b>bold</b>"),
        ("<|begin_of_thought|>x<|end_of_thought|><|begin_of_solution|>B<|end_of_solution|>", "B"),
        ("<|channel|>final<|message|>B<|return|>", "B"),
    ],
)
def test_what_the_reader_sees(text: str, visible: str) -> None:
    assert split_thoughts(text) == (visible, False)


def test_a_generation_gives_its_text_without_thoughts_and_an_answer_only_where_it_ended() -> None:
    assert Generation("<think>hm</think> B").require_text() == "B"
    assert Generation("<think>hm</think> B").require_raw_text() == "<think>hm</think> B"
    assert Generation("It could be", finished=False).require_text() == "It could be"
    for generation, reason in (
        (Generation("It could be A", finished=False), CUT_AT_LIMIT),
        (Generation("<think>It could be A", finished=False), CUT_IN_THOUGHT),
        (Generation("<think>It is A</think>"), ONLY_THOUGHT),
    ):
        with pytest.raises(UnreadableResponse, match=reason):
            generation.require_answer()
