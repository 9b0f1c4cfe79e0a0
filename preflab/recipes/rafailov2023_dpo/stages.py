"""The stages of the recipe ``rafailov2023_dpo``: what is done, in order, and what each leaves behind."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from preflab.data.conversations import group_by_conversation
from preflab.data.rows import Row
from preflab.evals.metrics.baselines import BaselineResult, bag_of_words_baseline, length_baseline, pair_groups
from preflab.evals.metrics.preference import evaluate_preferences, pair_scores
from preflab.evals.metrics.reply_stats import reply_facts
from preflab.maths.bootstrap import win_rate
from preflab.maths.statistics import Estimate, mean_with_interval
from preflab.models.roles import Role
from preflab.models.save import save_policy
from preflab.recipes.common.comparison_parts import HELD_OUT, HELD_OUT_PM_TRAIN, TRAIN, ComparisonParts, DataResult
from preflab.recipes.common.fitting import Workbench, fit_preference_model, run_fit
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.reply_evaluation import ReplyEvaluation, ended_share, sampled_tokens, tokens_with_prompts
from preflab.recipes.common.results import HELD_OUT_PM, ExportResult, PreferenceResult, SFTResult
from preflab.recipes.common.supervised import at_ends_of_epochs, loss_change, prompt_groups, token_losses
from preflab.recipes.rafailov2023_dpo.claims import implicit_reward_verdicts, policy_verdicts
from preflab.recipes.rafailov2023_dpo.config import Config
from preflab.recipes.rafailov2023_dpo.results import DPOResult, MeasureResult
from preflab.rollouts.encode import encode_conversations, encode_replies
from preflab.rollouts.score import logprob_rows
from preflab.run import Run
from preflab.training.dpo import DPOTraining
from preflab.training.row_pairs import Judgements
from preflab.training.sft import SFTTraining

LogProbs = Sequence[Sequence[Tensor]]
"""Of every token of every reply, nats, [comparison][reply]."""


class HeldOutScores(NamedTuple):
    """The policy's replies against the reference's by the held-out preference model."""

    gain: Estimate
    win_rate: Estimate
    win_rate_by_category: dict[str, Estimate]


class Stages:
    """Those of direct preference optimisation."""

    def __init__(self, config: Config, run: Run) -> None:
        training_share = 1 - config.data.held_out_share
        shares = {
            TRAIN: training_share * (1 - config.held_out_pm_share),
            HELD_OUT_PM_TRAIN: training_share * config.held_out_pm_share,
        }
        shares = {part: share for part, share in shares.items() if share > 0}
        shares[HELD_OUT] = config.data.held_out_share
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
        self.models.check_savable()
        return self.comparisons.describe(len(self.evaluation.prompts))

    def preference(self) -> PreferenceResult:
        """Fit the held-out preference model, which nothing is optimised against."""
        return fit_preference_model(
            self.bench, self.config.preference, name=HELD_OUT_PM, part=HELD_OUT_PM_TRAIN, stage="preference_judge"
        )

    def sft(self) -> SFTResult:
        """Fine-tune on the best replies of the train part."""
        train, held_out = (
            encode_replies(self.models.encoder, [(c.prompt, c.best()) for c in self.comparisons.parts[part]])
            for part in (TRAIN, HELD_OUT)
        )
        role = self.models.role("sft")
        groups = prompt_groups([c.prompt for c in self.comparisons.parts[HELD_OUT]], held_out)
        before = token_losses(self.models.reference, held_out.rows, groups)
        training = SFTTraining(role, train.rows, self.config.sft, seed=self.run.seed_of("order of sft"))

        def held_out_loss() -> float:
            return token_losses(role, held_out.rows, groups).mean

        extra_metrics = at_ends_of_epochs(training.order.steps_per_epoch, held_out_loss)
        run_fit(self.run, "sft", "SFT", training, extra_metrics=extra_metrics)
        self.run.save_weights("sft", role.state())
        return SFTResult(
            **vars(loss_change(before, token_losses(role, held_out.rows, groups))),
            steps=training.total_steps,
            trained_tokens=sum(line["n_tokens"] for line in self.run.metrics("sft")),
            measured_tokens=(2 + self.config.sft.epochs) * held_out.n_tokens,
        )

    def _reference(self) -> Role:
        """What the policy starts from and is held to."""
        if not self.config.sft_first:
            return self.models.reference
        is_loaded = "sft" in self.models.trunk.names
        return self.models.role("sft") if is_loaded else self.models.trained_role("sft")

    def _policy(self, *, trained: bool) -> Role:
        """The policy: where it starts, or as it was trained."""
        self._reference()
        if "policy" not in self.models.trunk.names:
            self.models.trunk.add_role("policy", start_from="sft" if self.config.sft_first else None)
        return self.models.trained_role("policy") if trained else Role(self.models.trunk, "policy")

    def dpo(self) -> DPOResult:
        """Fit the policy to the train part and hold its implicit rewards against the held-out part."""
        reference, policy = self._reference(), self._policy(trained=False)
        rows, judgements = self._rows()
        seed = self.run.seed_of("order of dpo")
        training = DPOTraining(policy, reference, rows, judgements, self.config.dpo, seed=seed)

        def prepare() -> None:
            with self.run.progress("reference", training.n_replies, "replies") as advance:
                training.prepare(advance)

        run_fit(self.run, "dpo", self.config.dpo.loss.upper(), training, prepare=prepare)
        self.run.save_weights("policy", policy.state())
        held_out = self.comparisons.encoded[HELD_OUT]
        policy_logprobs, reference_logprobs = (
            logprob_rows(role, held_out.rows, max_tokens=self.models.scoring_tokens) for role in (policy, reference)
        )
        baselines = self._baselines(reference_logprobs)
        rewards = self._implicit_rewards(policy_logprobs, reference_logprobs)
        report = evaluate_preferences(rewards, held_out.comparisons, baselines)
        return DPOResult(
            **vars(report),
            baseline_notes={baseline.name: baseline.note for baseline in baselines},
            verdicts=implicit_reward_verdicts(report, self.config.dpo.loss),
            steps=training.total_steps,
            rows=len(training.rows),
            trained_tokens=sum(line["n_tokens"] for line in self.run.metrics("dpo")),
            measured_tokens=sum(map(len, training.rows)) + 2 * held_out.n_tokens,
            without_pairs=training.n_without_pairs,
        )

    def _rows(self) -> tuple[list[Row], list[Judgements]]:
        """The train part, each dialogue that was judged several times in one row."""
        train = self.comparisons.encoded[TRAIN]
        if not self.config.trees:
            return train.rows, list(train.comparisons)
        trees = encode_conversations(self.models.encoder, group_by_conversation(train.comparisons))
        return trees.rows, list(trees.comparisons)

    def _implicit_rewards(self, policy_logprobs: LogProbs, reference_logprobs: LogProbs) -> list[list[float]]:
        """Nats, [comparison][reply]: beta times the log-ratio, summed or averaged over tokens as in the loss."""
        is_mean, beta = self.config.dpo.averages, self.config.dpo.beta
        rewards = []
        for policy_replies, reference_replies in zip(policy_logprobs, reference_logprobs, strict=True):
            log_ratios = [a - b for a, b in zip(policy_replies, reference_replies, strict=True)]
            rewards.append([beta * float(ratio.mean() if is_mean else ratio.sum()) for ratio in log_ratios])
        return rewards

    def _baselines(self, reference_logprobs: LogProbs) -> list[BaselineResult]:
        """Rules that need no fit to preferences, on held-out pairs."""
        train, held_out = self.comparisons.encoded[TRAIN], self.comparisons.encoded[HELD_OUT]
        likelihoods = [[float(logp.mean()) for logp in replies] for replies in reference_logprobs]
        return [
            length_baseline(train.comparisons, held_out.comparisons),
            bag_of_words_baseline(train.comparisons, held_out.comparisons),
            BaselineResult(
                name="reference likelihood",
                correct=pair_scores(likelihoods, held_out.comparisons).correct,
                groups=pair_groups(held_out.comparisons),
                note="mean log-probability per token under the policy before training",
            ),
        ]

    def measure(self) -> MeasureResult:
        """Replies of reference and policy to held-out prompts: KL, looks, and which the held-out model prefers."""
        n = self.config.replies_per_prompt
        reference, policy = self._reference(), self._policy(trained=True)
        rollouts = {
            "before": self.evaluation.rollouts("replies before", reference, n, "base"),
            "after": self.evaluation.rollouts("replies after", policy, n, "policy"),
        }
        texts = {name: self.evaluation.texts(replies) for name, replies in rollouts.items()}
        groups = np.repeat(np.arange(len(self.evaluation.prompts)), n)
        kl = mean_with_interval(self.evaluation.log_ratios(policy, reference, rollouts["after"]).ravel(), groups)
        scores: dict[str, np.ndarray] = {}
        if self.config.held_out_pm_share > 0:
            scores = {name: self.evaluation.scores(HELD_OUT_PM, replies) for name, replies in texts.items()}
        held_out = self._held_out_scores(scores, groups) if scores else None
        return MeasureResult(
            kl=kl,
            **({} if held_out is None else held_out._asdict()),
            verdicts=[]
            if held_out is None
            else policy_verdicts(held_out.gain, held_out.win_rate, kl, self.config.dpo.loss),
            facts={name: reply_facts([t for replies in texts[name] for t in replies]) for name in texts},
            ended_share={name: ended_share(replies) for name, replies in rollouts.items()},
            examples=self.evaluation.examples(texts, scores),
            sampled_tokens=sum(sampled_tokens(replies) for replies in rollouts.values()),
            measured_tokens=2 * tokens_with_prompts(rollouts["after"]),
        )

    def _held_out_scores(self, scores: dict[str, np.ndarray], groups: np.ndarray) -> HeldOutScores:
        """Gain and win rates.

        Args:
            scores  of ``before`` and ``after``, nats, [prompt, reply].
            groups  number of the prompt of each reply.
        """
        before, after = scores["before"].ravel(), scores["after"].ravel()
        categories = np.repeat(
            np.array([prompt.category for prompt in self.evaluation.prompts]), scores["after"].shape[1]
        )
        in_category = {name: categories == name for name in sorted(set(categories.tolist()) - {""})}
        return HeldOutScores(
            gain=mean_with_interval(after - before, groups),
            win_rate=win_rate(after, before, groups),
            win_rate_by_category={
                name: win_rate(after[mask], before[mask], groups[mask]) for name, mask in in_category.items()
            },
        )

    def export(self) -> ExportResult:
        """Write what other libraries load."""
        with self.run.progress("saving the policy", 1, "models") as advance:
            save_policy(self._policy(trained=True), self.run.folder / "policy")
            advance()
        return ExportResult({"policy": "AutoModelForCausalLM"})
