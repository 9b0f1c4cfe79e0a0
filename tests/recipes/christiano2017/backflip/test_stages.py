"""Who labels, and how a policy is measured; the whole recipe is run in test_backflip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from preflab.control.agents.ppo import PPO
from preflab.control.rewards.labellers import SynchronousLabeller
from preflab.control.trajectory import rollout
from preflab.recipes.christiano2017.backflip.config import smoke
from preflab.recipes.christiano2017.backflip.hopper import turning_hopper
from preflab.recipes.christiano2017.backflip.stages import mean_height, measure, open_labels
from preflab.recipes.christiano2017.backflip.synthetic_labeller import SyntheticLabeller

for _package in ("PIL", "mujoco", "gymnasium"):
    pytest.importorskip(_package, reason=f"needs the extra 'control' ({_package})")


def test_the_synthetic_labeller_answers_without_a_store(tmp_path: Path) -> None:
    with open_labels(smoke(), tmp_path) as source:
        assert isinstance(source.labeller, SynchronousLabeller)
        assert isinstance(source.labeller.labeller, SyntheticLabeller)
        assert source.archive.folder == tmp_path / "clips" and source.log.labels() == []


def test_people_are_asked_in_a_study_of_the_store(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="needs the extra web")
    from preflab.recipes.christiano2017.human_labeller import HumanClipLabeller

    config = replace(smoke(), labeller="human", store=str(tmp_path / "store.db"))
    with open_labels(config, tmp_path) as source:
        assert isinstance(source.labeller, HumanClipLabeller)
        assert source.labeller.answers() == []
        assert source.labeller.definition.name == "backflip"


def test_measuring_leaves_the_agent_as_it_is_and_gives_the_same_again(tmp_path: Path) -> None:
    config = smoke()
    agent = PPO(turning_hopper(1, seed=0).spec, config.agent)
    before = {name: value.clone() for name, value in agent.state().items()}
    first, second = (measure(agent, config, tmp_path / "x.gif") for _ in range(2))
    assert first == second and first.video == "x.gif" and first.turns.n == config.episodes
    assert (tmp_path / "x.gif").read_bytes().startswith(b"GIF8")
    assert all(bool((value == before[name]).all()) for name, value in agent.state().items())


def test_height_is_the_torsos() -> None:
    env = turning_hopper(2, seed=0)
    trajectory = rollout(env, lambda observations: np.zeros((2, 3)), 1, keep_states=True)
    assert mean_height(trajectory)["height"] == pytest.approx(1.25, abs=0.02)  # it begins upright
