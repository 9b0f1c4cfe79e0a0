"""The stages of the main job: what is done, in order, and what each leaves behind (see ``align``)."""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from preflab.data.prompts import distinct_prompts
from preflab.maths.best_of_n import expected_best_of_n, kl_best_of_n
from preflab.maths.statistics import mean_with_interval
from preflab.models.roles import Role
from preflab.models.save import save_policy, save_preference_model
from preflab.recipes.align.config import Config
from preflab.recipes.common.comparison_parts import ComparisonParts, DataResult
from preflab.recipes.common.fitting import Workbench, fit_preference_model
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.policy_optimisation import (
    METHODS,
    policy_method,
    pretraining_rows,
    run_policy_training,
    sampling_engine,
    value_role,
)
from preflab.recipes.common.reply_evaluation import ReplyEvaluation
from preflab.recipes.common.results import PreferenceResult
from preflab.rollouts.engine import Engine
from preflab.run import Run
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.training import PolicyTraining


class Stages:
    """Those of the main job."""

    def __init__(self, config: Config, run: Run) -> None:
        rest = 1 - config.data.held_out_share
        shares = {"train": rest * (1 - config.held_out_pm_share), "judge": rest * config.held_out_pm_share}
        shares["held_out"] = config.data.held_out_share
        models = ModelRoles(run, config.model, scoring_tokens=config.training.max_tokens)
        comparisons = ComparisonParts(run, config.data, models, shares)
        evaluation = ReplyEvaluation(
            run, models, comparisons.held_out_prompts, config.sampling, config.evaluation_prompts, engine=self._engine
        )
        self.config, self.run = config, run
        self.models, self.comparisons, self.evaluation = models, comparisons, evaluation
        self.bench = Workbench(run, models, comparisons, evaluation)

    def data(self) -> DataResult:
        """Load, split, encode; account for everything left out."""
        return self.comparisons.describe(len(self.evaluation.prompts))

    def preference(self) -> PreferenceResult:
        """Fit the preference model that best-of-n and the policy are optimised against."""
        return fit_preference_model(self.bench, self.config.preference, name="pm", part="train", stage="preference")

    def held_out_preference(self) -> PreferenceResult:
        """Fit a second preference model on other comparisons, which nothing is optimised against."""
        return fit_preference_model(
            self.bench, self.config.preference, name="pm_judge", part="judge", stage="preference_judge"
        )

    def best_of_n(self) -> dict[str, Any]:
        """Sample the policy as it was loaded; score every reply by both models; expected score by n."""
        total = self.config.best_of_n
        rollouts = self.evaluation.rollouts("base replies", self.models.reference, total + 1, "base")
        replies = self.evaluation.texts(rollouts)
        scores = {name: self.evaluation.scores(name, replies) for name in ("pm", "pm_judge")}
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
        policy = self.models.role("policy")
        config, label = self.config, METHODS[self.config.algorithm]
        with self._engine(policy, "ppo", max_staleness=config.training.max_staleness) as engine:
            task = PolicyTask(
                policy=policy,
                reference=self.models.reference,
                scorer=self.models.scorer("pm"),
                prompts=distinct_prompts([*self.comparisons.parts["train"], *self.comparisons.parts["judge"]]),
                encoder=self.models.encoder,
                seed=self.run.seed_of("ppo"),
                score_offset=self.run.result("best_of_n")["centre"]["pm"],
                engine=engine,
                pretraining=pretraining_rows(
                    self.run, self.models.encoder, config.pretraining, example_tokens=config.training.ptx.example_tokens
                ),
            )
            method = policy_method(replace(config.training, sampling=config.sampling), self._value)
            training = PolicyTraining(task, method)
            run_policy_training(self.run, "ppo", label, training)
        averages = training.config.ema_decay is not None
        if averages:  # what is measured and exported from here on (Ouyang et al. 2022)
            self.run.save_weights("policy_last", policy.state())
        self.run.save_weights("policy", training.ema_state() if averages else policy.state())
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
        from preflab.recipes.align.measure import compare

        k = self.config.replies_per_prompt
        policy = self.models.role("policy")
        policy.load_state(self.run.load_weights("policy"))
        rollouts = self.evaluation.rollouts("PPO replies", policy, k, "policy")
        texts = self.evaluation.texts(rollouts)
        kl = self.evaluation.log_ratios(policy, self.models.reference, rollouts)
        scores = {name: self.evaluation.scores(name, texts) for name in ("pm", "pm_judge")}
        tokens = {
            "sampled_tokens": sum(len(r.tokens) for rs in rollouts for r in rs),
            "measured_tokens": 4 * sum(len(rs[0].prompt) + sum(len(r.tokens) for r in rs) for rs in rollouts),
            "ended_share": float(np.mean([r.finished for rs in rollouts for r in rs])),
        }
        return tokens | compare(
            [(prompt, category) for prompt, category, _ in self.evaluation.prompts],
            self.run.result("best_of_n"),
            {"texts": texts, **scores},
            kl,
            self.run.metrics("ppo"),
            n=self.config.best_of_n,
            method=METHODS[self.config.algorithm],
        )

    def suites(self) -> dict[str, Any]:
        """The starter suites, before and after."""
        from preflab.recipes.align.suites import measure_suites

        policy = self.models.role("policy")
        policy.load_state(self.run.load_weights("policy"))
        return measure_suites(self, policy)

    def export(self) -> dict[str, Any]:
        """Write what other libraries load: the policy and the preference model."""
        folder, saved = self.run.folder, {}
        with self.run.progress("saving models", 2 if self.run.is_done("ppo") else 1, "models") as advance:
            pad = self.models.encoder.pad_id
            template = self.models.encoder.scoring_template
            save_preference_model(
                self.models.trained_role("pm", head=True),
                folder / "preference_model",
                pad_id=pad,
                chat_template=template,
            )
            saved["preference_model"] = "AutoModelForSequenceClassification"
            advance()
            if self.run.is_done("ppo"):
                policy = self.models.role("policy")
                policy.load_state(self.run.load_weights("policy"))
                save_policy(policy, folder / "policy")
                saved["policy"] = "AutoModelForCausalLM"
                advance()
        return {"saved": saved}

    def _value(self) -> Role:
        """The value model, as the settings say."""
        return value_role(
            self.models.trunk, "value", preference_model="pm", is_separate=self.config.value_model == "model"
        )

    def _engine(self, role: Role, purpose: str, *, max_staleness: int = 0) -> AbstractContextManager[Engine]:
        """In this process, or on the server that the settings name."""
        vllm = replace(self.config.vllm, max_staleness=max_staleness)
        return sampling_engine(self.run, self.models.encoder, role, purpose, sampler=self.config.sampler, vllm=vllm)


def _powers(total: int) -> list[int]:
    """1, 2, 4 ... up to ``total``, which is always there."""
    return sorted({2**k for k in range(total.bit_length()) if 2**k <= total} | {total})
