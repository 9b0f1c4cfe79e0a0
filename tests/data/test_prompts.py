"""Prompts alone."""

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue, Message
from preflab.data.prompts import distinct_prompts, prompt_turns
from preflab.errors import DataError


def test_every_prompt_once_in_order_of_first_appearance() -> None:
    asked = ["b", "a", "b", "c", "a"]
    comparisons = [Comparison.chosen_rejected(Dialogue.of(prompt), "good", "bad") for prompt in asked]
    assert distinct_prompts(comparisons) == [Dialogue.of("b"), Dialogue.of("a"), Dialogue.of("c")]


def test_a_prompt_is_text_messages_or_a_dialogue_with_markers() -> None:
    hi = Message("user", "hi")
    assert prompt_turns("hi") == (hi,)
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]
    assert prompt_turns(messages) == (Message("system", "s"), hi)
    marked = "\n\nHuman: hi\n\nAssistant: yo\n\nHuman: so?\n\nAssistant:"
    assert prompt_turns(marked) == (hi, Message("assistant", "yo"), Message("user", "so?"))
    with pytest.raises(DataError, match="expected a list of messages"):
        prompt_turns(3)
