"""Respondents whose answers are known beforehand."""

from collections.abc import Callable, Iterator, Sequence

from preflab.rollouts.requests.types import (
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    Response,
    RewardScores,
    ScoreReplies,
)

CHOICE = frozenset({"choose", "speak", "rate"})


class Scripted:
    """Answers by a function of the ask; counts what it was asked, and may fall silent after some answers."""

    def __init__(
        self, say: Callable[[Request], Response], *, name: str = "scripted", dies_after: int | None = None
    ) -> None:
        self.say, self.name, self.digest, self.kinds = say, name, f"digest of {name}", CHOICE
        self.asked: list[Request] = []
        self.dies_after = dies_after

    def respond(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """The last ask first: nobody may rely on the order."""
        for i in reversed(range(len(asks))):
            if self.dies_after is not None and len(self.asked) >= self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(asks[i])
            yield i, self.say(asks[i])


def choosing(index: Callable[[OptionLogprobs], int]) -> Callable[[Request], Response]:
    """Puts 90 % on one option and shares the rest."""

    def say(ask: Request) -> Response:
        assert isinstance(ask, OptionLogprobs)
        import math

        n, chosen = len(ask.options), index(ask)
        rest = 0.1 / max(1, n - 1)
        return OptionScores(tuple(math.log(0.9 if i == chosen else rest) for i in range(n)), (1,) * n)

    return say


def saying(text: Callable[[Generate], str]) -> Callable[[Request], Response]:
    """Says a function of the ask."""

    def say(ask: Request) -> Response:
        assert isinstance(ask, Generate)
        return Generation(text(ask))

    return say


def rating(score: Callable[[str], float]) -> Callable[[Request], Response]:
    """Scores replies by a function of their text."""

    def say(ask: Request) -> Response:
        assert isinstance(ask, ScoreReplies)
        return RewardScores(tuple(score(reply) for reply in ask.replies))

    return say
