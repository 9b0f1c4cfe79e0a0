"""The seams: what samples, what scores, what labels.

A labeller comes in two forms. `Labeller` answers at once: a model, a preference model, rules, an oracle.
`AsyncLabeller` answers later: people. Both are generic over what is compared: a two-reply
`preflab.data.comparison.Comparison`, or a pair of clips of behaviour.

Whatever is handed in is called through `scores_of`, `labels_of` and `replies_of`, which check what comes back: a shape
that broadcasts, or a NaN, would otherwise train on without a word.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.errors import ContractError, DataError

Pair_contra = TypeVar("Pair_contra", contravariant=True)
"""What is compared: two things of one kind, the first and the second."""
Pair = TypeVar("Pair")
"""The same, where it is both taken and passed on."""
Answer_co = TypeVar("Answer_co", covariant=True)
"""What an asynchronous labeller answers: which pair, which of the two, by whom."""


@runtime_checkable
class Sampler(Protocol):
    """Continues dialogues. A plain function will do."""

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
        """Dialogues that await a turn -> the same, one turn longer."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Scores finished dialogues. A plain function will do."""

    def __call__(self, dialogues: Sequence[Dialogue]) -> Float[Tensor, " dialogue"]:
        """Nats; higher is better; only differences matter."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What a labeller answered to a batch of pairs.

    Raises:
        DataError: the probabilities are no tensor [pair]; one is outside [0, 1]; a NaN has no reason, or a reason has
            no NaN.
    """

    prob_first: Float[Tensor, " pair"]
    """Probability in [0, 1] that the first of each pair is the better one; 0.5 is a tie; NaN is an abstention."""
    abstained: Mapping[int, str] = field(default_factory=dict)
    """Index of each pair that was not labelled -> the reason, a fixed phrase that can be counted."""

    def __post_init__(self) -> None:
        if not isinstance(self.prob_first, Tensor) or self.prob_first.ndim != 1:
            raise DataError(
                f"expected a tensor of one number a pair, found {_kind(self.prob_first)}", field="prob_first"
            )
        unlabelled = set(torch.nonzero(self.prob_first.isnan()).flatten().tolist())
        if unlabelled != set(self.abstained):
            i = min(unlabelled ^ set(self.abstained))
            raise DataError(f"pair {i}: expected NaN with a reason, or neither", field="abstained")
        for i, prob in enumerate(self.prob_first.tolist()):
            if prob < 0 or prob > 1:
                raise DataError(f"pair {i}: expected a probability in [0, 1], found {prob}", field="prob_first")

    @classmethod
    def of(cls, answers: Sequence[float | str]) -> "Labels":
        """Labels of probabilities; a text stands for an abstention and is its reason."""
        probs = [float("nan") if isinstance(answer, str) else float(answer) for answer in answers]
        reasons = {i: answer for i, answer in enumerate(answers) if isinstance(answer, str)}
        return cls(torch.tensor(probs, dtype=torch.float64), reasons)

    def __len__(self) -> int:
        return len(self.prob_first)

    def reasons(self) -> Counter[str]:
        """Reason -> how many pairs were not labelled for it."""
        return Counter(self.abstained.values())


@runtime_checkable
class Labeller(Protocol[Pair_contra]):
    """Judges which of two is better, at once. A judge that sees a pair in one order only shows it in both itself."""

    name: str
    """Stands as the annotator of the labels. Labellers that may answer differently have different names."""

    def __call__(self, pairs: Sequence[Pair_contra]) -> Labels:
        """Labels of the pairs, in their order: the whole batch at once."""
        ...


@runtime_checkable
class AsyncLabeller(Protocol[Pair_contra, Answer_co]):
    """Judges which of two is better, later. What is still unanswered is the labeller's to store over a kill."""

    def ask(self, pairs: Sequence[Pair_contra]) -> int:
        """Put up pairs; those that are up already change nothing. How many are new."""
        ...

    def answers(self) -> Sequence[Answer_co]:
        """Answers that were not handed over yet, in the order they came; never waits."""
        ...


# calling them --------------------------------------------------------------------------------------------


def callable_name(function: object) -> str:
    """The ``name`` of a function or object, or else what it is called in its source."""
    if isinstance(function, partial):
        return callable_name(function.func)
    if isinstance(name := getattr(function, "name", None), str) and name:
        return name
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _described(role: str, function: object) -> str:
    """A callable at the head of a message: what it is for, its name, and where a plain function is defined."""
    code = getattr(function, "__code__", None)
    source = "" if code is None else f" ({code.co_filename}:{code.co_firstlineno})"
    return f"{role} {callable_name(function)}{source}"


def scores_of(
    scorer: Scorer, dialogues: Sequence[Dialogue], *, allow_nonfinite: bool = False
) -> Float[Tensor, " dialogue"]:
    """Call a scorer, and check what it returns: fp32 nats without a gradient, one a dialogue.

    Tensors, arrays and lists are taken, of any type of number; [dialogue, 1], as the logits of a classifier are, is
    squeezed.

    Args:
        allow_nonfinite  leave NaN and infinities to the caller, who has a place for dialogues without a score.

    Raises:
        ContractError: it returned another number of scores, another shape, no numbers, or NaN or an infinity.
    """
    if not dialogues:
        return torch.empty(0)
    scores = _one_number_each(scorer(dialogues), len(dialogues), _described("scorer", scorer), "dialogue")
    wrong = torch.nonzero(~scores.isfinite()).flatten().tolist()
    if wrong and not allow_nonfinite:
        reply, value = dialogues[wrong[0]].messages[-1].text, scores[wrong[0]].item()
        raise ContractError(
            f"{_described('scorer', scorer)}: expected finite numbers, found {value} for {len(wrong)} "
            f"of {len(dialogues)} dialogues; the first is number {wrong[0]}, which ends in {reply[-80:]!r}"
        )
    return scores


def labels_of(labeller: Labeller[Pair], pairs: Sequence[Pair]) -> Labels:
    """Call a labeller, and check what it returns; plain probabilities will do in place of `Labels`.

    Raises:
        ContractError: it returned another number of labels, or what is no label.
    """
    name, answers = _described("labeller", labeller), labeller(pairs)
    if not isinstance(answers, Labels):
        try:
            answers = Labels.of(_one_number_each(answers, len(pairs), name, "pair").tolist())
        except DataError as error:
            raise ContractError(f"{name}: {error}") from error
    if len(answers) != len(pairs):
        raise ContractError(f"{name}: expected a label for each of {len(pairs)} pairs, found {len(answers)}")
    return answers


def replies_of(sampler: Sampler, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """Call a sampler, and check what it returns: every dialogue, in order, one turn of the assistant longer.

    Raises:
        ContractError: one is missing, is another dialogue, or has no reply.
    """
    name, answered = _described("sampler", sampler), list(sampler(dialogues))
    if len(answered) != len(dialogues):
        raise ContractError(f"{name}: expected {len(dialogues)} dialogues, found {len(answered)}")
    for number, (before, after) in enumerate(zip(dialogues, answered, strict=True)):
        if not isinstance(after, Dialogue):
            raise ContractError(f"{name}: expected dialogues, found {_kind(after)} as number {number}")
        if after.messages[:-1] != before.messages or after.messages[-1].role != "assistant":
            raise ContractError(f"{name}: number {number} is not the dialogue given, one turn of the assistant longer")
    return answered


def _one_number_each(values: Any, count: int, name: str, item: str) -> Float[Tensor, " item"]:
    """What a callable returned as fp32 [item]."""
    try:
        tensor = _as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ContractError(f"{name}: expected {count} numbers, one a {item}, found {_kind(values)}") from error
    if tensor.shape == (count, 1) or (tensor.ndim == 0 and count == 1):
        tensor = tensor.reshape(count)
    if tensor.shape != (count,):
        hint = ""
        if tensor.ndim == 2 and len(tensor) == count:
            hint = ". A classifier of several labels gives several logits: return the one number that says how good"
        raise ContractError(f"{name}: expected one number a {item}, shape [{count}], found {_kind(values)}{hint}")
    return tensor.detach().float()


def _as_tensor(values: Any) -> Tensor:
    """Numbers in any of the usual containers as a tensor.

    Raises:
        TypeError, ValueError, RuntimeError: they are not numbers.
    """
    if not isinstance(values, Tensor):
        is_list_of_tensors = isinstance(values, list | tuple) and any(isinstance(value, Tensor) for value in values)
        array = np.asarray([value.tolist() for value in values] if is_list_of_tensors else values)
        if array.dtype.kind not in "fiub":  # float, signed, unsigned, bool
            raise TypeError(f"not numbers but {array.dtype}")
        values = torch.from_numpy(np.array(array, dtype=np.float64))
    if values.is_complex():
        raise TypeError("complex numbers")
    return values  # type: ignore[no-any-return]


def _kind(values: Any) -> str:
    """What something is, for a message: type, and shape or length where it has one."""
    kind = type(values).__name__
    if (shape := getattr(values, "shape", None)) is not None:
        return f"{kind} of shape {list(shape)}"
    return f"{kind} of {len(values)}" if isinstance(values, list | tuple | str | dict) else kind
