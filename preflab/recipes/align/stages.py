"""The stages of the main job: what is done, in order, and what each leaves behind (see ``align``)."""

from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np

from preflab.data.prompts import distinct_prompts
from preflab.models.roles import Role
from preflab.models.save import save_policy, save_preference_model
from preflab.recipes.align.config import Config
from preflab.recipes.align.measure import (
    JudgedScores,
    TrainedReplies,
    best_of_n_curve,
    compare_policies,
    root_kl_fit,
)
from preflab.recipes.align.results import (
    TRAINING_PM,
    BestOfNResult,
    MeanScores,
    MeasureResult,
    PolicyTrainingResult,
    ReplyCounts,
    ScoredReplies,
    SuitesResult,
)
from preflab.recipes.align.suites import measure_suites
from preflab.recipes.common.comparison_parts import HELD_OUT, HELD_OUT_PM_TRAIN, TRAIN, ComparisonParts, DataResult
from preflab.recipes.common.fitting import Workbench, fit_preference_model
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.policy_optimisation import (
    METHODS,
    check_sampler,
    policy_method,
    pretraining_rows,
    run_policy_training,
    sampling_engine,
    value_role,
)
from preflab.recipes.common.reply_evaluation import ReplyEvaluation, ended_share, sampled_tokens, tokens_with_prompts
from preflab.recipes.common.results import HELD_OUT_PM, ExportResult, PreferenceResult
from preflab.rollouts.engine import Engine
from preflab.run import Run
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.training import PolicyTraining

POLICY = "policy"
"""Role, weights and exported folder of the trained policy."""
POLICY_STAGE = "ppo"
"""The stage that trains it, whatever the method."""


class Stages:
    """Those of the main job."""

    def __init__(self, config: Config, run: Run) -> None:
        training_share = 1 - config.data.held_out_share
        shares = {
            TRAIN: training_share * (1 - config.held_out_pm_share),
            HELD_OUT_PM_TRAIN: training_share * config.held_out_pm_share,
            HELD_OUT: config.data.held_out_share,
        }
        models = ModelRoles(run, config.model, scoring_tokens=config.training.max_tokens)
        comparisons = ComparisonParts(run, config.data, models, shares)
        evaluation = ReplyEvaluation(
            run, models, comparisons.held_out_prompts, config.sampling, config.evaluation_prompts, engine=self._engine
        )
        self.config, self.run = config, run
        self.models, self.comparisons, self.evaluation = models, comparisons, evaluation
        self.bench = Workbench(run, models, comparisons, evaluation)

    def check_sampler(self) -> None:
        """Find a sampler that is gone, or serves another model, before anything is trained.

        Raises:
            SamplerError: as it is.
        """
        check_sampler(self.config.sampler, self.config.vllm, max_tokens=self.models.encoder.max_tokens)

    def data(self) -> DataResult:
        """Load, split, encode; account for everything left out."""
        self.models.check_savable(preference_models=1)
        return self.comparisons.describe(len(self.evaluation.prompts))

    def preference(self) -> PreferenceResult:
        """Fit the preference model that best-of-n and the policy are optimised against."""
        return fit_preference_model(
            self.bench, self.config.preference, name=TRAINING_PM, part=TRAIN, stage="preference"
        )

    def held_out_preference(self) -> PreferenceResult:
        """Fit a second preference model on other comparisons, which nothing is optimised against."""
        return fit_preference_model(
            self.bench, self.config.preference, name=HELD_OUT_PM, part=HELD_OUT_PM_TRAIN, stage="preference_judge"
        )

    def best_of_n(self) -> BestOfNResult:
        """Sample the policy as it was loaded; score every reply by both models; expected score by n."""
        most = self.config.best_of_n
        rollouts = self.evaluation.rollouts("base replies", self.models.reference, most + 1, "base")
        replies = self.evaluation.texts(rollouts)
        scores = self._judged(replies)
        candidates = JudgedScores(*(grid[:, 1:] for grid in scores))  # reply 0 is the plain sample
        centre = MeanScores(
            training_pm=float(candidates.training_pm.mean()), held_out_pm=float(candidates.held_out_pm.mean())
        )
        picks = candidates.training_pm.argmax(-1) + 1
        return BestOfNResult(
            curve=best_of_n_curve(candidates, centre, most),
            centre=centre,
            sampled_tokens=sampled_tokens(rollouts),
            measured_tokens=2 * tokens_with_prompts(rollouts),
            ended_share=ended_share(rollouts),
            base=_scored(replies, scores, np.zeros_like(picks)),
            best=_scored(replies, scores, picks),
        )

    def train_policy(self) -> PolicyTrainingResult:
        """Train the policy against the first preference model."""
        policy = self.models.role(POLICY)
        config, label = self.config, METHODS[self.config.algorithm]
        with self._engine(policy, POLICY_STAGE, max_staleness=config.training.max_staleness) as engine:
            task = self._policy_task(policy, engine)  # first: it loads the preference model that a value head reads
            training = PolicyTraining(
                task, policy_method(replace(config.training, sampling=config.sampling), self._value)
            )
            run_policy_training(self.run, POLICY_STAGE, label, training)
        averages = training.config.ema_decay is not None
        if averages:  # what is measured and exported from here on (Ouyang et al. 2022)
            self.run.save_weights("policy_last", policy.state())
        self.run.save_weights(POLICY, training.ema_state() if averages else policy.state())
        steps = self.run.metrics(POLICY_STAGE)
        return PolicyTrainingResult(
            steps=len(steps),
            stopped=training.stopped,
            method=label,
            prompts=len(training.prompts),
            refused_prompts=training.n_refused,
            sampled_tokens=sum(line["sampled_tokens"] for line in steps),
            measured_tokens=sum(line["measured_tokens"] for line in steps),
            trained_tokens=sum(line.get("trained_tokens", 0) for line in steps),
            sampling_seconds=sum(line["sampling_seconds"] for line in steps),
        )

    def _policy_task(self, policy: Role, engine: Engine) -> PolicyTask:
        parts, ptx = self.comparisons.parts, self.config.training.ptx
        return PolicyTask(
            policy=policy,
            reference=self.models.reference,
            scorer=self.models.scorer(TRAINING_PM),
            prompts=distinct_prompts([*parts[TRAIN], *parts[HELD_OUT_PM_TRAIN]]),
            encoder=self.models.encoder,
            seed=self.run.seed_of("ppo"),
            score_offset=self.run.result("best_of_n", BestOfNResult).centre.training_pm,
            engine=engine,
            pretraining=pretraining_rows(
                self.run, self.models.encoder, self.config.pretraining, example_tokens=ptx.example_tokens
            ),
        )

    def measure(self) -> MeasureResult:
        """Base against best-of-n and trained policy on held-out prompts, judged by both models."""
        policy = self.models.trained_role(POLICY)
        rollouts = self.evaluation.rollouts("PPO replies", policy, self.config.replies_per_prompt, "policy")
        texts = self.evaluation.texts(rollouts)
        log_ratios = self.evaluation.log_ratios(policy, self.models.reference, rollouts)
        trained = TrainedReplies(
            texts=texts,
            scores=self._judged(texts),
            log_ratios=log_ratios,
            counts=ReplyCounts(
                sampled_tokens=sampled_tokens(rollouts),
                measured_tokens=4 * tokens_with_prompts(rollouts),
                ended_share=ended_share(rollouts),
            ),
        )
        steps = self.run.metrics(POLICY_STAGE)
        return compare_policies(
            self.evaluation.prompts,
            self.run.result("best_of_n", BestOfNResult),
            trained,
            root_kl_fit([line["kl"] for line in steps], [line["score"] for line in steps]),
            n=self.config.best_of_n,
            method=METHODS[self.config.algorithm],
        )

    def suites(self) -> SuitesResult:
        """The starter suites, before and after."""
        return measure_suites(self.run, self.models, self.models.trained_role(POLICY), self.config.suite_items)

    def export(self) -> ExportResult:
        """Write what other libraries load: the policy and the preference model."""
        has_policy = self.run.is_done(POLICY_STAGE)
        folder, saved = self.run.folder, {"preference_model": "AutoModelForSequenceClassification"}
        with self.run.progress("saving models", 2 if has_policy else 1, "models") as advance:
            save_preference_model(
                self.models.trained_role(TRAINING_PM, head=True),
                folder / "preference_model",
                pad_id=self.models.encoder.pad_id,
                chat_template=self.models.encoder.scoring_template,
            )
            advance()
            if has_policy:
                save_policy(self.models.trained_role(POLICY), folder / POLICY)
                saved[POLICY] = "AutoModelForCausalLM"
                advance()
        return ExportResult(saved)

    def _judged(self, replies: list[list[str]]) -> JudgedScores:
        """Scores of replies by both preference models, nats, [prompt, reply]."""
        return JudgedScores(*(self.evaluation.scores(name, replies) for name in (TRAINING_PM, HELD_OUT_PM)))

    def _value(self) -> Role:
        """The value model, as the settings say."""
        is_separate = self.config.value_model == "model"
        return value_role(self.models.trunk, "value", preference_model=TRAINING_PM, is_separate=is_separate)

    def _engine(self, role: Role, purpose: str, *, max_staleness: int = 0) -> AbstractContextManager[Engine]:
        """In this process, or on the server that the settings name."""
        vllm = replace(self.config.vllm, max_staleness=max_staleness)
        return sampling_engine(self.run, self.models.encoder, role, purpose, sampler=self.config.sampler, vllm=vllm)


def _scored(replies: list[list[str]], scores: JudgedScores, picks: np.ndarray) -> ScoredReplies:
    """One reply of each prompt.

    Args:
        replies  [prompt][reply].
        scores   of them, [prompt, reply].
        picks    number of the reply, [prompt].
    """
    prompts = np.arange(len(picks))
    return ScoredReplies(
        texts=[texts[k] for texts, k in zip(replies, picks.tolist(), strict=True)],
        training_pm=scores.training_pm[prompts, picks].tolist(),
        held_out_pm=scores.held_out_pm[prompts, picks].tolist(),
    )
