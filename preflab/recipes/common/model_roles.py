"""The model of a run and the roles it plays: policy, reference, preference models, value model."""

from functools import cached_property
from pathlib import Path
from typing import Any

from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.models.save import check_savable
from preflab.recipes.common.configs import ModelConfig
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.score import PreferenceScorer
from preflab.rollouts.template_probes import template_differences
from preflab.run import Run
from preflab.runner.inputs import guard_input, model_files, text_digest


class ModelRoles:
    """One trunk with its roles by name, loaded when first asked for.

    Args:
        config          which model, and how its roles hold their weights.
        scoring_tokens  tokens per forward pass without gradient.
    """

    def __init__(self, run: Run, config: ModelConfig, *, scoring_tokens: int = 4096) -> None:
        self.run, self.config, self.scoring_tokens = run, config, scoring_tokens

    @cached_property
    def trunk(self) -> Trunk:
        """The model itself; its weights are hashed into the record.

        Raises:
            RunError: the run began with other weights.
        """
        config = self.config
        source = load_language_model(config.policy, precision=config.precision, device=config.device)
        guard_input(
            self.run,
            "weights",
            source=source.location,
            digest=source.sha256,
            files=model_files(config.policy),
            before=self.run.recorded("model").get("sha256"),
        )
        trunk = Trunk(source, None if config.full_finetune else config.adapters, seed=self.run.seed_of("roles"))
        self.run.record(
            "model",
            name=source.name,
            location=source.location.replace(str(Path.home()), "~"),  # a record names no person
            sha256=source.sha256,
            dtype=str(source.model.dtype),
            parameters=sum(p.numel() for p in source.model.parameters()),
        )
        return trunk

    @cached_property
    def encoder(self) -> Encoder:
        """Tokens for the trunk.

        Raises:
            RunError: the run began with another chat template.
        """
        source = self.trunk.source
        template = str(getattr(source.tokenizer, "chat_template", None) or "")
        guard_input(self.run, "chat template", source=source.location, digest=text_digest(template))
        encoder = Encoder(
            source.tokenizer,
            max_tokens=min(self.config.max_context_tokens, source.context_tokens),
            embedding_rows=source.embedding_rows,
            moment=self.run.started,
        )
        self.run.record("model", **self._template_facts(encoder))
        return encoder

    def _template_facts(self, encoder: Encoder) -> dict[str, Any]:
        """What is to be known of a chat template; nothing where it is an ordinary one."""
        facts: dict[str, Any] = {}
        if differences := template_differences(encoder):
            facts["template_differences"] = differences
        if encoder.chat_template.reads_clock:
            facts["template_moment"] = encoder.chat_template.moment.isoformat()
        return facts

    def context_advice(self, reasons: str) -> str:
        """What to do about dialogues that were left out, where some were too long; empty where none was."""
        if "exceed" not in reasons:
            return ""
        limit, setting = self.trunk.source.context_tokens, self.config.max_context_tokens
        if limit <= setting:
            return f"; the model itself reads no more than {limit} tokens, so long dialogues need another model"
        return f"; where they are too long, raise model.max_context_tokens ({setting} now, {limit} at most)"

    def check_savable(self, *, preference_models: int = 0, policies: int = 1) -> None:
        """Find out at the start what would stop the run's models from being saved at its end.

        Raises:
            ModelError, RunError: see `preflab.models.save.check_savable`.
        """
        check_savable(self.trunk.source, self.run.folder, preference_models=preference_models, policies=policies)

    @property
    def reference(self) -> Role:
        """The model as it was loaded."""
        return self.trunk.reference()

    def role(self, name: str, *, head: bool = False) -> Role:
        """The role by that name, made on first use; ``head`` gives a new one a score head."""
        return Role(self.trunk, name) if name in self.trunk.names else self.trunk.add_role(name, head=head)

    def trained_role(self, name: str, *, head: bool = False) -> Role:
        """A role with the weights that its training left in the run."""
        role = self.role(name, head=head)
        role.load_state(self.run.load_weights(name))
        return role

    def scorer(self, name: str) -> PreferenceScorer:
        """A trained preference model as a scorer, nats."""
        return PreferenceScorer(self.trained_role(name, head=True), self.encoder, max_tokens=self.scoring_tokens)
