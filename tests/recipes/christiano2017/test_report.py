"""What reports and closing lines make of arms and seeds, from results by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from preflab.maths.statistics import Estimate
from preflab.recipes.christiano2017.mujoco import write_report
from preflab.recipes.christiano2017.mujoco.config import Config, smoke
from preflab.recipes.christiano2017.report import summarise
from preflab.recipes.christiano2017.results import ArmResult, Comparison, UntrainedReturns
from preflab.run import Run

ARMS = ("true_reward", "labels12", "random")


def arm_result(end: float, labels: int) -> ArmResult:
    return ArmResult(
        curve=(0.0, end),
        learned_curve=(0.0, 1.0),
        scores=(None, None),
        steps=800,
        labels={"left": labels} if labels else {},
        rank_correlation=0.5,
        disagreement_asked=None,
        disagreement_candidates=None,
        held_out_accuracy=None,
        mean_reward=0.0,
        std_reward=0.875,
        episodes=((1.0, 2.0),),
    )


def finished(folder: Path, *, true_return: float = 25.0, labels: int = 12) -> Config:
    """A run of two seeds whose arms end at returns that are given."""
    config = replace(smoke(), arms=ARMS, seeds=2)
    ends = dict(zip(ARMS, (true_return, 20.0, 15.0), strict=True))
    estimates = {arm: Estimate(end, end - 1, end + 1, 2) for arm, end in ends.items()}
    with Run(folder, config, recipe="christiano2017_mujoco", quiet=True) as run:
        start = UntrainedReturns(returns=(4.0, 6.0), mean=Estimate(5.0, 4.0, 6.0, 2))
        run.stage("untrained", lambda: start, UntrainedReturns)
        for arm in ARMS:
            for seed in range(2):
                result = arm_result(ends[arm], 0 if arm == "true_reward" else labels)
                run.stage(f"{arm}-{seed}", lambda result=result: result, ArmResult)  # type: ignore[misc]
        comparison = Comparison(
            verdicts=(),
            returns=estimates,
            by_seed={arm: (end, end) for arm, end in ends.items()},
            curves={arm: (None, estimate) for arm, estimate in estimates.items()},
            steps=(400.0, 800.0),
        )
        run.stage("compare", lambda: comparison, Comparison)
    return config


def test_the_summary_names_budgets_and_leaves_ablations_to_the_table(tmp_path: Path) -> None:
    finished(tmp_path)
    page = write_report(tmp_path).read_text()
    summary = page[page.index("at the end of training:") :].split("</p>")[0]
    assert "+25.0 [+24.0, +26.0] with the true reward; +20.0 [+19.0, +21.0] with 12 labels" in summary
    assert "chance" not in summary and "pairs drawn by chance" in page
    assert "0.875" in page and "Fewer labels" not in page and "No learning" not in page
    assert "video is still to come" in page


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"true_return": 4.0}, "The true reward taught nothing here"),
        ({"labels": 11}, "labels12: 11, 11 labels were given; no more pairs of clips were left to ask"),
    ],
)
def test_a_reader_is_warned(tmp_path: Path, settings: dict[str, float], warning: str) -> None:
    finished(tmp_path, **settings)  # type: ignore[arg-type]
    assert warning in write_report(tmp_path).read_text()


def test_closing_lines_give_each_agents_return(tmp_path: Path) -> None:
    finished(tmp_path)
    assert summarise(tmp_path)[:4] == [
        ("untrained", "5.00 [4.00, 6.00]", "true return"),
        ("true_reward", "25.00 [24.00, 26.00]", "the true reward"),
        ("labels12", "20.00 [19.00, 21.00]", "12 labels"),
        ("random", "15.00 [14.00, 16.00]", "pairs drawn by chance, not by disagreement"),
    ]
