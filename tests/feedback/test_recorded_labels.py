"""Labels kept in a run: nothing is asked twice, whatever is killed; another judge is refused."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.store import Store
from preflab.errors import RunError
from preflab.feedback.labellers.human import HumanLabeller, StillWaiting
from preflab.feedback.recorded_labels import BLOCK, RecordedLabeller, pair_key
from preflab.interfaces import Labels
from preflab.run import Run
from tests.feedback.conftest import judge, make, somebody


class Counting:
    """Says 0.1 + 0.2 (a number that a careless file would round) or nothing; notes what it was asked."""

    def __init__(self, name: str = "counting", fail_at: int | None = None) -> None:
        self.name, self.fail_at, self.batches = name, fail_at, list[list[Comparison]]()

    def __call__(self, pairs: Sequence[Comparison]) -> Labels:
        if len(self.batches) == self.fail_at:
            raise KeyboardInterrupt
        self.batches.append(list(pairs))
        return Labels.of([0.1 + 0.2 if len(pair.replies[0]) % 2 else "even" for pair in pairs])


def pair(n: int) -> Comparison:
    return Comparison(prompt=Dialogue.of("q"), replies=("x" * (n + 1), "other"), ranks=(0, 0))


@contextmanager
def recorded(folder: Path, opened: Callable[[], Counting]) -> Iterator[RecordedLabeller]:
    with Run(folder, {}, recipe="x", quiet=True) as run:
        yield RecordedLabeller(run, lambda _: opened())


def refuse() -> Counting:
    raise AssertionError("the judge was opened although everything is answered")


def test_a_second_start_reads_the_labels_back_and_opens_no_judge(tmp_path: Path) -> None:
    with recorded(tmp_path / "run", Counting) as labeller:
        first = labeller([pair(0), pair(1)])
    with recorded(tmp_path / "run", refuse) as labeller:
        again = labeller([pair(1), pair(0), pair(1)])
        assert labeller.name == "counting"
    assert first.prob_first[0].item() == again.prob_first[1].item() == 0.1 + 0.2
    assert again.abstained == {0: "even", 2: "even"}


def test_a_kill_costs_the_block_that_was_being_asked(tmp_path: Path) -> None:
    pairs = [pair(n) for n in range(2 * BLOCK + 3)]
    killed, second = Counting(fail_at=1), Counting()
    with recorded(tmp_path / "run", lambda: killed) as labeller, pytest.raises(KeyboardInterrupt):
        labeller(pairs)
    assert killed.batches == [pairs[:BLOCK]]
    with recorded(tmp_path / "run", lambda: second) as labeller:
        labels = labeller(pairs)
    assert second.batches == [pairs[BLOCK : 2 * BLOCK], pairs[2 * BLOCK :]]
    unbroken = Counting()(pairs)
    assert labels.abstained == unbroken.abstained
    assert labels.prob_first.nan_to_num().tolist() == unbroken.prob_first.nan_to_num().tolist()


def test_a_line_that_a_kill_cut_off_is_asked_again(tmp_path: Path) -> None:
    with recorded(tmp_path / "run", Counting) as labeller:
        labeller([pair(0)])
        labeller([pair(1)])
    path = tmp_path / "run" / "results" / "labels.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    after = Counting()
    with recorded(tmp_path / "run", lambda: after) as labeller:
        labeller([pair(0), pair(1)])
    assert after.batches == [[pair(1)]]
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["block 0", "block 1"]


def test_equal_pairs_are_asked_about_once(tmp_path: Path) -> None:
    judge_once = Counting()
    with recorded(tmp_path / "run", lambda: judge_once) as labeller:
        assert len(labeller([pair(2), pair(3), pair(2)])) == 3
    assert judge_once.batches == [[pair(2), pair(3)]]


def test_labels_of_two_judges_are_not_mixed(tmp_path: Path) -> None:
    with recorded(tmp_path / "run", lambda: Counting("pm:a@1")) as labeller:
        labeller([pair(0)])
    with (
        recorded(tmp_path / "run", lambda: Counting("pm:a@2")) as labeller,
        pytest.raises(RunError, match=r"are of judge pm:a@1, which is now pm:a@2"),
    ):
        labeller([pair(0), pair(1)])


def test_a_pair_is_its_prompt_and_its_replies_in_their_order() -> None:
    base = Comparison(prompt=Dialogue.of("q"), replies=("a", "b"), ranks=(0, 0))
    variants = [base.swap(), Comparison(prompt=Dialogue.of("q?"), replies=("a", "b"), ranks=(0, 0))]
    assert len({pair_key(comparison) for comparison in [base, *variants]}) == 3
    relabelled = Comparison(prompt=Dialogue.of("q"), replies=("a", "b"), ranks=(1, 0), category="c")
    assert pair_key(relabelled) == pair_key(base)
    surrogate = Comparison(prompt=Dialogue.of("q"), replies=("a\ud800", "b"), ranks=(0, 0))
    assert pair_key(surrogate) != pair_key(base)


def test_people_are_asked_everything_at_once_and_their_answers_are_kept(tmp_path: Path, store: Store) -> None:
    make(store, "name: s\nprotocol: rank\n")
    pairs = [Comparison(prompt=Dialogue.of(f"q{n}"), replies=("good", "bad"), ranks=(0, 0)) for n in range(BLOCK + 2)]
    reports: list[tuple[int, int]] = []

    def people(on_progress: Callable[[int, int], None]) -> HumanLabeller:
        def hear(n_judged: int, n_asked: int) -> None:
            reports.append((n_judged, n_asked))
            on_progress(n_judged, n_asked)

        return HumanLabeller(store, "s", wait=False, on_progress=hear)

    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        with pytest.raises(StillWaiting, match=f"0 of {BLOCK + 2} .* start the same command again"):
            RecordedLabeller(run, people)(pairs)
        assert not (tmp_path / "run" / "results" / "labels.jsonl").exists()
        annotator = somebody(store)
        for n in range(BLOCK + 2):
            judge(store, annotator, "bad", key=f"key-{n:06d}")
        labels = RecordedLabeller(run, people)(pairs)
        assert labels.prob_first.tolist() == [0.0] * (BLOCK + 2)
        assert reports == [(0, BLOCK + 2), (BLOCK + 2, BLOCK + 2)]

        def gone(_: Callable[[int, int], None]) -> HumanLabeller:
            raise AssertionError("the store was opened although everything is answered")

        assert RecordedLabeller(run, gone)(pairs).prob_first.tolist() == [0.0] * (BLOCK + 2)
