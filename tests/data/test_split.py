"""Parts that share no prompt, whatever the order and the sizes."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.split import opening_groups, prompt_key, split_by_prompt, split_dialogues, split_keys
from preflab.errors import ConfigError

THIRDS = {"train_a": 0.4, "train_b": 0.4, "held_out": 0.2}


def one(prompt: str, reply: str = "good", category: str = "") -> Comparison:
    """A comparison of that prompt."""
    return Comparison.chosen_rejected(Dialogue.of(prompt), reply, "bad", category=category)


GROUPS = st.lists(st.tuples(st.integers(1, 5), st.sampled_from("xyz")), min_size=20, max_size=60)
"""(comparisons of a prompt, its category)"""


def made(groups: list[tuple[int, str]]) -> list[Comparison]:
    """Those comparisons, no two the same."""
    return [one(f"prompt {g}", f"{k}", category) for g, (size, category) in enumerate(groups) for k in range(size)]


@given(GROUPS, st.integers(0, 100), st.booleans())
@settings(deadline=None, max_examples=50)
def test_no_prompt_is_in_two_parts_and_nothing_is_lost(
    groups: list[tuple[int, str]], seed: int, stratify: bool
) -> None:
    comparisons = made(groups)
    parts = split_by_prompt(comparisons, THIRDS, seed=seed, stratify=stratify)
    assert list(parts) == list(THIRDS)
    places = Counter(key for part in parts.values() for key in {prompt_key(found.prompt) for found in part})
    assert set(places.values()) == {1}
    assert Counter(found for part in parts.values() for found in part) == Counter(comparisons)


@given(GROUPS, st.integers(0, 100), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_the_order_of_the_file_does_not_matter(groups: list[tuple[int, str]], seed: int, rng: random.Random) -> None:
    comparisons = made(groups)
    shuffled = comparisons.copy()
    rng.shuffle(shuffled)
    before, after = (split_by_prompt(order, THIRDS, seed=seed) for order in (comparisons, shuffled))
    assert {name: set(part) for name, part in before.items()} == {name: set(part) for name, part in after.items()}


@given(GROUPS, st.integers(0, 100))
@settings(deadline=None, max_examples=50)
def test_a_part_exceeds_its_share_by_less_than_a_group(groups: list[tuple[int, str]], seed: int) -> None:
    comparisons = made(groups)
    largest = max(size for size, _ in groups)
    for name, part in split_by_prompt(comparisons, THIRDS, seed=seed).items():
        assert len(part) - THIRDS[name] * len(comparisons) < largest


def test_shares_are_exact_where_they_can_be_in_every_category() -> None:
    comparisons = [one(f"{category} {n}", category=category) for category in "abcdefgh" for n in range(50)]
    for seed in range(3):
        parts = split_by_prompt(comparisons, THIRDS, seed=seed)
        counts = {name: Counter(found.category for found in part) for name, part in parts.items()}
        assert counts["train_a"] == counts["train_b"] == Counter(dict.fromkeys("abcdefgh", 20))
        assert counts["held_out"] == Counter(dict.fromkeys("abcdefgh", 10))


def test_many_categories_of_one_comparison_do_not_all_land_in_one_part() -> None:
    comparisons = [one(f"prompt {n}", category=f"category {n}") for n in range(100)]
    assert {k: len(v) for k, v in split_by_prompt(comparisons, THIRDS, seed=0).items()} == {
        "train_a": 40,
        "train_b": 40,
        "held_out": 20,
    }


def test_another_seed_splits_otherwise_and_the_same_seed_alike() -> None:
    comparisons = [one(f"prompt {n}") for n in range(50)]
    first, again, other = (split_by_prompt(comparisons, THIRDS, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_prompt_is_known_by_its_first_user_message_whatever_its_case_and_spacing() -> None:
    same = [
        Dialogue.of("Is this  THE\nsame? "),
        Dialogue.of("is this the same?", "Yes.", "Really?"),
        Dialogue.of("Is this the same?", system="be brief"),
    ]
    assert {prompt_key(prompt) for prompt in same} == {"is this the same?"}
    assert prompt_key(Dialogue.of("Is this the same")) != "is this the same?"


def test_a_part_keeps_the_order_it_came_in() -> None:
    comparisons = [one(f"prompt {n}") for n in range(20)]
    for part in split_by_prompt(comparisons, THIRDS, seed=0).values():
        places = [comparisons.index(found) for found in part]
        assert places == sorted(places)


@pytest.mark.parametrize("fractions", [{}, {"a": 0.5}, {"a": 0.5, "b": 0.6}, {"a": 1.2, "b": -0.2}, {"a": 1.0, "b": 0}])
def test_impossible_fractions_are_refused(fractions: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="positive and sum to 1, got"):
        split_by_prompt([one("a"), one("b")], fractions, seed=0)


def test_too_few_prompts_for_the_parts_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"nothing left for .*kept apart by how their dialogues begin .* 3 there are begin in 1 ways"
    ):
        split_by_prompt([one("a", "x"), one("A ", "y"), one("a", "z")], THIRDS, seed=0)


def greeted(n: int, *, alike: int) -> list[Comparison]:
    """Comparisons whose dialogues open with a greeting, the first ``alike`` of them with the same."""
    openings = ["Hello!" if k < alike else f"Hello number {k}" for k in range(n)]
    prompts = [Dialogue.of(opening, "How can I help?", f"Question {k}?") for k, opening in enumerate(openings)]
    return [Comparison.chosen_rejected(prompt, "good", "bad") for prompt in prompts]


@pytest.mark.parametrize("alike", [60, 54, 36])
def test_behind_a_greeting_that_most_dialogues_open_with_the_next_turn_counts(alike: int) -> None:
    comparisons = greeted(60, alike=alike)
    parts = split_by_prompt(comparisons, THIRDS, seed=0)
    assert {name: len(part) for name, part in parts.items()} == {"train_a": 24, "train_b": 24, "held_out": 12}
    keys, crowded = split_keys([comparison.prompt for comparison in comparisons], THIRDS)
    assert crowded == {"hello!": alike}
    assert len(set(keys)) == 60
    assert opening_groups([comparison.prompt for comparison in comparisons]) == list(range(60))


def test_an_opening_that_few_have_is_not_divided() -> None:
    comparisons = greeted(60, alike=20)
    keys, crowded = split_keys([comparison.prompt for comparison in comparisons], THIRDS)
    assert (len(set(keys)), crowded) == (41, {})
    parts = split_by_prompt(comparisons, THIRDS, seed=0)
    assert sum(any(c.prompt.messages[0].text == "Hello!" for c in part) for part in parts.values()) == 1


def test_a_greeting_of_several_turns_and_prompts_that_are_one_turn_alone() -> None:
    chat = ["Hi", "Hello", "How are you?", "Fine"]
    prompts = [*(Dialogue.of(*chat, f"Question {k}") for k in range(8)), Dialogue.of("Hi"), Dialogue.of("Hi")]
    keys, crowded = split_keys(prompts, {"a": 0.5, "b": 0.5})
    assert len(set(keys)) == 9
    assert keys[-1] == keys[-2] == "hi"
    assert crowded == {"hi": 10, "hi\nhello\nhow are you?": 8}


def test_dialogues_that_begin_alike_stay_together_and_none_is_lost() -> None:
    dialogues = [Dialogue.of(f"Prompt {i // 2}", "a", f"more {i}", "b") for i in range(40)]
    parts = split_dialogues(dialogues, {"train": 0.75, "held_out": 0.25}, seed=0)
    assert sorted(map(str, parts["train"] + parts["held_out"])) == sorted(map(str, dialogues))
    assert (len(parts["train"]), len(parts["held_out"])) == (30, 10)
    keys = [{prompt_key(dialogue) for dialogue in part} for part in parts.values()]
    assert not keys[0] & keys[1]
    assert (
        split_dialogues(dialogues[::-1], {"train": 0.75, "held_out": 0.25}, seed=0)["held_out"]
        == parts["held_out"][::-1]
    )
