"""How probable given replies are, before and after."""

import numpy as np
import pytest

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.recipes.common.supervised import (
    TokenLosses,
    at_ends_of_epochs,
    loss_change,
    prompt_groups,
    sft_section,
    token_losses,
)
from preflab.rollouts.encode import EncodedDialogues
from tests.training.oracle import float64_model, token_logps


def test_every_reply_token_is_there_with_its_prompt() -> None:
    rows = [Row.of([5, 6, 7], [8, 9], [10]), Row.of([11, 12], [13, 14, 15])]
    role = Trunk(load_language_model("tiny", precision="fp32"), None).reference()
    found = token_losses(role, rows, [4, 2])
    assert found.group.tolist() == [4, 4, 4, 2, 2, 2]
    expected = [-x for own in token_logps(float64_model(), rows) for x in own.tolist()]
    np.testing.assert_allclose(found.nats, expected, rtol=1e-4)
    assert found.mean == pytest.approx(sum(expected) / 6, rel=1e-4)


def test_the_gain_is_what_the_loss_fell_by_token_for_token() -> None:
    groups = np.array([0, 0, 1, 1])
    before, after = (
        TokenLosses(np.array([3.0, 2.0, 4.0, 1.0]), groups),
        TokenLosses(np.array([2.0, 1.0, 3.0, 0.0]), groups),
    )
    change = loss_change(before, after)
    assert (change.before.value, change.after.value, change.gain.value) == (2.5, 1.5, 1.0)
    assert (change.gain.low, change.gain.high) == (1.0, 1.0)  # every token gained the same
    assert change.gain.clusters == 2
    steps = [{"step": 1, "loss": 2.4}, {"step": 2, "loss": 2.0, "held_out_loss": 1.5}]
    section = sft_section(change, steps)
    assert [row[0] for row in section.tables[0].rows] == ["before", "after", "gain"]
    assert section.tables[0].rows[2][1] == "+1.00 [+1.00, +1.00]"
    assert section.figures[0].svg.startswith("<svg")


def test_rows_of_dialogues_that_begin_alike_are_one_group() -> None:
    dialogues = [Dialogue.of("Hi there", "a"), Dialogue.of("x", "b"), Dialogue.of("hi  there", "c")]
    rows = [Row.of([1], [2])] * 4
    assert prompt_groups(dialogues, EncodedDialogues(rows, [0, 1, 2, 2])) == [0, 1, 0, 0]


def test_the_loss_on_unseen_replies_is_logged_where_a_pass_ends() -> None:
    besides = at_ends_of_epochs(3, lambda: 1.5)
    assert [besides(step) for step in (1, 2, 3, 4, 6)] == [{}, {}, {"held_out_loss": 1.5}, {}, {"held_out_loss": 1.5}]
