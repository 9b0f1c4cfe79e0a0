"""Policies trained by PPO, RLOO or REINFORCE: settings, method, value model, sampler and loop that recipes share."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypedDict

from preflab.data.rows import Row
from preflab.data.sources.files import digest_of
from preflab.data.text_corpus import load_texts
from preflab.errors import ConfigError, SamplerError
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.engine import IN_PROCESS, Engine, InProcess
from preflab.rollouts.generate import SamplingConfig
from preflab.rollouts.servers.remote import Server
from preflab.rollouts.servers.vllm import VLLMConfig, VLLMEngine, start_command
from preflab.rollouts.servers.vllm_weights import Weights
from preflab.run import Run
from preflab.runner.inputs import guard_data, record_files
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.config import PolicyGradientConfig
from preflab.training.policy_gradient.method import PolicyGradientMethod
from preflab.training.policy_gradient.ppo import PPO, PPOConfig
from preflab.training.policy_gradient.ptx import rows_of_text
from preflab.training.policy_gradient.reinforce import Reinforce, ReinforceConfig
from preflab.training.policy_gradient.rloo import RLOO, RLOOConfig
from preflab.training.policy_gradient.training import PolicyTraining

METHODS = {"ppo": "PPO", "rloo": "RLOO", "reinforce": "REINFORCE"}
"""What each algorithm is called."""


class SmallBatch(TypedDict):
    """What the three methods have alike at the size of one small machine."""

    prompts_per_step: int
    samples_per_prompt: int
    kl_coefficient: float
    kl_limit: float
    missing_eos_penalty: float
    policy: OptimiserConfig


SMALL_BATCH = SmallBatch(
    prompts_per_step=16,
    samples_per_prompt=4,
    kl_coefficient=0.02,
    kl_limit=30.0,
    missing_eos_penalty=0.5,
    policy=OptimiserConfig(learning_rate=1.5e-3, schedule="constant", warmup_steps=2),
)
"""For adapters on the embedded model."""
VALUE = OptimiserConfig(learning_rate=2e-3, schedule="constant")


def default_ppo(steps: int) -> PPOConfig:
    """PPO for one small machine."""
    return PPOConfig(
        steps=steps,
        **SMALL_BATCH,
        epochs=1,
        minibatches=2,
        value_clip=None,
        gae_lambda=1.0,
        centre_by_prompt=True,
        value_warmup_steps=1,
        value_head_updates=32,
        value=VALUE,
    )


def default_rloo(steps: int) -> RLOOConfig:
    """RLOO for one small machine."""
    return RLOOConfig(steps=steps, **SMALL_BATCH)


def default_reinforce(steps: int) -> ReinforceConfig:
    """REINFORCE for one small machine."""
    return ReinforceConfig(steps=steps, **SMALL_BATCH, value_head_updates=32, value=VALUE)


def check_sampling_is_shared(sampling: SamplingConfig, methods: Mapping[str, PolicyGradientConfig]) -> None:
    """Refuse a method's own ``sampling``: a recipe samples in one way throughout, and says it once.

    Raises:
        ConfigError: a method has another one.
    """
    for name, method in methods.items():
        if method.sampling not in (SamplingConfig(), sampling):
            raise ConfigError(f"{name}.sampling is not read: set sampling, which training and measuring share")


def policy_method(config: PolicyGradientConfig, value: Callable[[], Role]) -> PolicyGradientMethod:
    """The method that these settings are of.

    Args:
        value  makes the value model; called only where the method has one.

    Raises:
        ConfigError: no method has settings of this kind.
    """
    match config:
        case PPOConfig():
            return PPO(config, value())
        case RLOOConfig():
            return RLOO(config)
        case ReinforceConfig():
            return Reinforce(config, value() if config.baseline == "value" else None)
    raise ConfigError(f"expected settings of PPO, RLOO or REINFORCE, found {type(config).__name__}")


def value_role(trunk: Trunk, name: str, *, preference_model: str, is_separate: bool = False) -> Role:
    """The value model by that name: a head on the frozen preference model, or a model of its own starting from it."""
    if name in trunk.names:
        return Role(trunk, name)
    if is_separate:
        return trunk.add_role(name, head=True, start_from=preference_model)
    return trunk.add_head(name, on=preference_model)


@contextmanager
def sampling_engine(
    run: Run, encoder: Encoder, role: Role, purpose: str, *, sampler: str, vllm: VLLMConfig
) -> Iterator[Engine]:
    """Where this role is sampled: in this process, or on the vLLM server at the address ``sampler``.

    Which it was stands in the record under ``purpose``.
    """
    run.record("samplers", **{purpose: sampler})
    if sampler == IN_PROCESS:
        yield InProcess(role, encoder)
        return
    with closing(VLLMEngine(sampler, encoder, run.folder / "pushed", vllm)) as server:
        yield server


def check_sampler(sampler: str, vllm: VLLMConfig, *, max_tokens: int) -> None:
    """Whether a sampler's server is there and serves what the settings name, before anything is trained.

    Raises:
        SamplerError: it is gone, refuses, or serves another model.
    """
    if sampler == IN_PROCESS:
        return
    server = Server(sampler, vllm.server, start=start_command("MODEL", rank=16))
    try:
        Weights(server, Path(), vllm.folder_on_server).base_model(vllm.model, max_tokens=max_tokens)
    finally:
        server.close()


def pretraining_rows(run: Run, encoder: Encoder, path: str | None, *, example_tokens: int) -> list[Row]:
    """The text at ``path`` as rows to mix in, counted in the record; none without a path."""
    if path is None:
        return []
    texts = list(load_texts(path))
    guard_data(run, "pretraining", source=path, digest=digest_of(record_files(path)))
    rows = rows_of_text(encoder, texts, example_tokens=example_tokens)
    run.record("pretraining", documents=len(texts), rows=len(rows), tokens=sum(len(row) for row in rows))
    return rows


def run_policy_training(run: Run, stage: str, label: str, training: PolicyTraining) -> None:
    """Train to the end from the last checkpoint; log and keep every step.

    Raises:
        SamplerError: the sampler failed; the state before the step is kept.
    """
    if (state := run.resume(stage)) is not None:
        training.load_state(state)
    with run.progress(label, training.config.steps, "steps", training.step_count) as advance:
        try:
            for step in training:
                run.log(stage, step=step.step, **step.metrics)
                run.checkpoint(stage, training.state)
                advance(note=f"score {step.metrics['score']:+.2f}  KL {step.metrics['kl']:.1f}")
        except SamplerError:  # a step begins with its replies: without them it has changed nothing
            run.checkpoint(stage, training.state, force=True)
            raise
