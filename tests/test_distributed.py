"""Two processes do the work of one: the same numbers to float error, and a run goes on with more or fewer of them.

The jobs themselves are in distributed_program.py. One process and two run it; only
the tests of `deal` and its kin need none.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from preflab import distributed
from preflab.errors import ConfigError
from preflab.run import read_metrics

PROGRAM = Path(__file__).with_name("distributed_program.py")
ROOT = Path(__file__).parents[1]


def start(processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program in one process, or under torchrun in several."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    line = [sys.executable, *launcher, str(PROGRAM), *arguments]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Any]]]:
    """What one process says of every job, and what two say."""
    home = tmp_path_factory.mktemp("ranks")
    found = []
    for processes in (1, 2):
        done = start(processes, "all", str(home / f"{processes}.pt"))
        assert done.returncode == 0, done.stderr
        found.append(torch.load(home / f"{processes}.pt", weights_only=True))
    return found


JOBS = ("preference adapters", "preference full", "dpo full", "sft adapters", "ppo adapters", "ppo full")
SPLIT_OTHERWISE = {"measured_tokens"}
"""One process may keep its measuring pass for the first update, and counts it there; several run it twice."""


@pytest.mark.parametrize("job", JOBS)
def test_two_processes_give_the_losses_of_one(job: str, numbers: list[dict[str, dict[str, Any]]]) -> None:
    one, two = (found[job]["steps"] for found in numbers)
    assert len(one) == len(two) >= 2
    for mine, theirs in zip(one, two, strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine.keys() - SPLIT_OTHERWISE:
            if key == "texts":
                assert mine[key] == theirs[key]
            elif not math.isnan(mine[key]):
                assert theirs[key] == pytest.approx(mine[key], rel=1e-4, abs=2e-4), key


@pytest.mark.parametrize("job", JOBS)
def test_two_processes_end_with_the_weights_scores_and_texts_of_one(
    job: str, numbers: list[dict[str, dict[str, Any]]]
) -> None:
    one, two = (found[job] for found in numbers)
    for key in one.keys() - {"steps"}:
        if key == "texts":
            assert one[key] == two[key]
        else:
            torch.testing.assert_close(two[key], one[key], rtol=1e-4, atol=1e-5)


# a run that goes on with another number of processes -----------------------------------------------------------


def outcome(folder: Path) -> tuple[list[float], dict[str, torch.Tensor]]:
    from safetensors.torch import load_file

    return [m["loss"] for m in read_metrics(folder)], load_file(folder / "checkpoints" / "r.safetensors")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A run that one process made without a break."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            done = start(1, "resume", str(made[kind]), kind, "0")
            assert done.returncode == 0, done.stderr
        return made[kind]

    return get


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
@pytest.mark.parametrize("kind", ["full", pytest.param("adapters", marks=pytest.mark.slow)])
def test_a_run_that_died_goes_on_with_another_number_of_processes(
    kind: str, before: int, after: int, tmp_path: Path, unbroken: Callable[[str], Path]
) -> None:
    """A process kills itself after three of six steps; what it saved is sharded for two and whole for one."""
    died = start(before, "resume", str(tmp_path), kind, "3")
    assert died.returncode != 0
    assert len(read_metrics(tmp_path)) == 3
    saved = json.loads((tmp_path / "state.json").read_text())["checkpoint"]
    assert saved.endswith(".shards" if before == 2 else ".safetensors")
    done = start(after, "resume", str(tmp_path), kind, "0")
    assert done.returncode == 0, done.stderr
    (losses, weights), (expected, whole) = outcome(tmp_path), outcome(unbroken(kind))
    assert len(losses) == 6
    assert losses == pytest.approx(expected, rel=1e-4, abs=1e-5)
    for key, weight in whole.items():
        torch.testing.assert_close(weights[key], weight, rtol=1e-4, atol=1e-5)


def test_a_process_that_dies_takes_the_run_down_with_a_message_that_says_how_to_go_on(tmp_path: Path) -> None:
    for attempt in ("first", "second", "third"):  # on a busy machine torchrun may end rank 0 before it can say anything
        (tmp_path / attempt).mkdir()
        died = start(2, "resume", str(tmp_path / attempt), "adapters", "2")
        assert died.returncode != 0
        if "RunError: rank 0" in died.stderr:
            break
    assert "RunError: rank 0" in died.stderr
    assert "start the same command again" in died.stderr


# one process ------------------------------------------------------------------------------------------------


def test_one_process_has_everything_to_itself() -> None:
    batches = [[1, 2], [3]]
    assert distributed.shard_batches(batches) == batches
    assert (distributed.world_size(), distributed.rank(), distributed.is_rank_zero()) == (1, 0, True)
    assert distributed.broadcast("x") == "x"
    assert distributed.gather_batches([1, 2]) == [1, 2]
    assert distributed.all_reduce_sum(torch.ones(2)).tolist() == [1, 1]
    assert distributed.all_reduce_metrics({"a": 1.0}) == {"a": 1.0}
    assert distributed.tokens_per_rank(100, 30) == 30
    with distributed.rank_zero_first() as mine:
        assert mine


def test_batches_are_dealt_in_turn_and_the_last_round_is_filled_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    shares = []
    for own in range(3):
        monkeypatch.setattr(distributed, "rank", lambda own=own: own)
        shares.append(distributed.shard_batches([[0], [1], [2], [3]]))
    assert shares == [[[0], [3]], [[1], []], [[2], []]]
    assert distributed.tokens_per_rank(1000, 30) == 10  # one batch for each
    assert distributed.tokens_per_rank(4, 30) == 4


def test_half_of_torchrun_s_variables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match=r"RANK.*not set.*torchrun"), distributed.process_group():
        pass
