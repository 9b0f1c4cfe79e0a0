"""Comparisons: labels of pairs, mirrors, and judgements that contradict themselves."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.comparison import Comparison, Pair, Provenance
from preflab.data.dialogue import Dialogue
from preflab.errors import DataError, RecordRefused

PROMPT = Dialogue.of("question")


def compare(replies: str = "abc", ranks: tuple[int, ...] = (0, 1, 2), **more: Any) -> Comparison:
    """A comparison whose replies are single letters."""
    return Comparison(prompt=PROMPT, replies=tuple(replies), ranks=ranks, **more)


@st.composite
def parts(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of ``compare``: two to five distinct replies, ranked anyhow.

    The comparison itself is made in the test, as beartype draws random numbers and strategies must not.
    """
    size = draw(st.integers(2, 5))
    indices = st.integers(0, size - 1)
    return {
        "replies": "abcde"[:size],
        "ranks": tuple(draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))),
        "why": draw(st.dictionaries(st.tuples(indices, indices).filter(lambda ij: ij[0] != ij[1]), st.text())),
    }


def test_pairs_of_a_ranking_with_a_tie() -> None:
    found = compare(ranks=(1, 0, 1), why={(1, 0): "names it"})
    # b beats a and c; a and c are tied.
    assert list(found.pairs()) == [Pair(0, 1, 0.0, "names it"), Pair(0, 2, 0.5), Pair(1, 2, 1.0)]
    assert list(found.pairs(ties=False)) == [Pair(0, 1, 0.0, "names it"), Pair(1, 2, 1.0)]


@pytest.mark.parametrize(("prob", "decided"), [(0.7, 1), (0.5, 0), (0.0, 1)])
def test_a_probability_overrides_the_ranks(prob: float, decided: int) -> None:
    found = compare("ab", (1, 0), prob_first=prob)
    assert [pair.prob_a for pair in found.pairs()] == [prob]
    assert len(list(found.pairs(ties=False))) == decided


@given(parts())
@settings(deadline=None)
def test_the_mirror_says_the_same(made: dict[str, Any]) -> None:
    found = compare(**made, provenance=Provenance(policies=tuple(made["replies"].upper())))
    mirror = found.swap()
    assert mirror.swap() == found

    def verdicts(comparison: Comparison) -> set[tuple[str, str, float]]:
        """Text better than text, in both orders."""
        pairs = [(comparison.replies[p.a], comparison.replies[p.b], p.prob_a) for p in comparison.pairs()]
        return {*pairs, *((b, a, 1 - prob) for a, b, prob in pairs)}

    def reasons(comparison: Comparison) -> set[tuple[str, str, str]]:
        """Text, text, reason."""
        return {(comparison.replies[i], comparison.replies[j], text) for (i, j), text in comparison.why.items()}

    def writers(comparison: Comparison) -> set[tuple[str, str]]:
        """Text, policy."""
        return set(zip(comparison.replies, comparison.provenance.policies, strict=True))

    assert verdicts(mirror) == verdicts(found)
    assert reasons(mirror) == reasons(found)
    assert writers(mirror) == writers(found)


def test_the_mirror_of_a_probability_is_its_complement() -> None:
    found = compare("ab", (0, 1), prob_first=0.8).swap()
    assert found.replies == ("b", "a")
    assert found.prob_first == pytest.approx(0.2)


def test_reorder_wants_a_permutation() -> None:
    with pytest.raises(DataError, match=r"\[0, 0, 1\] is not a permutation of 3"):
        compare().reorder([0, 0, 1])


def test_dialogues_end_with_each_reply() -> None:
    assert [dialogue.reply for dialogue in compare().dialogues()] == ["a", "b", "c"]
    assert all(dialogue.prompt == PROMPT for dialogue in compare().dialogues())


def test_equal_comparisons_have_equal_hashes_although_reasons_are_a_dict() -> None:
    assert len({compare(why={(0, 1): "x"}), compare(why={(0, 1): "x"}), compare(ranks=(2, 1, 0))}) == 2


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        ({"replies": "a", "ranks": (0,)}, "at least two replies, got 1"),
        ({"replies": "ab", "ranks": (0, 1, 2)}, "2 replies but 3 ranks"),
        ({"prob_first": 0.5}, "prob_first is for two replies"),
        ({"replies": "ab", "ranks": (0, 1), "prob_first": 1.5}, r"\[0, 1\], got 1.5"),
        ({"replies": "ab", "ranks": (0, 1), "prob_first": float("nan")}, "got nan"),
        ({"why": {(0, 3): "x"}}, "0>3 does not name two of the 3 replies"),
        ({"why": {(1, 1): "x"}}, "1>1 does not name two"),
        ({"provenance": Provenance(policies=("A", "B"))}, "3 replies but 2 policies"),
    ],
)
def test_a_contradiction_is_refused_with_the_reason(made: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        compare(**made)


@pytest.mark.parametrize("judgement", [{"ranks": (0, 1)}, {"ranks": (0, 0), "prob_first": 0.9}])
def test_a_text_is_never_better_than_itself(judgement: dict[str, Any]) -> None:
    with pytest.raises(RecordRefused, match="chosen == rejected"):
        compare("aa", **judgement)


def test_the_same_text_twice_may_be_a_tie() -> None:
    assert [pair.prob_a for pair in compare("aa", (0, 0)).pairs()] == [0.5]


def test_the_prompt_ends_before_the_reply() -> None:
    with pytest.raises(RecordRefused, match="already ends with a reply"):
        Comparison.chosen_rejected(Dialogue.of("question", "answer"), "a", "b")


@pytest.mark.parametrize(
    ("ranks", "prob_first", "expected"),
    [
        ((1, 0, 2), None, ("b",)),
        ((0, 0, 1), None, ("a", "b")),  # a tie at the top
        ((2, 2, 2), None, ("a", "b", "c")),
        ((0, 1), 0.3, ("b",)),  # the probability overrides the rank
        ((0, 1), 0.5, ("a", "b")),
    ],
)
def test_the_best_replies_are_those_nothing_was_judged_better_than(
    ranks: tuple[int, ...], prob_first: float | None, expected: tuple[str, ...]
) -> None:
    own = Comparison(prompt=Dialogue.of("x"), replies=tuple("abc")[: len(ranks)], ranks=ranks, prob_first=prob_first)
    assert own.best() == expected
