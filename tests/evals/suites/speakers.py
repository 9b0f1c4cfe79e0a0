"""Respondents whose answers a test writes."""

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


class Speaker:
    """Says what a function makes of the ask."""

    digest = "speaker"
    kinds = frozenset({"speak"})

    def __init__(self, says: Callable[[Generate], str], name: str = "speaker") -> None:
        self.says, self.name = says, name
        self.heard: list[Generate] = []

    def respond(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        for i, ask in enumerate(asks):
            assert isinstance(ask, Generate)
            self.heard.append(ask)
            yield i, Generation(self.says(ask))


class Chooser:
    """Gives the log-probabilities that a function makes of the ask; options count their words as tokens."""

    name = digest = "chooser"
    kinds = frozenset({"choose"})

    def __init__(self, logprobs: Callable[[OptionLogprobs], Sequence[float]]) -> None:
        self.logprobs = logprobs

    def respond(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        for i, ask in enumerate(asks):
            assert isinstance(ask, OptionLogprobs)
            yield i, OptionScores(tuple(map(float, self.logprobs(ask))), tuple(len(o.split()) for o in ask.options))


class Rater:
    """Scores replies by a function of prompt and reply."""

    name = digest = "rater"
    kinds = frozenset({"rate"})

    def __init__(self, score: Callable[[str, str], float]) -> None:
        self.score = score

    def respond(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        for i, ask in enumerate(asks):
            assert isinstance(ask, ScoreReplies)
            prompt = ask.prompt.messages[-1].text
            yield i, RewardScores(tuple(float(self.score(prompt, reply)) for reply in ask.replies))
