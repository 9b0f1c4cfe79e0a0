"""Which replies are shown: extremes and the middle, each once, cut to a budget."""

import pytest

from preflab.recipes.align.examples import LONGEST_LIMIT, SHORTEST_LIMIT, TEXT_BUDGET, select_examples
from tests.recipes.align.results_of import measure, policy_replies


def test_examples_are_the_extremes_and_the_middle() -> None:
    selection = select_examples(measure(12).examples)  # gains -0.6, -0.5 ... 0.5 for prompts 1 to 12
    assert [[e.number for e in stratum.examples] for stratum in selection.strata] == [
        [12, 11, 10],
        [8, 7, 6],
        [3, 2, 1],
    ]
    assert [stratum.title for stratum in selection.strata] == [
        "Where PPO gained most",
        "Around the middle",
        "Where PPO lost most",
    ]
    assert [e.number for e in selection.remainder] == [9, 5, 4]
    assert selection.strata[0].examples[0].gain == pytest.approx(0.5)


@pytest.mark.parametrize(("n", "each", "remainder"), [(9, 3, 0), (8, 2, 2), (3, 1, 0), (2, 0, 2), (0, 0, 0)])
def test_few_examples_are_never_shown_twice(n: int, each: int, remainder: int) -> None:
    selection = select_examples(measure(12).examples[:n])
    assert [len(stratum.examples) for stratum in selection.strata] == ([each] * 3 if each else [])
    assert (len(selection.remainder), selection.n) == (remainder, n)
    shown = [e.number for stratum in selection.strata for e in stratum.examples]
    assert sorted(shown + [e.number for e in selection.remainder]) == list(range(1, n + 1))


def test_a_single_turn_stands_alone_and_several_name_who_speaks() -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    selection = select_examples([policy_replies(0, 2), policy_replies(1, 2, prompt=turns)])
    prompts = {example.number: example.prompt for example in selection.remainder}
    assert prompts == {1: "Question 0?\r\nPlease.", 2: "user: Hi\n\nassistant: Yes?"}


@pytest.mark.parametrize(("n", "limit"), [(1, LONGEST_LIMIT), (100, TEXT_BUDGET // 400), (2000, SHORTEST_LIMIT)])
def test_texts_are_cut_so_that_all_of_them_stay_within_the_budget(n: int, limit: int) -> None:
    long = "x" * 10_000
    replies = [policy_replies(i, n, base=long, best_of_n="short", trained=long) for i in range(n)]
    example = select_examples(replies).remainder[0]
    assert example.base.startswith("x" * limit + " … (") and example.base.count("x") == limit
    assert example.best_of_n == "short"
