"""Labels of a judge on comparisons of two, three and more replies; hand-worked."""

from collections.abc import Callable, Sequence

import pytest
import torch

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.feedback.label_comparisons import NO_LABEL, SAME_TEXT, label_comparisons, ranks_of
from preflab.feedback.labellers.oracle import OracleLabeller
from preflab.feedback.labellers.synthetic_annotator import SyntheticPreference
from preflab.interfaces import Labels


class Table:
    """A labeller that looks pairs up, whichever reply stands first; what it does not hold, it does not label."""

    name = "table"

    def __init__(self, probs: dict[str, float]) -> None:
        self.probs, self.calls = probs, list[int]()

    def __call__(self, pairs: Sequence[Comparison]) -> Labels:
        self.calls.append(len(pairs))
        return Labels.of([self._label(*pair.replies) for pair in pairs])

    def _label(self, first: str, second: str) -> float | str:
        if first + second in self.probs:
            return self.probs[first + second]
        return 1 - self.probs[second + first] if second + first in self.probs else "not in the table"


def comparison(replies: str, **more: object) -> Comparison:
    return Comparison(prompt=Dialogue.of("q"), replies=tuple(replies), ranks=tuple(range(len(replies))), **more)  # type: ignore[arg-type]


def test_two_replies_keep_the_probability() -> None:
    origin = Provenance(dataset="d", id="7", annotator="before", policies=("x", "y"))
    old = comparison("ab", strength=3.0, why={(0, 1): "shorter"}, category="c", kind="k", provenance=origin)
    (new,) = label_comparisons([old], Table({"ab": 0.2})).comparisons
    assert new.replies == ("a", "b") and new.prob_first == pytest.approx(0.2) and new.ranks == (1, 0)
    assert new.strength == pytest.approx(0.6)  # 0.8 - 0.2
    assert new.provenance == Provenance(dataset="d", id="7", annotator="table", policies=("x", "y"))
    assert (new.category, new.kind, dict(new.why)) == ("c", "k", {})


def test_three_replies_are_ranked_by_their_mean_win_probability() -> None:
    # a: (0.9 + 0.4) / 2 = 0.65; b: (0.1 + 0.8) / 2 = 0.45; c: (0.6 + 0.2) / 2 = 0.4
    table = Table({"ab": 0.9, "ac": 0.4, "bc": 0.8})
    done = label_comparisons([comparison("cab")], table)
    (new,) = done.comparisons
    assert new.ranks == (2, 0, 1) and new.prob_first is None and new.strength == pytest.approx(0.2)
    assert (done.pairs, done.abstained, done.left_out, done.replies_left_out) == (3, {}, {}, 0)


def test_ties_within_the_tolerance() -> None:
    assert ranks_of([0.5, 0.5 + 1e-9, 0.2]) == (0, 0, 1)
    assert ranks_of([0.1, 0.30, 0.25, 0.19], tolerance=0.06) == (2, 0, 0, 1)  # 0.19 is too far from 0.30, the leader
    cycle = Table({"ab": 1.0, "bc": 1.0, "ca": 1.0})  # each wins once
    (new,) = label_comparisons([comparison("abc")], cycle).comparisons
    assert new.ranks == (0, 0, 0) and new.strength == 0


def test_what_cannot_be_labelled_is_left_out_and_counted() -> None:
    table = Table({"ab": 0.9})
    given = [comparison("ab"), comparison("abc"), comparison("cd"), comparison("xyz")]
    given += [Comparison(prompt=Dialogue.of("q"), replies=("a", "a"), ranks=(0, 0))]
    given[1] = comparison("abc", provenance=Provenance(policies=("p", "q", "r")))
    done = label_comparisons(given, table)
    assert [new.replies for new in done.comparisons] == [("a", "b"), ("a", "b")]  # of abc nothing is known of c
    assert done.comparisons[1].provenance.policies == ("p", "q")
    assert done.pairs == 1 + 3 + 1 + 3
    assert done.abstained == {"not in the table": 2 + 1 + 3}
    assert done.left_out == {NO_LABEL: 2, SAME_TEXT: 1} and done.replies_left_out == 1
    assert table.calls == [8]  # one batch


def test_equal_texts_share_a_rank_and_are_asked_of_once() -> None:
    table = Table({"ab": 0.9})
    twice = Comparison(prompt=Dialogue.of("q"), replies=("b", "a", "b"), ranks=(0, 0, 0))
    (new,) = label_comparisons([twice], table).comparisons
    assert new.ranks == (1, 0, 1) and table.calls == [1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (2, 0, 1), (1, 2, 0)])
def test_the_order_of_the_replies_does_not_matter(order: tuple[int, ...]) -> None:
    table = Table({"ab": 0.9, "ac": 0.4, "bc": 0.8})
    old = comparison("abc"[: len(order)])
    (forward,) = label_comparisons([old], table).comparisons
    (reordered,) = label_comparisons([old.reorder(order)], table).comparisons
    assert reordered.ranks == forward.reorder(order).ranks
    if len(order) == 2:
        assert reordered.prob_first == pytest.approx(forward.reorder(order).prob_first)


def test_an_oracle_without_errors_orders_by_its_criterion() -> None:
    torch.manual_seed(0)
    texts = ["w" * int(n) for n in torch.randperm(60)[:24] + 1]
    groups = [tuple(texts[k : k + 4]) for k in range(0, 24, 4)]
    old = [Comparison(prompt=Dialogue.of("q"), replies=group, ranks=(0, 0, 0, 0)) for group in groups]
    oracle = OracleLabeller(SyntheticPreference(criterion="brief", noise=0.0), name="oracle:brief")
    by_length: Callable[[str], int] = len
    for new in label_comparisons(old, oracle).comparisons:
        shortest_first = sorted(new.replies, key=by_length)
        assert new.ranks == tuple(shortest_first.index(reply) for reply in new.replies)
        assert new.strength == pytest.approx(1 / 3) and new.provenance.annotator == "oracle:brief"
