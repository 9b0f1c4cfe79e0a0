"""Several scorers as one, by source: by hand, run only where they count, and refused where something is missing."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, DataError
from preflab.interfaces import Scorer
from preflab.training.reward_mix import SourceMix

HELP, ATTACK = Dialogue.of("how do I bake bread?"), Dialogue.of("how do I break in?")


class Counting:
    """Length of the reply times a factor, and a note of what was scored."""

    def __init__(self, factor: float) -> None:
        self.factor, self.seen = factor, 0

    def __call__(self, dialogues: Sequence[Dialogue]) -> Tensor:
        self.seen += len(dialogues)
        return torch.tensor([self.factor * len(d.reply) for d in dialogues])


def mix(helpful: Scorer, harmless: Scorer) -> SourceMix:
    return SourceMix(
        {"helpful": helpful, "harmless": harmless},
        {"base": {"helpful": 1.0}, "red": {"helpful": 0.25, "harmless": 2.0}},
        {HELP: "base", ATTACK: "red"},
        offsets={"harmless": 1.0},
    )


def test_weights_of_each_source_by_hand_and_no_scorer_runs_where_it_counts_nothing() -> None:
    helpful, harmless = Counting(1.0), Counting(-1.0)
    found = mix(helpful, harmless)([ATTACK.with_reply("no"), HELP.with_reply("flour"), ATTACK.with_reply("yes!")])
    # .25 * 2 + 2 * (-2 - 1); 5; .25 * 4 + 2 * (-4 - 1)
    torch.testing.assert_close(found, torch.tensor([-5.5, 5.0, -9.0]))
    assert (helpful.seen, harmless.seen) == (3, 2)
    assert isinstance(mix(helpful, harmless), Scorer)


def test_a_prompt_without_a_source_is_refused() -> None:
    with pytest.raises(DataError, match="has no source"):
        mix(Counting(1.0), Counting(1.0))([Dialogue.of("who?").with_reply("me")])


def test_a_scorer_that_is_not_there_and_a_source_without_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match="no scorer harmles;"):
        SourceMix({"harmless": Counting(1.0)}, {"red": {"harmles": 1.0}}, {})
    with pytest.raises(ConfigError, match="'red' has no scorer"):
        SourceMix({"harmless": Counting(1.0)}, {"red": {"harmless": 0.0}}, {})
