"""Admissions: every student asked about twice, and gaps that are known."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import measure_results, run_items
from preflab.evals.suites.bias.admissions import SUITE, loader, parse_admission, share_of_yes, synthetic
from preflab.rollouts.requests.types import (
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    Response,
    UnreadableResponse,
)


class Professor:
    """P(yes) by what the prompt says: 0.5, and less or more for a word in it."""

    name = digest = "professor"
    kinds = frozenset({"choose", "speak"})

    def __init__(self, word: str, change: float) -> None:
        self.word, self.change = word, change
        self.seen: list[str] = []

    def respond(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """Half of all mass on yes and no together."""
        for i, ask in enumerate(asks):
            assert isinstance(ask, OptionLogprobs | Generate)
            assert isinstance(ask.prompt, Dialogue)
            shown = ask.prompt.messages[0].text
            self.seen.append(shown)
            yes = 0.5 + (self.change if f"a {self.word} " in shown or f" {self.word} with" in shown else 0.0)
            if isinstance(ask, OptionLogprobs):
                assert ask.options == ("yes", "no")
                assert ask.lead.endswith('"')
                yield i, OptionScores((math.log(0.5 * yes), math.log(0.5 * (1 - yes))), (1, 1))
            else:
                yield i, Generation("Yes, admit." if ask.sample < 8 * yes else "No." if ask.sample < 7 else "Hm.")


def students(folder: Path, n: int = 12) -> DataSource:
    """Made-up students."""
    (folder / "law_school.jsonl").write_text("".join(json.dumps(own) + "\n" for own in synthetic(n)), "utf-8")
    return DataSource(folder=folder)


@pytest.mark.parametrize(
    ("way", "word", "gap"),
    [("race", "Black", -0.2), ("race", "white", 0.2), ("race-capitals", "black", -0.2), ("race-asian", "Asian", -0.2),
     ("sex", "female", -0.2), ("race", "green", 0.0)],
)  # fmt: skip
def test_gaps(tmp_path: Path, way: str, word: str, gap: float) -> None:
    """0.2 less for the first value is a gap of -0.2; prompts that do not differ in it give exactly 0."""
    items = loader()(students(tmp_path)).items
    told = run_items(SUITE.variant(way), items, {"policy": Professor(word, -0.2)})
    found = {
        (own.name, own.column): own.estimate for own in measure_results(SUITE.measures[:1], told) if not own.column
    }
    own = found["gap", ""]
    assert own is not None
    assert own.value == pytest.approx(gap, abs=1e-12)
    assert own.high - own.low < 1e-9
    assert own.n == 12
    if gap == 0.0:
        assert own.value == 0.0


def test_nothing_but_the_attribute_differs(tmp_path: Path) -> None:
    """The two prompts of a student are alike once the race is taken out."""
    professor = Professor("Black", -0.2)
    run_items(SUITE.variant("race"), loader()(students(tmp_path)).items[:1], {"policy": professor})
    first, second = professor.seen
    assert first != second
    assert first.replace("a Black ", "a white ") == second


def test_breakdown(tmp_path: Path) -> None:
    """By sex and by thirds of LSAT and GPA."""
    items = loader()(students(tmp_path, 30)).items
    told = run_items(SUITE.variant(None), items, {"policy": Professor("Black", -0.2)})
    found = {(own.column, own.value) for own in measure_results(SUITE.measures[:1], told)}
    thirds = {(f"{name}_third", value) for name in ("lsat", "gpa") for value in ("lowest", "middle", "highest")}
    assert found == {("", ""), ("sex", "female"), ("sex", "male")} | thirds


def test_replies_are_counted(tmp_path: Path) -> None:
    """Eight draws: four of eight say yes, one says neither and is left out: 4/7 against 2/7 with 0.3 less."""
    items = loader()(students(tmp_path)).items[:1]
    told = run_items(SUITE.variant("sampled"), items, {"policy": Professor("Black", -0.3)})
    assert told[0].outcome is not None
    assert told[0].outcome["gap"] == pytest.approx(2 / 7 - 4 / 7)


def test_reading_a_reply() -> None:
    """Yes, no, or not scored."""
    assert parse_admission(Generation("Yes."))
    assert not parse_admission(Generation("I would say no"))
    for reply in ("perhaps", "yes and no"):
        with pytest.raises(UnreadableResponse):
            parse_admission(Generation(reply))
    with pytest.raises(UnreadableResponse, match="no reply"):
        share_of_yes([Generation("hm"), Generation("well")])


def test_published_columns_and_a_map_of_ones_own(tmp_path: Path) -> None:
    """The survey's capitals, numbers written out, rows that cannot be used; and other names by a map."""
    lines = [",race,sex,LSAT,UGPA", "0,White,1,39.0,3.1", "1,Black,2,29.5,2.8", "2,Black,3,29.5,2.8",
             "3,Black,1,999,2.8"]  # fmt: skip
    (tmp_path / "law_data.csv").write_text("\n".join(lines) + "\n", "utf-8")
    found = loader()(DataSource(folder=tmp_path))
    assert [(i.id, i.data.sex, i.data.lsat, i.data.gpa) for i in found.items] == [
        ("student-00001", "female", "39", "3.1"), ("student-00002", "male", "29.5", "2.8"),
    ]  # fmt: skip
    assert sum(found.refused.values()) == 2
    (tmp_path / "law_data.csv").write_text("r,g,test,grade\nWhite,male,39.0,3.1\n", "utf-8")
    with pytest.raises(DataError, match="lsat or LSAT"):
        loader()(DataSource(folder=tmp_path))
    own = loader({"race": ("r",), "sex": ("g",), "lsat": ("test",), "gpa": ("grade",)})(DataSource(folder=tmp_path))
    assert own.items[0].data.sex == "male"


def test_our_sample_file(shared: Path) -> None:
    """4,000 students."""
    found = loader()(DataSource(paths={"admissions": shared / "data" / "bias" / "law_school.jsonl.gz"}))
    assert (len(found.items), dict(found.refused)) == (4000, {})


def test_replies_that_cannot_be_read_are_counted_by_reason() -> None:
    replies = [Generation("Yes."), Generation("no"), Generation("hm"), Generation("Yes, if", finished=False)]
    share, unread = share_of_yes(replies)
    assert share == 0.5
    assert unread == {
        "the reply says neither yes nor no": 1,
        "the reply was cut at its limit before it ended": 1,
    }
