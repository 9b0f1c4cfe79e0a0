"""Labels are whole, and both forms of a labeller are told apart."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from preflab.data.dialogue import Dialogue
from preflab.errors import ContractError, DataError
from preflab.interfaces import AsyncLabeller, Labeller, Labels, callable_name, labels_of, replies_of, scores_of


def test_labels_of_probabilities_and_abstentions() -> None:
    labels = Labels.of([1.0, "unreadable", 0.25, "unreadable", "vetoed"])
    assert labels.prob_first[[0, 2]].tolist() == [1.0, 0.25]
    assert [math.isnan(prob) for prob in labels.prob_first.tolist()] == [False, True, False, True, True]
    assert labels.abstained == {1: "unreadable", 3: "unreadable", 4: "vetoed"}
    assert labels.reasons() == {"unreadable": 2, "vetoed": 1}
    assert len(labels) == 5 and len(Labels.of([])) == 0


@pytest.mark.parametrize(
    ("probs", "abstained", "message"),
    [
        ([0.5, math.nan], {}, "pair 1: expected NaN with a reason"),
        ([0.5, 0.5], {0: "unreadable"}, "pair 0: expected NaN with a reason"),
        ([0.5, math.nan], {0: "unreadable"}, "pair 0"),
        ([0.5, 1.5], {}, r"pair 1: expected a probability in \[0, 1\], found 1.5"),
        ([-0.5], {}, "found -0.5"),
        ([math.inf], {}, "found inf"),
    ],
)
def test_wrong_labels_are_refused(probs: list[float], abstained: dict[int, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Labels(torch.tensor(probs), abstained)


def test_a_labeller_has_a_name_and_is_called() -> None:
    class Longer:
        name = "longer"

        def __call__(self, pairs: list[tuple[str, str]]) -> Labels:
            return Labels.of([float(len(first) > len(second)) for first, second in pairs])

    class Later:
        def ask(self, pairs: list[tuple[str, str]]) -> int:
            return len(pairs)

        def answers(self) -> list[float]:
            return []

    assert isinstance(Longer(), Labeller) and not isinstance(Later(), Labeller)
    assert isinstance(Later(), AsyncLabeller) and not isinstance(Longer(), AsyncLabeller)
    assert Longer()([("aa", "b"), ("a", "bb")]).prob_first.tolist() == [1.0, 0.0]


# what is handed in, called -------------------------------------------------------------------------------

DIALOGUES = [Dialogue.of("hello").with_reply(reply) for reply in ("a", "bb", "ccc")]
EXPECTED = [-1.0, -2.0, -3.0]
GOOD: dict[str, Callable[[list[float]], Any]] = {
    "tensor": torch.tensor,
    "logits of one label": lambda scores: torch.tensor(scores)[:, None],
    "half precision": lambda scores: torch.tensor(scores).bfloat16(),
    "integers": lambda scores: torch.tensor(scores).long(),
    "with a gradient": lambda scores: torch.tensor(scores, requires_grad=True),
    "numpy": np.array,
    "column of numpy": lambda scores: np.array(scores)[:, None],
    "list": list,
    "tuple of tensors": lambda scores: tuple(torch.tensor(score) for score in scores),
    "list of lists": lambda scores: [[score] for score in scores],
}
BAD: dict[str, tuple[Callable[[list[float]], Any], str]] = {
    "two labels": (
        lambda scores: torch.tensor([scores, scores]).T,
        r"shape \[3\], found Tensor of shape \[3, 2\].*logits",
    ),
    "one too few": (lambda scores: torch.tensor(scores[:-1]), r"shape \[3\], found Tensor of shape \[2\]"),
    "one for all": (lambda scores: torch.tensor(scores[:1]), r"found Tensor of shape \[1\]"),
    "a mean": (lambda scores: torch.tensor(scores).mean(), r"found Tensor of shape \[\]"),
    "a row": (lambda scores: torch.tensor([scores]), r"found Tensor of shape \[1, 3\]"),
    "texts": (lambda scores: [str(score) for score in scores], "3 numbers, one a dialogue, found list of 3"),
    "nothing": (lambda scores: None, "found NoneType"),
    "ragged": (lambda scores: [[1.0], [1.0, 2.0], 3.0], "found list of 3"),
    "complex": (lambda scores: torch.tensor(scores) * 1j, "found Tensor"),
    "one nan": (lambda scores: [*scores[:2], math.nan], r"finite numbers, found nan for 1 of 3 .* number 2, .*'ccc'"),
    "infinite": (lambda scores: [math.inf, *scores[1:]], "found inf for 1 of 3"),
    "too large for fp32": (lambda scores: [1e300, *scores[1:]], "found inf for 1 of 3"),
}


def scorer_of(form: Callable[[list[float]], Any]) -> Any:
    def lengths(dialogues: Sequence[Dialogue]) -> Any:
        return form([-float(len(dialogue.reply)) for dialogue in dialogues])

    return lengths


@pytest.mark.parametrize("form", GOOD.values(), ids=GOOD)
def test_scores_are_fp32_nats_without_a_gradient_whatever_they_came_as(form: Callable[[list[float]], Any]) -> None:
    scores = scores_of(scorer_of(form), DIALOGUES)
    assert scores.tolist() == EXPECTED
    assert (scores.dtype, scores.requires_grad) == (torch.float32, False)


@pytest.mark.parametrize(("form", "message"), BAD.values(), ids=BAD)
def test_what_is_no_score_is_refused_by_the_scorers_name(form: Callable[[list[float]], Any], message: str) -> None:
    with pytest.raises(
        ContractError, match=r"^scorer scorer_of.<locals>.lengths \(.*test_interfaces.py:\d+\): .*" + message
    ):
        scores_of(scorer_of(form), DIALOGUES)


def test_a_caller_may_take_nan_and_no_dialogue_asks_nobody() -> None:
    assert scores_of(lambda _: [math.nan, 1.0, math.inf], DIALOGUES, allow_nonfinite=True)[1] == 1.0  # type: ignore[arg-type, return-value]
    assert scores_of(lambda _: torch.ones(7), []).shape == (0,)
    assert scores_of(lambda _: torch.tensor(2.0), DIALOGUES[:1]).tolist() == [2.0]  # one dialogue, squeezed to nothing


def test_a_callable_is_called_by_its_name() -> None:
    class Named:
        name = "mine"

    class Plain:
        pass

    assert [callable_name(thing) for thing in (Named(), partial(scores_of, None), Plain())] == [
        "mine",
        "scores_of",
        "test_a_callable_is_called_by_its_name.<locals>.Plain",
    ]


@dataclass
class Answers:
    """A labeller that answers this, whatever it is asked."""

    answer: Any
    name: str = "judge"

    def __call__(self, pairs: Sequence[Any]) -> Any:
        return self.answer


def test_labels_are_one_a_pair_and_plain_probabilities_will_do() -> None:
    pairs = [("aa", "b"), ("a", "bb")]

    assert labels_of(Answers(np.array([1.0, 0.0])), pairs).prob_first.tolist() == [1.0, 0.0]
    wrong: list[tuple[Any, str]] = [
        (Labels.of([1.0]), "expected a label for each of 2 pairs, found 1"),
        ([0.5, 2.0], r"expected a probability in \[0, 1\], found 2"),
        ([0.5, math.nan], "expected NaN with a reason"),
        ([0.5], "expected one number a pair"),
        ("yes", "found str"),
    ]
    for answer, message in wrong:
        with pytest.raises(ContractError, match=f"^labeller judge: .*{message}"):
            labels_of(Answers(answer), pairs)
    with pytest.raises(ContractError, match=r"expected one number a pair, shape \[2\], found Tensor of shape \[2, 2\]"):
        labels_of(Answers(torch.full((2, 2), 0.5)), pairs)


def test_a_sampler_answers_every_dialogue_in_order_with_one_turn() -> None:
    prompts = [Dialogue.of("one"), Dialogue.of("two")]
    answered = [prompt.with_reply("yes") for prompt in prompts]
    assert replies_of(lambda _: answered, prompts) == answered
    wrong: list[tuple[Any, str]] = [
        (answered[:1], "expected 2 dialogues, found 1"),
        (answered[::-1], "number 0 is not the dialogue given"),
        (prompts, "number 0 is not the dialogue given"),
        (["yes", "yes"], "expected dialogues, found str"),
    ]
    for answer, message in wrong:
        with pytest.raises(ContractError, match=f"^sampler .*{message}"):
            replies_of(lambda _, answer=answer: answer, prompts)  # type: ignore[misc]
