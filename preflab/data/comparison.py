"""Comparisons: several replies to one prompt, and what a judge said of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError, RecordRefused

EDITOR = "annotator"
"""Stands among `Provenance.policies` for a reply that an annotator edited: no policy, so it is not rated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a judgement comes from: enough to trace it, nothing about the person."""

    dataset: str = ""
    id: str = ""
    annotator: str = ""
    """A pseudonym, never a name or an address."""
    policies: tuple[str, ...] = ()
    """Who wrote each reply, in the order of the replies; empty when unknown."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two of the replies of one comparison, by index, and what was judged of them."""

    a: int
    b: int
    prob_a: float
    """Probability in [0, 1] that reply ``a`` is the better one; 0.5 is a tie."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """K >= 2 replies to one prompt with a ranking, or two replies with a probability.

    ``ranks[k]`` is the rank of reply k: 0 is best, equal ranks are ties. ``prob_first``, for two
    replies only, is the probability that reply 0 is better and overrides the hard label that
    the ranks imply (an AI label, a share of votes).
    """

    prompt: Dialogue
    replies: tuple[str, ...]
    ranks: tuple[int, ...]
    prob_first: float | None = None
    strength: float | None = None
    """How much better the best is than the next, in the data set's own units; None when unknown."""
    category: str = ""
    kind: str = ""
    """What distinguishes the replies, in a word or two; empty when unknown."""
    why: Mapping[tuple[int, int], str] = field(default_factory=dict, hash=False)
    """(better, worse) -> the reason in one line."""
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        if not self.prompt.awaits_reply:
            raise RecordRefused("the prompt already ends with a reply", field="prompt")
        if len(self.replies) < 2:
            raise DataError(f"a comparison needs at least two replies, got {len(self.replies)}", field="replies")
        if len(self.ranks) != len(self.replies):
            raise DataError(f"{len(self.replies)} replies but {len(self.ranks)} ranks", field="ranks")
        if self.prob_first is not None:
            if len(self.replies) != 2:
                raise DataError("prob_first is for two replies; rank more than two", field="prob_first")
            if not 0.0 <= self.prob_first <= 1.0:
                raise DataError(f"must be a probability in [0, 1], got {self.prob_first}", field="prob_first")
        for i, j in self.why:
            if i == j or not (0 <= i < len(self.replies) and 0 <= j < len(self.replies)):
                raise DataError(f"{i}>{j} does not name two of the {len(self.replies)} replies", field="why")
        policies = self.provenance.policies
        if policies and len(policies) != len(self.replies):
            raise DataError(f"{len(self.replies)} replies but {len(policies)} policies", field="provenance")
        decided = self.prob_first not in (None, 0.5)
        for i, j in combinations(range(len(self.replies)), 2):
            if self.replies[i] == self.replies[j] and (decided or self.ranks[i] != self.ranks[j]):
                raise RecordRefused("a text is judged better than the same text (chosen == rejected)", field="replies")

    @classmethod
    def chosen_rejected(cls, prompt: Dialogue, chosen: str, rejected: str, **more: object) -> "Comparison":
        """The common case: one reply picked over another."""
        return cls(prompt=prompt, replies=(chosen, rejected), ranks=(0, 1), **more)  # type: ignore[arg-type]

    def pairs(self, *, ties: bool = True) -> Iterator[Pair]:
        """Every pair i < j with its label; tied pairs are left out on request."""
        if self.prob_first is not None:
            if ties or self.prob_first != 0.5:
                yield Pair(0, 1, self.prob_first, self.why.get((0, 1), "") or self.why.get((1, 0), ""))
            return
        for i, j in combinations(range(len(self.replies)), 2):
            if self.ranks[i] != self.ranks[j]:
                first = self.ranks[i] < self.ranks[j]
                better, worse = (i, j) if first else (j, i)
                yield Pair(i, j, float(first), self.why.get((better, worse), ""))
            elif ties:
                yield Pair(i, j, 0.5)

    def best(self) -> tuple[str, ...]:
        """The replies that nothing was judged better than; several where they are tied, each text once."""
        if self.prob_first is None:
            best = [reply for reply, rank in zip(self.replies, self.ranks, strict=True) if rank == min(self.ranks)]
        else:
            best = [r for r, p in zip(self.replies, (self.prob_first, 1 - self.prob_first), strict=True) if p >= 0.5]
        return tuple(dict.fromkeys(best))

    def reorder(self, order: Sequence[int]) -> "Comparison":
        """The same judgement with the replies in another order: new reply k is old reply ``order[k]``."""
        if sorted(order) != list(range(len(self.replies))):
            raise DataError(f"{list(order)} is not a permutation of {len(self.replies)} replies")
        new_of_old = {old: new for new, old in enumerate(order)}
        policies = self.provenance.policies
        return replace(
            self,
            replies=tuple(self.replies[k] for k in order),
            ranks=tuple(self.ranks[k] for k in order),
            prob_first=None if self.prob_first is None else self.prob_first if order[0] == 0 else 1 - self.prob_first,
            why={(new_of_old[i], new_of_old[j]): text for (i, j), text in self.why.items()},
            provenance=replace(self.provenance, policies=tuple(policies[k] for k in order) if policies else ()),
        )

    def swap(self) -> "Comparison":
        """The mirror image: sides and label exchanged. Evaluators use it to cancel position bias."""
        return self.reorder(range(len(self.replies))[::-1])

    def dialogues(self) -> list[Dialogue]:
        """The prompt finished by each reply in turn."""
        return [self.prompt.with_reply(reply) for reply in self.replies]
