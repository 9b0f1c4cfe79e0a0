"""What the stages of several recipes share: a model with its roles, comparisons in parts, a preference model, samples.

A recipe's own stages are a subclass beside it. What one recipe alone does is not here.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.load import load_comparisons
from preflab.data.prompts import distinct_prompts
from preflab.data.rows import Row
from preflab.data.split import split_by_prompt
from preflab.errors import ConfigError, RunError
from preflab.evals.metrics.baselines import bag_of_words_baseline, length_baseline
from preflab.evals.metrics.preference import evaluate_preferences
from preflab.models.adapters import AdapterConfig
from preflab.models.load import Precision, load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encode import Encoded, Encoder, encode_comparisons, fit_prompt
from preflab.rollouts.engine import Engine, InProcess
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.rollouts.score import PreferenceScorer, logprob_rows, score_rows
from preflab.run import Run
from preflab.training.optimiser import Optimiser
from preflab.training.preference import PreferenceConfig, PreferenceTraining

T = TypeVar("T")
SAMPLING_CHUNK = 8
"""Prompts sampled between two saves."""


@runtime_checkable
class Settings(Protocol):
    """What these stages read of a recipe's settings."""

    @property
    def policy(self) -> str:
        """Name of the model."""
        ...

    @property
    def comparisons(self) -> str:
        """Name of the comparisons."""
        ...

    @property
    def format(self) -> str | None:
        """Of the comparisons."""
        ...

    @property
    def split(self) -> str | None:
        """Of the comparisons."""
        ...

    @property
    def max_comparisons(self) -> int | None:
        """Use only so many."""
        ...

    @property
    def precision(self) -> Precision:
        """Of the arithmetic."""
        ...

    @property
    def device(self) -> str:
        """Where the model lies."""
        ...

    @property
    def max_context_tokens(self) -> int:
        """Longest prompt and reply."""
        ...

    @property
    def full_weights(self) -> bool:
        """No adapters."""
        ...

    @property
    def adapters(self) -> AdapterConfig:
        """Their size."""
        ...

    @property
    def sampling(self) -> SamplingConfig:
        """How replies are drawn."""
        ...

    @property
    def evaluation_prompts(self) -> int:
        """Held-out prompts on which policies are compared."""
        ...


@runtime_checkable
class Fit(Protocol):
    """A training in progress, as those of `preflab.training` that fit to given rows are."""

    total_steps: int
    optimiser: Optimiser

    def __iter__(self) -> Iterator[Any]:
        """Steps with a ``loss``, from wherever the state stands."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All that a resume needs."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        ...


class Workbench:
    """The model with its roles, the comparisons and their parts, and the stages that several recipes have."""

    config: Settings

    def __init__(
        self,
        config: Settings,
        run: Run,
        shares: Mapping[str, float],
        *,
        judges: PreferenceConfig | None = None,
        scoring_tokens: int = 4096,
    ) -> None:
        """Settings and run of a recipe.

        Args:
            shares          name of each part of the comparisons and its share; ``held_out`` is for measuring.
            judges          how preference models are fitted, where the recipe fits any.
            scoring_tokens  tokens per forward pass without gradient.
        """
        self.config, self.run, self.shares = config, run, shares
        self.judges, self.scoring_tokens = judges or PreferenceConfig(), scoring_tokens

    # what is shared --------------------------------------------------------------------------------------

    @cached_property
    def trunk(self) -> Trunk:
        """The policy's model; its weights are hashed into the record."""
        config = self.config
        source = load_language_model(config.policy, precision=config.precision, device=config.device)
        before = self.run.recorded("model").get("sha256")
        if before not in (None, source.sha256):
            raise RunError(
                f"the run began with weights {before[:12]}..., but {source.name} now loads {source.sha256[:12]}... "
                f"from {source.location}; what was measured before would not belong to it"
            )
        trunk = Trunk(source, None if config.full_weights else config.adapters, seed=self.run.seed_of("roles"))
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
        """Tokens for the trunk."""
        source = self.trunk.source
        return Encoder(source.tokenizer, max_tokens=min(self.config.max_context_tokens, source.context_tokens))

    @cached_property
    def parts(self) -> dict[str, list[Comparison]]:
        """Comparisons of each part; no prompt is in two of them."""
        config = self.config
        loaded = load_comparisons(config.comparisons, format=config.format, split=config.split)
        chosen = self._drawn(loaded.comparisons)
        self.run.record(
            "data",
            source=loaded.source,
            format=loaded.format,
            digest=loaded.digest,
            records=loaded.records,
            used=len(chosen),
            refused=loaded.refused,
            first_refused=loaded.first_refused,
        )
        return split_by_prompt(chosen, self.shares, seed=self.run.seed_of("split"))

    @cached_property
    def encoded(self) -> dict[str, Encoded]:
        """Each part as rows; what did not fit is recorded."""
        found = {part: encode_comparisons(self.encoder, comparisons) for part, comparisons in self.parts.items()}
        for part, encoded in found.items():
            if not encoded.rows:
                raise ConfigError(
                    f"no comparison of part {part!r} fits in {self.encoder.max_tokens} tokens; raise max_context_tokens"
                )
            self.run.record("counts", **{part: {"shortened": encoded.shortened, "refused": encoded.refused}})
        return found

    def role(self, name: str) -> Role:
        """A role whose training has finished."""
        role = self._role(name)
        role.load_state(self.run.load_weights(name))
        return role

    def _role(self, name: str, *, head: bool = True) -> Role:
        """The role by that name, made on first use."""
        return Role(self.trunk, name) if name in self.trunk.names else self.trunk.add_role(name, head=head)

    def scorer(self, name: str) -> PreferenceScorer:
        """A finished preference model as a scorer."""
        return PreferenceScorer(self.role(name), self.encoder, max_tokens=self.scoring_tokens)

    @cached_property
    def evaluation(self) -> list[tuple[Dialogue, str, tuple[int, ...]]]:
        """Held-out prompts on which policies are compared: dialogue, category, tokens."""
        prompts = self._held_out_prompts()
        order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(self.run.seed_of("evaluation")))
        room = self.encoder.max_tokens - self.config.sampling.max_new_tokens
        fitted = [(p, c, fit_prompt(self.encoder, p, room=room)) for p, c in (prompts[i] for i in order)]
        return [(p, c, f[0]) for p, c, f in fitted if f is not None][: self.config.evaluation_prompts]

    def _held_out_prompts(self) -> list[tuple[Dialogue, str]]:
        """Prompts that nothing is trained on, each once, with its category."""
        category = {c.prompt: c.category for c in self.parts["held_out"]}
        return [(prompt, category[prompt]) for prompt in distinct_prompts(self.parts["held_out"])]

    def _drawn(self, items: Sequence[T]) -> list[T]:
        """All of them, or as many as the settings say, drawn by the seed, in their order."""
        most = self.config.max_comparisons
        if most is None:
            return list(items)
        generator = torch.Generator().manual_seed(self.run.seed_of("which comparisons"))
        return [items[i] for i in sorted(torch.randperm(len(items), generator=generator)[:most].tolist())]

    # stages ----------------------------------------------------------------------------------------------

    def data(self) -> dict[str, Any]:
        """Load, split, encode; account for everything left out."""
        encoded = self.encoded
        return {
            "comparisons": {part: len(e.comparisons) for part, e in encoded.items()},
            "pairs": {part: sum(1 for c in e.comparisons for _ in c.pairs(ties=False)) for part, e in encoded.items()},
            "tokens": {part: e.n_tokens for part, e in encoded.items()},
            "tokens_pair_by_pair": {part: sum(_pair_tokens(r) for r in e.rows) for part, e in encoded.items()},
            "categories": {part: dict(Counter(c.category for c in e.comparisons)) for part, e in encoded.items()},
            "shortened": {part: e.shortened for part, e in encoded.items()},
            "refused": {part: len(e.refused) for part, e in encoded.items()},
            "evaluation_prompts": len(self.evaluation),
            "stop_token": self.encoder.tokenizer.convert_ids_to_tokens(self.encoder.end_id),
        }

    def preference(self, name: str, part: str) -> dict[str, Any]:
        """Fit one preference model on one part and hold it against the held-out part."""
        train, held_out = self.encoded[part], self.encoded["held_out"]
        role = self._role(name)
        training = PreferenceTraining(
            role,
            train.rows,
            train.comparisons,
            self.judges,
            seed=self.run.seed_of(f"order of {part}"),
        )
        stage = "preference" if name == "pm" else "preference_judge"
        self._fit(stage, f"preference model ({part})", training)
        self.run.save_weights(name, role.state())
        n_replies = sum(len(row.replies) for row in held_out.rows)
        with self.run.progress("  held-out replies", n_replies, "replies") as advance:
            scores = score_rows(role, held_out.rows, progress=advance)
        baselines = [
            length_baseline(train.comparisons, held_out.comparisons),
            bag_of_words_baseline(train.comparisons, held_out.comparisons),
        ]
        report = evaluate_preferences([s.tolist() for s in scores], held_out.comparisons, baselines)
        tokens = sum(m["n_tokens"] for m in self.run.metrics(stage))
        return {
            **report.to_json(),
            "baseline_notes": {b.name: b.note for b in baselines},
            "steps": training.total_steps,
            "trained_tokens": tokens,
            "measured_tokens": held_out.n_tokens,
            "without_pairs": training.n_without_pairs,
        }

    def _fit(
        self,
        stage: str,
        label: str,
        training: Fit,
        *,
        prepare: Callable[[], object] | None = None,
        besides: Callable[[int], Mapping[str, float]] | None = None,
    ) -> None:
        """Go through all steps of a fit, from its last checkpoint on; log and keep each.

        ``prepare`` is done before the first step, and what it leaves in the state is kept at once. ``besides`` is given
        each step's number and says what else to log of it.
        """
        state = self.run.resume(stage)
        if state is not None:
            training.load_state(state)
        elif prepare is not None:
            prepare()
            self.run.checkpoint(stage, training.state, force=True)
        with self.run.progress(label, training.total_steps, "steps", training.optimiser.step_count) as advance:
            for step in training:
                self.run.log(stage, **vars(step), **(besides(step.step) if besides else {}))
                self.run.checkpoint(stage, training.state)
                advance(note=f"loss {step.loss:.3f}")

    # sampling and scoring --------------------------------------------------------------------------------

    def _rollouts(
        self, label: str, role: Role, prompts: Sequence[tuple[int, ...]], n: int, purpose: str
    ) -> list[list[Rollout]]:
        """Sample in chunks; a finished chunk is kept on disk, so that a kill costs one chunk."""
        kept = self.run.partials(purpose)
        found: list[list[Rollout]] = []
        pushed = False
        bar = self.run.progress(label, len(prompts) * n, "replies")
        with bar as advance, self._engine(role, purpose) as engine:
            for start in range(0, len(prompts), SAMPLING_CHUNK):
                chunk = prompts[start : start + SAMPLING_CHUNK]
                key = str(start)
                if key not in kept:
                    seed = self.run.seed_of(f"{purpose} {start}")
                    if not pushed:
                        engine.push(role, 0)
                        pushed = True
                    rolled = engine.generate(chunk, self.config.sampling, n=n, seed=seed)
                    kept[key] = [[[list(r.tokens), list(r.logprobs), r.finished] for r in rs] for rs in rolled]
                    self.run.save_partial(purpose, key, kept[key])
                for prompt, replies in zip(chunk, kept[key], strict=True):
                    found.append([Rollout(prompt, tuple(t), tuple(lp), end) for t, lp, end in replies])
                advance(len(chunk) * n)
        return found

    def _engine(self, role: Role, purpose: str) -> AbstractContextManager[Engine]:
        """Where a role is sampled: in this process, unless a recipe has another place."""
        return nullcontext(InProcess(role, self.encoder))

    def _log_ratios(self, policy: Role, reference: Role, rollouts: list[list[Rollout]]) -> np.ndarray:
        """log policy - log reference of whole replies, nats, [prompt, reply]; their mean estimates KL."""
        rows = [Row.of(rs[0].prompt, *(r.tokens for r in rs)) for rs in rollouts]
        temperature = self.config.sampling.temperature
        own, ref = (logprob_rows(role, rows, temperature=temperature) for role in (policy, reference))
        return np.array(
            [[float((a - b).sum()) for a, b in zip(x, y, strict=True)] for x, y in zip(own, ref, strict=True)]
        )

    def _texts(self, rollouts: list[list[Rollout]]) -> list[list[str]]:
        """What the replies say."""
        return [[self.encoder.text(r.tokens) for r in rs] for rs in rollouts]

    def _score_texts(self, name: str, replies: list[list[str]]) -> np.ndarray:
        """Scores in nats, [prompt, reply]."""
        scorer = self.scorer(name)
        dialogues = [
            prompt.with_reply(text) for (prompt, _, _), rs in zip(self.evaluation, replies, strict=True) for text in rs
        ]
        with self.run.progress(f"  judged by {name}", len(dialogues), "replies") as advance:
            scores = scorer(dialogues, progress=advance)
        return scores.double().numpy().reshape(len(replies), -1)


def _pair_tokens(row: Row) -> int:
    """Tokens a pair-by-pair trainer runs for this row, without padding."""
    k = len(row.replies)
    return (k - 1) * row.path_tokens
