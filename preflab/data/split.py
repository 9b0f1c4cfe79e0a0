"""Parts that share no prompt, so that what is measured on one was not trained on in another."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError

T = TypeVar("T")


def prompt_key(prompt: Dialogue) -> str:
    """What makes two prompts the same for splitting: the user's first words, whatever their case and spacing.

    Later turns do not count, so all comparisons from one conversation have one key.
    """
    first = next((message for message in prompt.messages if message.role == "user"), prompt.messages[0])
    return " ".join(first.text.casefold().split())


def split_by_prompt(
    comparisons: Sequence[Comparison], fractions: Mapping[str, float], *, seed: int, stratify: bool = True
) -> dict[str, list[Comparison]]:
    """Split into named parts; comparisons with the same ``prompt_key`` go to the same part.

    Which part a comparison lands in depends on the set of comparisons and the seed, not on their order; within a part
    they keep the order they came in. A part exceeds its fraction by less than the largest group.

    Args:
        comparisons  all of them.
        fractions    name of a part -> its share of the comparisons; positive, together 1.
        seed         another seed, another split.
        stratify     hold to the fractions within each category too, as near as its groups allow.

    Raises:
        ConfigError: the fractions are impossible, or a part would be empty.
    """
    return _split(comparisons, lambda c: c.prompt, lambda c: c.category if stratify else "", fractions, seed)


def split_dialogues(
    dialogues: Sequence[Dialogue], fractions: Mapping[str, float], *, seed: int
) -> dict[str, list[Dialogue]]:
    """Split dialogues into named parts as `split_by_prompt` does: those that begin alike go to the same part.

    Raises:
        ConfigError: the fractions are impossible, or a part would be empty.
    """
    return _split(dialogues, lambda dialogue: dialogue, lambda dialogue: "", fractions, seed)


def _split(
    items: Sequence[T],
    prompt_of: Callable[[T], Dialogue],
    category_of: Callable[[T], str],
    fractions: Mapping[str, float],
    seed: int,
) -> dict[str, list[T]]:
    if not fractions or min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ConfigError(f"fractions must be positive and sum to 1, got {dict(fractions)}")
    groups: dict[str, list[T]] = defaultdict(list)
    for item in items:
        groups[prompt_key(prompt_of(item))].append(item)

    def place(key: str) -> tuple[str, str]:
        """By category, and in it by lot."""
        return _commonest([category_of(item) for item in groups[key]]), _lot(seed, key)

    # Walk along the groups and give each to the part that is furthest behind. The debts stay small all along
    # the walk, so every stretch of it, a category for one, is divided as the whole is.
    part_of: dict[str, str] = {}
    behind = dict.fromkeys(fractions, 0.0)  # items owed to each part
    for key in sorted(groups, key=place):
        for part, fraction in fractions.items():
            behind[part] += fraction * len(groups[key])
        part_of[key] = max(behind, key=lambda part: behind[part])
        behind[part_of[key]] -= len(groups[key])

    parts: dict[str, list[T]] = {part: [] for part in fractions}
    for item in items:
        parts[part_of[prompt_key(prompt_of(item))]].append(item)
    empty = [part for part, members in parts.items() if not members]
    if empty:
        raise ConfigError(f"nothing left for {', '.join(empty)}: {len(groups)} distinct prompts are too few")
    return parts


def _commonest(categories: Sequence[str]) -> str:
    """The most frequent category; of equally frequent ones the first in the alphabet."""
    counts = Counter(categories)
    return min(counts, key=lambda category: (-counts[category], category))


def _lot(seed: int, key: str) -> str:
    """A random number that only the seed and the prompt decide."""
    return hashlib.sha256(f"{seed} {key}".encode(errors="surrogatepass")).hexdigest()
