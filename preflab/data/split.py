"""Parts that share no prompt, so that what is measured on one was not trained on in another."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError

T = TypeVar("T")


CROWDED = 0.5
"""An opening that more than this share of the prompts begin with is a greeting: the turns behind it tell them apart."""


def prompt_key(prompt: Dialogue, *, user_turns: int = 1) -> str:
    """What makes two prompts the same for splitting: the user's first words, whatever their case and spacing.

    Later turns do not count, so all comparisons from one conversation have one key.

    Args:
        user_turns  messages of the user that count, with all that stands between them.
    """
    users = [k for k, message in enumerate(prompt.messages) if message.role == "user"] or [0]
    texts = [message.text for message in prompt.messages[users[0] : users[min(user_turns, len(users)) - 1] + 1]]
    return "\n".join(" ".join(text.casefold().split()) for text in texts)


def split_keys(prompts: Sequence[Dialogue], fractions: Mapping[str, float]) -> tuple[list[str], dict[str, int]]:
    """The key of each prompt, and the openings behind which a later turn of the user had to count.

    Prompts with one key are not divided between parts. Where an opening is too common for that (a greeting: more
    prompts than half of all, or than the largest part), its prompts are told apart by the user's next turn and what
    stands before it, and so on; those that have no next turn keep their key.

    Returns:
        the keys, and opening -> number of prompts that begin with it.
    """
    most = min(CROWDED, max(fractions.values())) * len(prompts)
    keys, crowded = [prompt_key(prompt) for prompt in prompts], dict[str, int]()
    for user_turns in range(2, 1 + max((len(prompt.messages) for prompt in prompts), default=0)):
        too_common = {key: count for key, count in Counter(keys).items() if count > most}
        longer = {
            k: key
            for k, prompt in enumerate(prompts)
            if keys[k] in too_common and (key := prompt_key(prompt, user_turns=user_turns)) != keys[k]
        }
        if not longer:
            break
        crowded |= {keys[k]: too_common[keys[k]] for k in longer}
        keys = [longer.get(k, key) for k, key in enumerate(keys)]
    return keys, crowded


def opening_groups(prompts: Sequence[Dialogue]) -> list[int]:
    """For each prompt the number of its key (`split_keys`): what an interval resamples as one."""
    number_of: dict[str, int] = {}
    keys, _ = split_keys(prompts, {"all": 1.0})
    return [number_of.setdefault(key, len(number_of)) for key in keys]


def split_by_prompt(
    comparisons: Sequence[Comparison], fractions: Mapping[str, float], *, seed: int, stratify: bool = True
) -> dict[str, list[Comparison]]:
    """Split into named parts; comparisons with the same key (`split_keys`) go to the same part.

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
    keys, _ = split_keys([prompt_of(item) for item in items], fractions)
    for key, item in zip(keys, items, strict=True):
        groups[key].append(item)

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
    for key, item in zip(keys, items, strict=True):
        parts[part_of[key]].append(item)
    empty = [part for part, members in parts.items() if not members]
    if empty:
        raise ConfigError(
            f"nothing left for {', '.join(empty)}: items are kept apart by how their dialogues begin (the user's first "
            f"message), and the {len(items)} there are begin in {len(groups)} ways"
        )
    return parts


def _commonest(categories: Sequence[str]) -> str:
    """The most frequent category; of equally frequent ones the first in the alphabet."""
    counts = Counter(categories)
    return min(counts, key=lambda category: (-counts[category], category))


def _lot(seed: int, key: str) -> str:
    """A random number that only the seed and the prompt decide."""
    return hashlib.sha256(f"{seed} {key}".encode(errors="surrogatepass")).hexdigest()
