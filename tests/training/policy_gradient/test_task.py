"""Which prompts a policy can be trained on: those that leave room for a reply."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.rollouts.encoder import Encoder
from preflab.training.policy_gradient.task import PolicyTask


def zero(dialogues: Sequence[Dialogue]) -> Tensor:
    return torch.zeros(len(dialogues))


def new_task(prompts: Sequence[Dialogue], max_tokens: int, **more: Any) -> PolicyTask:
    source = load_language_model("tiny", precision="fp32")
    trunk = Trunk(source, None)
    return PolicyTask(
        policy=trunk.add_role("policy"),
        reference=trunk.reference(),
        scorer=zero,
        prompts=prompts,
        seed=0,
        **{"encoder": Encoder(source.tokenizer, max_tokens=max_tokens)} | more,
    )


def test_a_prompt_is_taken_while_it_leaves_room_for_the_reply_and_not_one_token_longer() -> None:
    short, long = Dialogue.of("hi"), Dialogue.of("x" * 60)
    length = len(new_task([short], 512).encoder.prompt(long))
    for max_new_tokens, fits in ((10, True), (11, False)):
        task = new_task([long, short], length + 10)
        prompts = [prompt for prompt, _ in task.fitted_prompts(max_new_tokens)]
        assert prompts == ([long, short] if fits else [short])


def test_tokens_are_those_of_the_encoder_in_the_order_of_the_prompts() -> None:
    prompts = [Dialogue.of(text) for text in ("b", "a", "ccc", "a")]
    task = new_task(prompts, 64)
    assert task.fitted_prompts(8) == [(prompt, task.encoder.prompt(prompt)) for prompt in prompts]


def test_a_long_dialogue_loses_its_first_turns_and_keeps_its_last_question() -> None:
    dialogue = Dialogue.of("first " * 30, "yes", "last?")
    alone = Dialogue.of("last?")
    task = new_task([dialogue], len(new_task([], 512).encoder.prompt(alone)) + 4)
    ((prompt, tokens),) = task.fitted_prompts(4)
    assert prompt == dialogue  # scores and sources go by what was asked for
    assert tokens == task.encoder.prompt(alone)


def test_where_none_fits_the_room_is_named() -> None:
    with pytest.raises(DataError, match="no prompt fits in 5 tokens"):
        new_task([Dialogue.of("hello there")], 15).fitted_prompts(10)


def test_a_prompt_that_the_template_refuses_is_left_out_and_named_where_none_is_left() -> None:
    plain, system = Dialogue.of("hi"), Dialogue.of("hi", system="s")
    task = new_task([system, plain], 64)
    tokenizer = task.encoder.tokenizer
    tokenizer.chat_template = "{% if messages[0].role == 'system' %}{{ raise_exception('No system!') }}{% endif %}" + (
        str(tokenizer.chat_template)
    )
    task = new_task([system, plain], 64, encoder=Encoder(tokenizer, max_tokens=64))
    assert [prompt for prompt, _ in task.fitted_prompts(8)] == [plain]
    with pytest.raises(DataError, match="1 x the chat template refuses this dialogue: No system!"):
        new_task([system], 64, encoder=task.encoder).fitted_prompts(8)


def test_tasks_are_compared_by_identity_since_tensors_cannot_be() -> None:
    prompts = [Dialogue.of("hi")]
    task, other = new_task(prompts, 64), new_task(prompts, 64)
    assert task == task and task != other
    assert (task.score_offset, task.engine, list(task.pretraining), dict(task.sources)) == (0.0, None, [], {})
