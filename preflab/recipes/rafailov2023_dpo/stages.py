"""The stages of the recipe ``dpo``: what is done, in order, and what each leaves behind."""

from typing import Any

import numpy as np

from preflab.data.conversations import group_by_conversation
from preflab.data.rows import Row
from preflab.evals.metrics.baselines import BaselineResult, bag_of_words_baseline, length_baseline, pair_groups
from preflab.evals.metrics.preference import evaluate_preferences, pair_scores
from preflab.evals.metrics.reply_stats import reply_facts
from preflab.maths.bootstrap import win_rate
from preflab.maths.statistics import Estimate, mean_with_interval
from preflab.models.roles import Role
from preflab.models.save import save_policy
from preflab.recipes.common.comparison_parts import ComparisonParts, DataResult
from preflab.recipes.common.fitting import fit_preference_model, run_fit
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.reply_evaluation import ReplyEvaluation
from preflab.recipes.common.results import PreferenceResult
from preflab.recipes.common.supervised import at_ends_of_epochs, loss_change, prompt_groups, token_losses
from preflab.recipes.common.workbench import Workbench
from preflab.recipes.rafailov2023_dpo.config import Config
from preflab.reporting.verdicts import Verdict, claim_above
from preflab.rollouts.encode import encode_conversations, encode_replies
from preflab.rollouts.score import logprob_rows
from preflab.run import Run
from preflab.training.dpo import DPOTraining
from preflab.training.row_pairs import Judgements
from preflab.training.sft import SFTTraining

SOURCE = {"dpo": "Rafailov et al. 2023", "ipo": "Azar et al. 2023"}


class Stages:
    """Those of direct preference optimisation."""

    def __init__(self, config: Config, run: Run) -> None:
        rest = 1 - config.data.held_out_share
        shares = {"train": rest * (1 - config.held_out_pm_share), "judge": rest * config.held_out_pm_share}
        shares = {part: share for part, share in shares.items() if share > 0}
        shares["held_out"] = config.data.held_out_share
        models = ModelRoles(run, config.model, scoring_tokens=2 * config.dpo.max_tokens)
        comparisons = ComparisonParts(run, config.data, models, shares)
        evaluation = ReplyEvaluation(
            run, models, comparisons.held_out_prompts, config.sampling, config.evaluation_prompts
        )
        self.config, self.run = config, run
        self.models, self.comparisons, self.evaluation = models, comparisons, evaluation
        self.bench = Workbench(run, models, comparisons, evaluation)

    def data(self) -> DataResult:
        """Load, split, encode; account for everything left out."""
        return self.comparisons.describe(len(self.evaluation.prompts))

    def preference(self) -> PreferenceResult:
        """Fit the held-out preference model, which nothing is optimised against."""
        return fit_preference_model(
            self.bench, self.config.preference, name="pm_judge", part="judge", stage="preference_judge"
        )

    def sft(self) -> dict[str, Any]:
        """Fine-tune on the best replies of the train part."""
        train, held_out = (
            encode_replies(self.models.encoder, [(c.prompt, c.best()) for c in self.comparisons.parts[part]])
            for part in ("train", "held_out")
        )
        role = self.models.role("sft")
        groups = prompt_groups([c.prompt for c in self.comparisons.parts["held_out"]], held_out)
        before = token_losses(self.models.reference, held_out.rows, groups)
        training = SFTTraining(role, train.rows, self.config.sft, seed=self.run.seed_of("order of sft"))

        def unseen() -> float:
            return token_losses(role, held_out.rows, groups).mean

        besides = at_ends_of_epochs(training.order.steps_per_epoch, unseen)
        run_fit(self.run, "sft", "SFT", training, extra_metrics=besides)
        self.run.save_weights("sft", role.state())
        return {
            **vars(loss_change(before, token_losses(role, held_out.rows, groups))),
            "steps": training.total_steps,
            "trained_tokens": sum(m["n_tokens"] for m in self.run.metrics("sft")),
            "measured_tokens": (2 + self.config.sft.epochs) * held_out.n_tokens,
        }

    def _reference(self) -> Role:
        """What the policy starts from and is held to."""
        if not self.config.sft_first:
            return self.models.reference
        known = "sft" in self.models.trunk.names
        role = self.models.role("sft")
        if not known:
            role.load_state(self.run.load_weights("sft"))
        return role

    def _policy(self, *, finished: bool) -> Role:
        """The policy: where it starts, or as it was trained."""
        self._reference()
        if "policy" not in self.models.trunk.names:
            self.models.trunk.add_role("policy", start_from="sft" if self.config.sft_first else None)
        role = Role(self.models.trunk, "policy")
        if finished:
            role.load_state(self.run.load_weights("policy"))
        return role

    def dpo(self) -> dict[str, Any]:
        """Fit the policy to the train part and hold its implicit rewards against the held-out part."""
        reference, role = self._reference(), self._policy(finished=False)
        rows, judged = self._rows()
        training = DPOTraining(role, reference, rows, judged, self.config.dpo, seed=self.run.seed_of("order of dpo"))

        def prepare() -> None:
            with self.run.progress("reference", training.n_replies, "replies") as advance:
                training.prepare(advance)

        run_fit(self.run, "dpo", self.config.dpo.loss.upper(), training, prepare=prepare)
        self.run.save_weights("policy", role.state())
        steps = self.run.metrics("dpo")
        return {
            **self._held_out(role, reference),
            "steps": training.total_steps,
            "rows": len(training.rows),
            "trained_tokens": sum(m["n_tokens"] for m in steps),
            "measured_tokens": sum(map(len, training.rows)) + 2 * self.comparisons.encoded["held_out"].n_tokens,
            "without_pairs": training.n_without_pairs,
        }

    def _rows(self) -> tuple[list[Row], list[Judgements]]:
        """The train part, each dialogue that was judged several times in one row."""
        train = self.comparisons.encoded["train"]
        if not self.config.trees:
            return train.rows, list(train.comparisons)
        trees = encode_conversations(self.models.encoder, group_by_conversation(train.comparisons))
        return trees.rows, list(trees.comparisons)

    def _held_out(self, role: Role, reference: Role) -> dict[str, Any]:
        """Accuracy of implicit rewards on unseen pairs, against chance and simpler rules."""
        train, held_out = self.comparisons.encoded["train"], self.comparisons.encoded["held_out"]
        own, ref = (logprob_rows(r, held_out.rows, max_tokens=self.models.scoring_tokens) for r in (role, reference))
        averages, beta = self.config.dpo.averages, self.config.dpo.beta
        rewards, likelihood = list[list[float]](), list[list[float]]()
        for ours, theirs in zip(own, ref, strict=True):
            gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
            rewards.append([beta * float(gap.mean() if averages else gap.sum()) for gap in gaps])
            likelihood.append([float(b.mean()) for b in theirs])
        note = "mean log-probability per token under the policy before training"
        before = BaselineResult(
            name="reference likelihood",
            correct=pair_scores(likelihood, held_out.comparisons).correct,
            groups=pair_groups(held_out.comparisons),
            note=note,
        )
        baselines = [
            length_baseline(train.comparisons, held_out.comparisons),
            bag_of_words_baseline(train.comparisons, held_out.comparisons),
            before,
        ]
        report = evaluate_preferences(rewards, held_out.comparisons, baselines)
        source = SOURCE[self.config.dpo.loss]
        verdicts = [
            claim_above("implicit rewards pick the better of two unseen replies", report.accuracy, 0.5, unit="share",
                     source=source)
        ]  # fmt: skip
        verdicts += [
            claim_above(f"... more often than {name}", lead, 0.0, unit="share", source=source)
            for name, lead in report.lead.items()
        ]
        return {
            **report.to_json(),
            "baseline_notes": {b.name: b.note for b in baselines},
            "verdicts": verdicts,
        }

    def measure(self) -> dict[str, Any]:
        """Replies of reference and policy to held-out prompts: KL, what they look like, and which the judge prefers."""
        k = self.config.replies_per_prompt
        reference, policy = self._reference(), self._policy(finished=True)
        base = self.evaluation.rollouts("replies before", reference, k, "base")
        ours = self.evaluation.rollouts("replies after", policy, k, "policy")
        texts = {"before": self.evaluation.texts(base), "after": self.evaluation.texts(ours)}
        groups = np.repeat(np.arange(len(self.evaluation.prompts)), k)
        kl = mean_with_interval(self.evaluation.log_ratios(policy, reference, ours).ravel(), groups)
        scores: dict[str, np.ndarray] = {}
        if self.config.held_out_pm_share > 0:
            scores = {who: self.evaluation.scores("pm_judge", replies) for who, replies in texts.items()}
        return {
            "kl": kl,
            **self._wins(scores, groups, kl),
            "facts": {who: reply_facts([t for rs in replies for t in rs]) for who, replies in texts.items()},
            "ended_share": {
                who: float(np.mean([r.finished for rs in rolled for r in rs]))
                for who, rolled in (("before", base), ("after", ours))
            },
            "examples": self._examples(texts, scores),
            "sampled_tokens": sum(len(r.tokens) for rs in [*base, *ours] for r in rs),
            "measured_tokens": 2 * sum(len(rs[0].prompt) + sum(len(r.tokens) for r in rs) for rs in ours),
        }

    def _wins(self, scores: dict[str, np.ndarray], groups: np.ndarray, kl: Estimate) -> dict[str, Any]:
        """Gain and win rate by the judge; nothing without one."""
        if not scores:
            return {"verdicts": []}
        after, before = (scores[who] for who in ("after", "before"))
        gain = mean_with_interval((after - before).ravel(), groups)
        wins = win_rate(after.ravel(), before.ravel(), groups)
        categories = np.repeat(np.array([category for _, category, _ in self.evaluation.prompts]), after.shape[1])
        named = sorted(set(categories.tolist()) - {""})
        source, name = SOURCE[self.config.dpo.loss], self.config.dpo.loss.upper()
        verdicts: list[Verdict] = [
            claim_above(f"{name} raises the judge's score on unseen prompts (at KL {kl.value:.1f} nats)", gain, 0.0,
                     unit="nats", source=source),
            claim_above(f"{name} wins over its reference by the judge", wins, 0.5, unit="share", source=source),
        ]  # fmt: skip
        by = {
            c: win_rate(after.ravel()[categories == c], before.ravel()[categories == c], groups[categories == c])
            for c in named
        }
        return {"gain": gain, "win_rate": wins, "win_rate_by_category": by, "verdicts": verdicts}

    def _examples(self, texts: dict[str, list[list[str]]], scores: dict[str, np.ndarray]) -> list[dict[str, Any]]:
        """Every prompt with the first reply of each policy, and what the judge thinks of it."""
        return [
            {
                "prompt": prompt.to_json(),
                "category": category,
                "replies": {who: replies[i][0] for who, replies in texts.items()},
                "judge": {who: float(own[i, 0]) for who, own in scores.items()},
            }
            for i, (prompt, category, _) in enumerate(self.evaluation.prompts)
        ]

    def export(self) -> dict[str, Any]:
        """Write what other libraries load."""
        with self.run.progress("saving the policy", 1, "models") as advance:
            save_policy(self._policy(finished=True), self.run.folder / "policy")
            advance()
        return {"saved": {"policy": "AutoModelForCausalLM"}}
