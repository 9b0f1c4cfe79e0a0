"""Stages of an experiment on a walk: the untrained policy, one arm, the comparison; whole recipes are run elsewhere."""

from dataclasses import replace
from pathlib import Path

import pytest

from preflab.control.agents.ppo import PPO, PPOConfig
from preflab.control.loop_config import LoopConfig
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.reward_networks import MLP
from preflab.errors import ConfigError
from preflab.recipes.christiano2017.experiment import compare, run_experiment, train, untrained
from preflab.recipes.christiano2017.experiment_config import Experiment, Parts
from preflab.recipes.christiano2017.results import ArmResult, UntrainedReturns
from preflab.run import Run
from tests.control.walk import Walk

CONFIG = Experiment(
    labels=6,
    arms=("true_reward", "labels6"),
    seeds=2,
    copies=4,
    points=2,
    loop=LoopConfig(steps=320, pretrain_steps=80, queries=6, rollout_steps=20, pretrain_epochs=2, candidates=20),
    ensemble=EnsembleConfig(members=2),
)
PARTS = Parts(
    env=lambda copies, seed: Walk(copies),
    agent=lambda env, seed: PPO(env.spec, PPOConfig(hidden=(8,), epochs=1), seed=seed),
    reward_network=lambda env: MLP(2, 1, hidden=(8,)),
    renderer=lambda: pytest.fail("no video is asked for"),
    episode=5,
)


def test_arms_are_trained_from_the_same_start_and_compared(tmp_path: Path) -> None:
    with Run(tmp_path, CONFIG, recipe="walk", quiet=True) as run:
        start = run.stage("untrained", lambda: untrained(CONFIG, PARTS, run), UntrainedReturns)
        assert len(start.returns) == 2 and start.returns[0] != start.returns[1]
        for seed in range(2):
            for name in CONFIG.arms:
                arm = CONFIG.arm(name)
                work = lambda arm=arm, seed=seed: train(CONFIG, PARTS, run, arm, seed)  # noqa: E731
                result = run.stage(f"{name}-{seed}", work, ArmResult)
                assert result.labels_given == (6 if name == "labels6" else 0)
                assert result.target_std == (1.0 if name == "labels6" else None)
        comparison = compare(CONFIG, run)
    assert comparison.steps == (160.0, 320.0)
    assert comparison.returns.keys() == {"true_reward", "labels6"}
    assert comparison.returns["labels6"].value == pytest.approx(sum(comparison.by_seed["labels6"]) / 2)
    assert comparison.verdicts[0].claim.startswith("6 labels reach 80 %") or len(comparison.verdicts) >= 3


def test_nothing_is_trained_where_no_episode_would_end(tmp_path: Path) -> None:
    with (
        Run(tmp_path, CONFIG, recipe="walk", quiet=True) as run,
        pytest.raises(ConfigError, match="are 80 for each of 4 copies: no episode of 81 would end"),
    ):
        run_experiment(CONFIG, replace(PARTS, episode=81), run)
    assert not list((tmp_path / "results").iterdir())
