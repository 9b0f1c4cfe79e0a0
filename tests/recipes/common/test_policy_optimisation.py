"""What recipes share to train policies: the method of settings, value models, samplers, pretraining text, the loop."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from preflab.errors import ConfigError, SamplerError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.recipes.common.policy_optimisation import (
    METHODS,
    SMALL_BATCH,
    check_sampling_is_shared,
    default_ppo,
    default_reinforce,
    default_rloo,
    policy_method,
    pretraining_rows,
    run_policy_training,
    sampling_engine,
    value_role,
)
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.engine import IN_PROCESS, InProcess
from preflab.rollouts.generate import SamplingConfig
from preflab.rollouts.servers.vllm import VLLMConfig, VLLMEngine
from preflab.run import Run
from preflab.training.policy_gradient.config import PolicyGradientConfig
from preflab.training.policy_gradient.ppo import PPO
from preflab.training.policy_gradient.reinforce import Reinforce
from preflab.training.policy_gradient.rloo import RLOO
from preflab.training.policy_gradient.training import PolicyTraining

DEFAULTS: dict[str, Callable[[int], PolicyGradientConfig]] = {
    "ppo": default_ppo,
    "rloo": default_rloo,
    "reinforce": default_reinforce,
}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True, checkpoint_seconds=1e9) as opened:
        yield opened


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    trunk = Trunk(load_language_model("tiny", precision="fp32"), AdapterConfig(rank=2))
    trunk.add_role("pm", head=True)
    trunk.add_role("policy")
    return trunk


@pytest.fixture(scope="module")
def encoder(trunk: Trunk) -> Encoder:
    return Encoder(trunk.source.tokenizer, max_tokens=128)


# settings and methods --------------------------------------------------------------------------------------


def test_the_three_methods_differ_in_nothing_that_they_share() -> None:
    assert DEFAULTS.keys() == METHODS.keys()
    for make in DEFAULTS.values():
        config = make(7)
        assert config.steps == 7
        assert {name: getattr(config, name) for name in SMALL_BATCH} == SMALL_BATCH


def test_a_value_model_is_made_only_for_a_method_that_has_one(trunk: Trunk) -> None:
    made = []

    def value() -> Role:
        made.append(1)
        return Role(trunk, "pm")

    assert isinstance(policy_method(default_rloo(3), value), RLOO)
    plain = policy_method(default_reinforce(3) if default_reinforce(3).baseline == "mean" else default_rloo(3), value)
    assert plain.value_fit is None and made == []
    with_value = policy_method(replace(default_reinforce(3), baseline="value"), value)
    assert isinstance(with_value, Reinforce) and with_value.value_fit is not None
    assert isinstance(policy_method(default_ppo(3), value), PPO)
    assert len(made) == 2


def test_settings_of_no_method_are_refused_by_their_class() -> None:
    with pytest.raises(ConfigError, match="expected settings of PPO, RLOO or REINFORCE, found PolicyGradientConfig"):
        policy_method(PolicyGradientConfig(), lambda: pytest.fail("no value model"))


def test_sampling_is_said_once() -> None:
    shared = SamplingConfig(temperature=0.7)
    same = {"ppo": replace(default_ppo(3), sampling=shared), "rloo": default_rloo(3)}
    check_sampling_is_shared(shared, same)
    other = {"rloo": replace(default_rloo(3), sampling=SamplingConfig(temperature=0.9))}
    with pytest.raises(ConfigError, match=r"rloo\.sampling is not read: set sampling"):
        check_sampling_is_shared(shared, same | other)


# models ----------------------------------------------------------------------------------------------------


def test_a_value_model_is_a_head_on_the_preference_model_or_a_model_that_starts_from_it(trunk: Trunk) -> None:
    head = value_role(trunk, "v_head", preference_model="pm")
    separate = value_role(trunk, "v_model", preference_model="pm", is_separate=True)
    assert head.is_only_head and not separate.is_only_head
    start = Role(trunk, "pm").state()
    assert all(torch.equal(weight, start[name]) for name, weight in separate.state().items())
    assert set(head.weights()) == {name for name in start if name.startswith("head.")}


def test_a_value_model_that_is_there_is_taken_as_it_stands(trunk: Trunk) -> None:
    first = value_role(trunk, "v_again", preference_model="pm")
    with torch.no_grad():
        for weight in first.weights().values():
            weight.add_(1.0)
    second = value_role(trunk, "v_again", preference_model="pm")
    assert all(torch.equal(weight, first.state()[name]) for name, weight in second.state().items())


# samplers --------------------------------------------------------------------------------------------------


def test_a_role_is_sampled_in_process_or_on_the_server_and_the_record_says_where(
    run: Run, trunk: Trunk, encoder: Encoder
) -> None:
    policy = Role(trunk, "policy")
    settings = {"vllm": VLLMConfig()}
    with sampling_engine(run, encoder, policy, "ppo", sampler=IN_PROCESS, **settings) as engine:
        assert isinstance(engine, InProcess) and engine.role is policy
    closed = []
    with sampling_engine(run, encoder, policy, "measure", sampler="http://127.0.0.1:9", **settings) as server:
        assert isinstance(server, VLLMEngine)
        close = server.close
        server.close = lambda: (closed.append(1), close())[1]  # type: ignore[func-returns-value, method-assign]
    assert closed == [1]
    assert run.recorded("samplers") == {"ppo": IN_PROCESS, "measure": "http://127.0.0.1:9"}


# pretraining -----------------------------------------------------------------------------------------------


def test_text_becomes_rows_that_are_counted(run: Run, encoder: Encoder, tmp_path: Path) -> None:
    assert pretraining_rows(run, encoder, None, example_tokens=8) == []
    assert run.recorded("pretraining") == {}
    path = tmp_path / "text.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("a" * 40, "b" * 30)))
    rows = pretraining_rows(run, encoder, str(path), example_tokens=8)
    assert run.recorded("pretraining") == {"documents": 2, "rows": len(rows), "tokens": sum(map(len, rows))}
    assert len(rows) >= 70 // 9 and max(map(len, rows)) <= 9


# the loop --------------------------------------------------------------------------------------------------


class PlannedTraining(PolicyTraining):
    """Counts its steps; the sampler is gone before the step numbered ``fails_at``."""

    def __init__(self, steps: int, fails_at: int | None = None) -> None:
        self.config = PolicyGradientConfig(steps=steps)
        self.fails_at, self.step_count = fails_at, 0

    def __iter__(self) -> Iterator[Any]:
        while self.step_count < self.config.steps:
            if self.step_count == self.fails_at:
                raise SamplerError("the server is gone")
            self.step_count += 1
            yield SimpleNamespace(step=self.step_count, metrics={"score": 0.5, "kl": float(self.step_count)})

    def state(self) -> dict[str, Tensor]:
        return {"step": torch.tensor(self.step_count)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.step_count = int(state["step"])


def test_every_step_is_logged(run: Run) -> None:
    run_policy_training(run, "ppo", "PPO", PlannedTraining(2))
    assert run.metrics("ppo") == [{"stage": "ppo", "step": k, "score": 0.5, "kl": float(k)} for k in (1, 2)]


def test_when_the_sampler_goes_all_steps_before_are_kept(tmp_path: Path) -> None:
    """The time for a checkpoint had not come: without saving at once, steps 1 to 3 would be lost."""
    with (
        Run(tmp_path / "run", {}, recipe="x", quiet=True, checkpoint_seconds=1e9) as run,
        pytest.raises(SamplerError, match="the server is gone"),
    ):
        run_policy_training(run, "ppo", "PPO", PlannedTraining(5, fails_at=3))
    with Run(tmp_path / "run", {}, recipe="x", quiet=True, checkpoint_seconds=1e9) as run:
        training = PlannedTraining(5)
        run_policy_training(run, "ppo", "PPO", training)
        assert training.step_count == 5
        assert [line["step"] for line in run.metrics("ppo")] == [1, 2, 3, 4, 5]
