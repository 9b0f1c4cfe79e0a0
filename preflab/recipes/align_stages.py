"""The stages of the main job: what is done, in order, and what each leaves behind (see ``align``)."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.load import load_comparisons
from preflab.data.prompts import distinct_prompts
from preflab.data.rows import Row
from preflab.data.split import split_by_prompt
from preflab.errors import ConfigError, RunError, SamplerError
from preflab.evals.baselines import bag_of_words_baseline, length_baseline
from preflab.evals.preference import evaluate_preferences
from preflab.maths.best_of_n import expected_best_of_n, kl_best_of_n
from preflab.maths.statistics import mean_with_interval
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.models.save import save_policy, save_preference_model
from preflab.recipes.align_policy import METHODS, policy_training, sampling_engine
from preflab.rollouts.encode import Encoded, Encoder, encode_comparisons, fit_prompt
from preflab.rollouts.generate import Rollout
from preflab.rollouts.score import PreferenceScorer, logprob_rows, score_rows
from preflab.run import Run
from preflab.training.preference import PreferenceTraining

if TYPE_CHECKING:
    from preflab.recipes.align import Config

SAMPLING_CHUNK = 8
"""Prompts sampled between two saves."""


class Stages:
    """What the stages share: the model with its roles, the comparisons and their parts."""

    def __init__(self, config: "Config", run: Run) -> None:
        self.config, self.run = config, run

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
        """Train, judge and held-out comparisons; no prompt in two of them."""
        config = self.config
        loaded = load_comparisons(config.comparisons, format=config.format, split=config.split)
        chosen = list(loaded.comparisons)
        if config.max_comparisons is not None:
            generator = torch.Generator().manual_seed(self.run.seed_of("which comparisons"))
            drawn = torch.randperm(len(chosen), generator=generator)[: config.max_comparisons]
            chosen = [chosen[i] for i in sorted(drawn.tolist())]
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
        rest = 1 - config.held_out_share
        shares = {"train": rest * (1 - config.judge_share), "judge": rest * config.judge_share}
        return split_by_prompt(chosen, shares | {"held_out": config.held_out_share}, seed=self.run.seed_of("split"))

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
        return PreferenceScorer(self.role(name), self.encoder, max_tokens=self.config.training.max_tokens)

    @cached_property
    def evaluation(self) -> list[tuple[Dialogue, str, tuple[int, ...]]]:
        """Held-out prompts on which policies are compared: dialogue, category, tokens."""
        category = {c.prompt: c.category for c in self.parts["held_out"]}
        prompts = distinct_prompts(self.parts["held_out"])
        order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(self.run.seed_of("evaluation")))
        room = self.encoder.max_tokens - self.config.sampling.max_new_tokens
        fitted = [(p, category[p], fit_prompt(self.encoder, p, room=room)) for p in (prompts[i] for i in order)]
        return [(p, c, f[0]) for p, c, f in fitted if f is not None][: self.config.evaluation_prompts]

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
            self.config.preference,
            seed=self.run.seed_of(f"order of {part}"),
        )
        stage = "preference" if name == "pm" else "preference_judge"
        if (state := self.run.resume(stage)) is not None:
            training.load_state(state)
        label = f"preference model ({part})"
        with self.run.progress(label, training.total_steps, "steps", training.optimiser.step_count) as advance:
            for step in training:
                self.run.log(stage, **vars(step))
                self.run.checkpoint(stage, training.state)
                advance(note=f"loss {step.loss:.3f}")
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

    def best_of_n(self) -> dict[str, Any]:
        """Sample the policy as it was loaded; score every reply by both models; expected score by n."""
        total = self.config.best_of_n
        prompts = [tokens for _, _, tokens in self.evaluation]
        rollouts = self._rollouts("base replies", self.trunk.reference(), prompts, total + 1, "base")
        replies = self._texts(rollouts)
        scores = {name: self._score_texts(name, replies) for name in ("pm", "pm_judge")}
        pool, judge = scores["pm"][:, 1:], scores["pm_judge"][:, 1:]  # reply 0 is the plain sample
        centre = {name: float(grid[:, 1:].mean()) for name, grid in scores.items()}
        curve = []
        for n in _powers(total):
            curve.append(
                {
                    "n": n,
                    "kl": kl_best_of_n(n),
                    "score": mean_with_interval(expected_best_of_n(pool, pool, n) - centre["pm"]),
                    "judge_score": mean_with_interval(expected_best_of_n(pool, judge, n) - centre["pm_judge"]),
                }
            )
        best = pool.argmax(-1) + 1
        return {
            "curve": curve,
            "centre": centre,
            "sampled_tokens": sum(len(r.tokens) for rs in rollouts for r in rs),
            "measured_tokens": 2 * sum(len(rs[0].prompt) + sum(len(r.tokens) for r in rs) for rs in rollouts),
            "ended_share": float(np.mean([r.finished for rs in rollouts for r in rs])),
            "base": {
                "texts": [r[0] for r in replies],
                "pm": scores["pm"][:, 0].tolist(),
                "pm_judge": scores["pm_judge"][:, 0].tolist(),
            },
            "best": {
                "texts": [r[k] for r, k in zip(replies, best, strict=True)],
                "pm": [float(s[k]) for s, k in zip(scores["pm"], best, strict=True)],
                "pm_judge": [float(s[k]) for s, k in zip(scores["pm_judge"], best, strict=True)],
            },
        }

    def ppo(self) -> dict[str, Any]:
        """Train the policy against the first preference model."""
        policy = self._role("policy", head=False)
        with sampling_engine(self, policy, "ppo", max_staleness=self.config.training.max_staleness) as engine:
            training = policy_training(self, policy, engine)
            if (state := self.run.resume("ppo")) is not None:
                training.load_state(state)
            label, total = METHODS[self.config.algorithm], training.config.steps
            with self.run.progress(label, total, "steps", training.step_count) as advance:
                try:
                    for step in training:
                        self.run.log("ppo", step=step.step, **step.metrics)
                        self.run.checkpoint("ppo", training.state)
                        advance(note=f"score {step.metrics['score']:+.2f}  KL {step.metrics['kl']:.1f}")
                except SamplerError:  # a step begins with its replies: without them it has changed nothing
                    self.run.checkpoint("ppo", training.state, force=True)
                    raise
        if training.ema is not None:  # what is measured and exported from here on (Ouyang et al. 2022)
            self.run.save_weights("policy_last", policy.state())
        self.run.save_weights("policy", policy.state() if training.ema is None else training.ema_state())
        steps = self.run.metrics("ppo")
        return {
            "steps": len(steps),
            "stopped": training.stopped,
            "method": label,
            "prompts": len(training.prompts),
            "refused_prompts": training.n_refused,
            "sampled_tokens": sum(s["sampled_tokens"] for s in steps),
            "measured_tokens": sum(s["measured_tokens"] for s in steps),
            "trained_tokens": sum(s.get("trained_tokens", 0) for s in steps),
            "sampling_seconds": sum(s["sampling_seconds"] for s in steps),
        }

    def measure(self) -> dict[str, Any]:
        """Base against best-of-n and PPO on held-out prompts, judged by both models."""
        from preflab.recipes.align_measure import compare

        k = self.config.replies_per_prompt
        prompts = [tokens for _, _, tokens in self.evaluation]
        policy = self._role("policy", head=False)
        policy.load_state(self.run.load_weights("policy"))
        rollouts = self._rollouts("PPO replies", policy, prompts, k, "policy")
        texts = self._texts(rollouts)
        rows = [Row.of(rs[0].prompt, *(r.tokens for r in rs)) for rs in rollouts]
        temperature = self.config.sampling.temperature
        own, ref = (logprob_rows(r, rows, temperature=temperature) for r in (policy, self.trunk.reference()))
        kl = np.array(
            [[float((a - b).sum()) for a, b in zip(x, y, strict=True)] for x, y in zip(own, ref, strict=True)]
        )
        scores = {name: self._score_texts(name, texts) for name in ("pm", "pm_judge")}
        tokens = {
            "sampled_tokens": sum(len(r.tokens) for rs in rollouts for r in rs),
            "measured_tokens": 4 * sum(len(row) for row in rows),
            "ended_share": float(np.mean([r.finished for rs in rollouts for r in rs])),
        }
        return tokens | compare(
            [(prompt, category) for prompt, category, _ in self.evaluation],
            self.run.result("best_of_n"),
            {"texts": texts, **scores},
            kl,
            self.run.metrics("ppo"),
            n=self.config.best_of_n,
            method=METHODS[self.config.algorithm],
        )

    def export(self) -> dict[str, Any]:
        """Write what other libraries load: the policy and the preference model."""
        folder, saved = self.run.folder, {}
        with self.run.progress("saving models", 2 if self.run.is_done("ppo") else 1, "models") as advance:
            pad = self.encoder.pad_id
            template = self.encoder.scoring_template
            save_preference_model(self.role("pm"), folder / "preference_model", pad_id=pad, chat_template=template)
            saved["preference_model"] = "AutoModelForSequenceClassification"
            advance()
            if self.run.is_done("ppo"):
                policy = self._role("policy", head=False)
                policy.load_state(self.run.load_weights("policy"))
                save_policy(policy, folder / "policy")
                saved["policy"] = "AutoModelForCausalLM"
                advance()
        return {"saved": saved}

    # sampling and scoring --------------------------------------------------------------------------------

    def _rollouts(
        self, label: str, role: Role, prompts: Sequence[tuple[int, ...]], n: int, purpose: str
    ) -> list[list[Rollout]]:
        """Sample in chunks; a finished chunk is kept on disk, so that a kill costs one chunk."""
        kept = self.run.kept(purpose)
        found: list[list[Rollout]] = []
        pushed = False
        bar = self.run.progress(label, len(prompts) * n, "replies")
        with bar as advance, sampling_engine(self, role, purpose) as engine:
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
                    self.run.keep(purpose, key, kept[key])
                for prompt, replies in zip(chunk, kept[key], strict=True):
                    found.append([Rollout(prompt, tuple(t), tuple(lp), end) for t, lp, end in replies])
                advance(len(chunk) * n)
        return found

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


def _powers(total: int) -> list[int]:
    """1, 2, 4 ... up to ``total``, which is always there."""
    return sorted({2**k for k in range(total.bit_length()) if 2**k <= total} | {total})


def _pair_tokens(row: Row) -> int:
    """Tokens a pair-by-pair trainer runs for this row, without padding."""
    k = len(row.replies)
    return (k - 1) * row.path_tokens
