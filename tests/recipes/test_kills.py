"""Runs of preference training, DPO and SFT, killed at random moments, end bit for bit where unbroken ones end."""

import random
from pathlib import Path

import pytest

from tests.killing import Nursery, assert_same_end, results

FEW = ["--set", "data.max_comparisons=20", "--set", "evaluation_prompts=2"]
SMALL = ["--scale", "smoke", "--name", "r", "--quiet", *FEW]
DPO = ["run", "dpo", *SMALL, "--set", "dpo.batch_comparisons=4", "--set", "preference.batch_comparisons=4"]
RUNS = {
    "dpo": [*DPO, "--set", "held_out_pm_share=0.3", "--set", "sft_first=true", "--set", "sft.batch_rows=4"],
    "dpo-full": [*DPO, "--set", "held_out_pm_share=0", "--set", "model.full_finetune=true", "--set", "dpo.loss=ipo"],
    "sft": ["run", "sft", *SMALL, "--set", "sft.batch_rows=4"],
    "sft-full": ["run", "sft", *SMALL, "--set", "sft.batch_rows=4", "--set", "model.full_finetune=true"],
    "preference": ["align", *SMALL, "--until", "preference", "--set", "preference.batch_comparisons=2"],
    "preference-full": [
        *["align", *SMALL, "--until", "preference", "--set", "preference.batch_comparisons=2"],
        *["--set", "model.full_finetune=true"],
    ],
}
QUICK = ("dpo", "sft-full")


@pytest.mark.parametrize(
    ("what", "seed"),
    [
        *((what, 0) for what in QUICK),
        *(pytest.param(what, 0, marks=pytest.mark.slow) for what in RUNS if what not in QUICK),
        *(pytest.param(what, seed, marks=pytest.mark.slow) for what in RUNS for seed in range(1, 4)),
    ],
)
def test_a_run_killed_at_random_moments_ends_where_the_unbroken_one_ends(
    what: str, seed: int, nursery: Nursery, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    seconds = nursery.run([*RUNS[what], "--runs", str(whole)], tmp_path / "whole.txt")
    kills = nursery.run_with_kills(
        [*RUNS[what], "--runs", str(broken)], tmp_path / "broken.txt", random.Random(seed), seconds
    )
    print(f"\n{what}, seed {seed}: killed {kills} times, {seconds:.1f} processor seconds unbroken")
    assert kills >= 3
    assert len(results(whole / "r")["metrics"]) >= 4
    assert_same_end(broken / "r", whole / "r")
