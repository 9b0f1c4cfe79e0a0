"""Replies of policies to held-out prompts: sampled, scored, and compared with the reference."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import ConfigError
from preflab.models.roles import Role
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.results import ComparedReplies
from preflab.rollouts.encode import fit_prompts
from preflab.rollouts.engine import Engine, InProcess
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.rollouts.score import logprob_rows
from preflab.run import Run

SAMPLING_CHUNK = 8
"""Prompts sampled between two saves."""

EngineFactory = Callable[[Role, str], AbstractContextManager[Engine]]
"""From a role and the purpose of its replies to where they are sampled."""


class EvaluationPrompt(NamedTuple):
    """A held-out prompt on which policies are compared."""

    dialogue: Dialogue
    category: str
    tokens: tuple[int, ...]


class ReplyEvaluation:
    """Policies sampled on the same held-out prompts, and their replies scored.

    Args:
        held_out_prompts  gives prompts that nothing is trained on, with their categories.
        sampling          how replies are drawn.
        n_prompts         prompts at most, drawn by the run's seed.
        engine            where a role is sampled; None: in this process.
    """

    def __init__(
        self,
        run: Run,
        models: ModelRoles,
        held_out_prompts: Callable[[], Sequence[tuple[Dialogue, str]]],
        sampling: SamplingConfig,
        n_prompts: int,
        *,
        engine: EngineFactory | None = None,
    ) -> None:
        self.run, self.models, self.held_out_prompts = run, models, held_out_prompts
        self.sampling, self.n_prompts, self.engine = sampling, n_prompts, engine

    @cached_property
    def prompts(self) -> list[EvaluationPrompt]:
        """The prompts that fit the context beside a reply and that the chat template takes; the others are recorded.

        Raises:
            ConfigError: there are prompts, and none of them can be used.
        """
        candidates = self.held_out_prompts()
        generator = torch.Generator().manual_seed(self.run.seed_of("evaluation"))
        order = torch.randperm(len(candidates), generator=generator)
        encoder = self.models.encoder
        room = encoder.max_tokens - self.sampling.max_new_tokens
        drawn = [candidates[i] for i in order]
        fitting, refused = fit_prompts(encoder, [dialogue for dialogue, _ in drawn], room=room)
        if refused:
            self.run.record("evaluation", prompts_left_out=refused)
        if candidates and not fitting:
            reasons = "; ".join(f"{count} x {reason}" for reason, count in refused.items())
            raise ConfigError(f"no held-out prompt can be replied to: {reasons}{self.models.context_advice(reasons)}")
        return [
            EvaluationPrompt(dialogue=drawn[i][0], category=drawn[i][1], tokens=tokens) for i, tokens in fitting.items()
        ][: self.n_prompts]

    @property
    def prompt_tokens(self) -> list[tuple[int, ...]]:
        """Tokens of every prompt."""
        return [prompt.tokens for prompt in self.prompts]

    def rollouts(self, label: str, role: Role, n: int, purpose: str) -> list[list[Rollout]]:
        """``n`` replies of a role to every prompt; a kill costs one chunk of prompts at most.

        Args:
            label    of the progress bar.
            purpose  names the saved chunks and seeds the draws.
        """
        saved_chunks = self.run.partials(purpose)
        rollouts: list[list[Rollout]] = []
        prompts, is_pushed = self.prompt_tokens, False
        open_engine = self.engine or (lambda role, purpose: nullcontext(InProcess(role, self.models.encoder)))
        bar = self.run.progress(label, len(prompts) * n, "replies")
        with bar as advance, open_engine(role, purpose) as engine:
            for start in range(0, len(prompts), SAMPLING_CHUNK):
                chunk = prompts[start : start + SAMPLING_CHUNK]
                key = str(start)
                if key not in saved_chunks:
                    seed = self.run.seed_of(f"{purpose} {start}")
                    if not is_pushed:
                        engine.push(role, 0)
                        is_pushed = True
                    sampled = engine.generate(chunk, self.sampling, n=n, seed=seed)
                    saved_chunks[key] = [[[list(r.tokens), list(r.logprobs), r.finished] for r in rs] for rs in sampled]
                    self.run.save_partial(purpose, key, saved_chunks[key])
                for prompt, replies in zip(chunk, saved_chunks[key], strict=True):
                    rollouts.append([Rollout(prompt, tuple(t), tuple(lp), end) for t, lp, end in replies])
                advance(len(chunk) * n)
        return rollouts

    def texts(self, rollouts: Sequence[Sequence[Rollout]]) -> list[list[str]]:
        """Replies as text, [prompt, reply]."""
        return [[self.models.encoder.text(rollout.tokens) for rollout in replies] for replies in rollouts]

    def scores(self, name: str, replies: Sequence[Sequence[str]]) -> Float[np.ndarray, "prompt reply"]:
        """Scores of replies to the prompts by a trained preference model, nats."""
        scorer = self.models.scorer(name)
        dialogues = [
            prompt.dialogue.with_reply(text)
            for prompt, texts in zip(self.prompts, replies, strict=True)
            for text in texts
        ]
        with self.run.progress(f"  judged by {name}", len(dialogues), "replies") as advance:
            scores = scorer(dialogues, progress=advance)
        return scores.double().numpy().reshape(len(replies), -1)

    def examples(
        self,
        texts: Mapping[str, Sequence[Sequence[str]]],
        scores: Mapping[str, Float[np.ndarray, "prompt reply"]] | None = None,
    ) -> list[ComparedReplies]:
        """Every prompt with the first reply of each policy, and its score where there is one.

        Args:
            texts   policy -> replies, [prompt, reply].
            scores  policy -> scores of its replies, nats.
        """
        return [
            ComparedReplies(
                prompt=prompt.dialogue.to_json(),
                category=prompt.category,
                replies={policy: replies[i][0] for policy, replies in texts.items()},
                scores={policy: float(grid[i, 0]) for policy, grid in (scores or {}).items()},
            )
            for i, prompt in enumerate(self.prompts)
        ]

    def log_ratios(
        self, policy: Role, reference: Role, rollouts: Sequence[Sequence[Rollout]]
    ) -> Float[np.ndarray, "prompt reply"]:
        """log policy - log reference of whole replies, nats; their mean estimates KL."""
        rows = [Row.of(replies[0].prompt, *(rollout.tokens for rollout in replies)) for replies in rollouts]
        logp, ref_logp = (
            logprob_rows(role, rows, temperature=self.sampling.temperature) for role in (policy, reference)
        )
        return np.array(
            [[float((a - b).sum()) for a, b in zip(x, y, strict=True)] for x, y in zip(logp, ref_logp, strict=True)]
        )


def sampled_tokens(rollouts: Sequence[Sequence[Rollout]]) -> int:
    """Tokens of all replies."""
    return sum(len(rollout.tokens) for replies in rollouts for rollout in replies)


def tokens_with_prompts(rollouts: Sequence[Sequence[Rollout]]) -> int:
    """Tokens of one pass over all replies, each prompt once."""
    return sum(len(replies[0].prompt) for replies in rollouts) + sampled_tokens(rollouts)


def ended_share(rollouts: Sequence[Sequence[Rollout]]) -> float:
    """Share of the replies that end by themselves."""
    return float(np.mean([rollout.finished for replies in rollouts for rollout in replies]))
