"""Labels of a judge on comparisons of two, three and more replies; hand-worked."""

from collections.abc import Callable, Sequence

import pytest
import torch

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.feedback.label_comparisons import NO_LABEL, SAME_TEXT, label_comparisons, pairs_of, ranks_of
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


def of_prompt(prompt: str, replies: str, **more: object) -> Comparison:
    ranks = more.pop("ranks", tuple(range(len(replies))))
    return Comparison(prompt=Dialogue.of(prompt), replies=tuple(replies), ranks=ranks, **more)  # type: ignore[arg-type]


def test_agreement_with_the_labels_before_counts_pairs_with_a_winner() -> None:
    table = Table({"ab": 0.9, "cd": 0.2, "ef": 0.5, "gh": 0.8, "ij": 0.7})
    before = [
        of_prompt("1", "ab"),  # a before, a now: 1
        of_prompt("2", "cd"),  # c before, d now: 0
        of_prompt("3", "ef"),  # e before, a tie now: 1/2
        of_prompt("4", "gh", ranks=(0, 0)),  # a tie before: no winner to agree with, yet changed
        of_prompt("5", "ij", ranks=(1, 0), prob_first=0.6),  # the probability overrides the ranks: i before, i now
        of_prompt("6", "xy"),  # not labelled: says nothing of either
    ]
    labelled = label_comparisons(before, table)
    assert labelled.agreement is not None and labelled.changed is not None
    assert labelled.agreement.value == pytest.approx((1 + 0 + 0.5 + 1) / 4) and labelled.agreement.n == 4
    assert labelled.changed.value == pytest.approx(3 / 5) and labelled.changed.n == 5
    assert labelled.agreement.low < labelled.agreement.value < labelled.agreement.high


def test_agreement_counts_prompts_once_in_its_interval_and_full_agreement_is_not_certain() -> None:
    table = Table({"ab": 1.0, "ac": 1.0, "bc": 1.0})
    same = label_comparisons([of_prompt("q", "abc"), of_prompt("Q ", "abc"), of_prompt("other", "abc")], table)
    assert same.agreement is not None and same.changed is not None
    assert (same.agreement.value, same.agreement.n, same.agreement.clusters) == (1.0, 9, 2)
    assert same.agreement.low < 0.5 and same.agreement.high == 1.0  # Wilson's for two prompts
    assert same.changed.value == 0.0
    turned = label_comparisons([of_prompt("q", "abc", ranks=(2, 1, 0))], table)
    assert turned.agreement is not None and turned.agreement.value == 0.0


def test_without_labels_there_is_no_agreement() -> None:
    none = label_comparisons([of_prompt("q", "xy")], Table({}))
    assert none.agreement is None and none.changed is None
    ties = label_comparisons([of_prompt("q", "ab", ranks=(0, 0))], Table({"ab": 0.5}))
    assert ties.agreement is None and ties.changed is not None and ties.changed.value == 0.0


def test_a_judge_is_asked_about_every_two_texts_without_labels() -> None:
    pairs = pairs_of([of_prompt("q", "aab", ranks=(0, 0, 1)), of_prompt("q", "cde")])
    assert [pair.replies for pair in pairs] == [("a", "b"), ("c", "d"), ("c", "e"), ("d", "e")]
    assert all(set(pair.ranks) == {0} and pair.prob_first is None for pair in pairs)
