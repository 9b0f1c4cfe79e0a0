"""What a data set looks like, counted by hand."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.comparison import Comparison
from preflab.data.describe import describe, printable
from preflab.data.dialogue import Dialogue
from preflab.errors import DataError

COMPARISONS = [
    # longer wins, longer wins, equal lengths
    Comparison(
        prompt=Dialogue.of("one two"), replies=("four", "six", "two"), ranks=(0, 1, 2), category="x", why={(0, 1): "so"}
    ),
    # the same text, tied
    Comparison(prompt=Dialogue.of("one two"), replies=("a", "a"), ranks=(0, 0), category="x"),
    # shorter wins, by a soft label that overrides the ranks
    Comparison(prompt=Dialogue.of("p", "q", "r"), replies=("long", "no"), ranks=(0, 1), prob_first=0.1, category="y"),
]


def test_everything_is_counted() -> None:
    found = describe(COMPARISONS)
    assert (found.comparisons, found.decided_pairs, found.tied_pairs, found.identical_pairs) == (3, 4, 1, 1)
    assert (found.distinct_prompts, found.repeated_prompts, found.soft_labels) == (2, 1, 1)
    assert found.replies == {2: 2, 3: 1}
    assert found.turns == {1: 2, 3: 1}
    assert found.categories == {"x": 2, "y": 1}
    assert found.kinds == {"": 3}


def test_the_longer_reply_wins_two_of_the_three_pairs_of_unequal_length() -> None:
    assert describe(COMPARISONS).longer_wins == pytest.approx(2 / 3)
    assert describe(COMPARISONS[1:2]).longer_wins is None


def test_lengths_are_quantiles_that_occur() -> None:
    lengths = describe(COMPARISONS).lengths
    # replies of 4, 3, 3, 1, 1, 4 and 2 characters: in order 1 1 2 3 3 4 4
    assert lengths["reply characters"] == (1, 1, 3, 4, 4, 4)  # a quarter of 7 is 1.75, so two of them
    assert lengths["reply words"] == (1, 1, 1, 1, 1, 1)
    assert lengths["prompt words"] == (2, 2, 2, 3, 3, 3)  # of 2 2 3


def test_the_text_has_a_fact_a_line_and_the_first_comparison() -> None:
    text = describe(COMPARISONS).render()
    assert "comparisons        3\n" in text
    assert "pairs tied         1, of these the same text 1\n" in text
    assert "longer reply wins  66.7% of unequal pairs\n" in text
    assert "kinds              (none): 3\n" in text
    assert text.endswith(
        "first comparison\n"
        "[user] one two\n"
        "[reply 0, rank 0] four\n"
        "[reply 1, rank 1] six\n"
        "[reply 2, rank 2] two\n"
        "(0 better than 1: so)"
    )


def test_long_texts_and_many_categories_are_shortened_and_say_so() -> None:
    many = [Comparison.chosen_rejected(Dialogue.of("p"), "x" * 1000, "y", category=f"category {n}") for n in range(20)]
    text = describe(many).render()
    assert "x" * 600 + " [... 400 more characters]" in text
    assert ", 8 more: 8\n" in text  # twelve are named


def test_data_cannot_steer_the_terminal() -> None:
    assert printable("\x1b[31mred\nnext\u202eline \U0001f600 é") == "\\x1b[31mred\nnext\\u202eline \U0001f600 é"
    evil = [Comparison.chosen_rejected(Dialogue.of("\x1b]0;title\x07"), "\x1b[2J", "\r", category="\x1b[1m")]
    assert "\x1b" not in describe(evil).render()
    assert "\x07" not in describe(evil).render()


def test_nothing_cannot_be_described() -> None:
    with pytest.raises(DataError, match="no comparisons to describe"):
        describe([])


REPLIES = st.lists(st.text("ab", min_size=1, max_size=4), min_size=2, max_size=4)


@given(st.lists(st.tuples(st.sampled_from(["p", "q r"]), REPLIES, st.data()), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_counts_are_those_of_plain_loops(drawn: list[tuple[str, list[str], Any]]) -> None:
    comparisons = []
    for prompt, replies, data in drawn:
        rank_of = {reply: data.draw(st.integers(0, 2)) for reply in replies}  # the same text has the same rank
        ranks = [rank_of[reply] for reply in replies]
        comparisons.append(Comparison(prompt=Dialogue.of(prompt), replies=tuple(replies), ranks=tuple(ranks)))
    decided = tied = same = longer = unequal = 0
    for c in comparisons:
        for a in range(len(c.replies)):
            for b in range(a):
                same += c.replies[a] == c.replies[b]
                if c.ranks[a] == c.ranks[b]:
                    tied += 1
                    continue
                decided += 1
                better, worse = (a, b) if c.ranks[a] < c.ranks[b] else (b, a)
                gap = len(c.replies[better]) - len(c.replies[worse])
                unequal += gap != 0
                longer += gap > 0
    found = describe(comparisons)
    assert (found.decided_pairs, found.tied_pairs, found.identical_pairs) == (decided, tied, same)
    assert found.longer_wins == (pytest.approx(longer / unequal) if unequal else None)
    assert found.distinct_prompts + found.repeated_prompts == len(comparisons)
    assert sum(found.replies.values()) == sum(found.turns.values()) == len(comparisons)
    sizes = sorted(len(reply) for c in comparisons for reply in c.replies)
    for level, size in zip((0, 0.25, 0.5, 0.75, 0.95, 1), found.lengths["reply characters"], strict=True):
        assert sum(other <= size for other in sizes) >= level * len(sizes)  # that share is not longer
        assert sum(other < size for other in sizes) < max(level * len(sizes), 1)  # and none shorter would do


@given(st.text())
@settings(deadline=None)
def test_what_is_printable_is_shown_as_it_is_and_nothing_else_is_left(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or c == "\n" for c in shown)
    if all(c.isprintable() or c == "\n" for c in text):
        assert shown == text
