"""Comparisons by round: the static ones are round 0, those of round k were chosen among policies deployed then."""

from preflab.data.comparison import Comparison
from preflab.data.prompts import distinct_prompts
from preflab.data.split import split_by_prompt
from preflab.errors import ConfigError
from preflab.recipes.bai2022_online.online_study import OnlineStudy
from preflab.recipes.common.comparison_parts import HELD_OUT, TRAIN, ComparisonParts
from preflab.rollouts.encode import Encoded, encode_comparisons
from preflab.run import Run

Parts = dict[str, list[Comparison]]
TOPICS = "topics"


class RoundData:
    """Comparisons of each round in parts, as text and as rows."""

    def __init__(self, run: Run, static: ComparisonParts, study: OnlineStudy) -> None:
        self.run, self.static, self.study = run, static, study
        self._parts: dict[int, Parts] = {}

    @property
    def topics(self) -> list[str]:
        """What annotators are given to begin with: the user's words of prompts that nothing is trained on."""
        prompts = distinct_prompts(self.static.parts.get(TOPICS, []))
        return list(dict.fromkeys(prompt.messages[-1].text for prompt in prompts))

    def parts(self, number: int) -> Parts:
        """Comparisons of a round; conversations that begin alike are in one part. Too few are all for training."""
        if number == 0:
            return self.static.parts
        if number not in self._parts:
            comparisons = self.study.comparisons(number)
            held_out_share = self.static.config.held_out_share
            shares = {TRAIN: 1 - held_out_share, HELD_OUT: held_out_share}
            try:
                parts = split_by_prompt(comparisons, shares, seed=self.run.seed_of(f"split of round {number}"))
            except ConfigError:
                parts = {TRAIN: comparisons, HELD_OUT: []}
            self._parts[number] = parts
        return self._parts[number]

    def encoded(self, number: int, part: str) -> Encoded:
        """A part of a round as rows; what did not fit is recorded."""
        if number == 0:
            return self.static.encoded[part]
        encoded = encode_comparisons(self.static.models.encoder, self.parts(number)[part])
        counts = {"shortened": encoded.shortened, "refused": encoded.refused}
        self.run.record("counts", **{f"round {number}, {part}": counts})
        return encoded
