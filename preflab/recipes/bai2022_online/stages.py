"""The stages of the recipe ``bai2022_online``: what is learned in each round, and how the policies do."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from preflab.data.prompts import distinct_prompts
from preflab.errors import DataError
from preflab.evals.metrics.baselines import bag_of_words_baseline, length_baseline, pair_groups
from preflab.evals.metrics.preference import evaluate_preferences
from preflab.evals.metrics.reply_stats import reply_facts
from preflab.maths.bootstrap import clustered_bootstrap, win_rate
from preflab.maths.statistics import Estimate, mean_with_interval
from preflab.models.roles import Role
from preflab.models.save import save_policy, save_preference_model
from preflab.recipes.bai2022_online.claims import START, verdicts
from preflab.recipes.bai2022_online.config import Config
from preflab.recipes.bai2022_online.online_study import OnlineStudy
from preflab.recipes.bai2022_online.results import (
    CollectResult,
    CompareResult,
    DeployResult,
    MeasureResult,
    PolicyRoundResult,
    PreferenceRoundResult,
    TruePreferenceGain,
    data_name,
)
from preflab.recipes.bai2022_online.round_data import TOPICS, RoundData
from preflab.recipes.bai2022_online.synthetic_annotators import SyntheticAnnotators
from preflab.recipes.common.comparison_parts import HELD_OUT, TRAIN, ComparisonParts, DataResult
from preflab.recipes.common.fitting import run_fit
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.policy_optimisation import policy_method, run_policy_training, value_role
from preflab.recipes.common.reply_evaluation import ReplyEvaluation
from preflab.recipes.common.results import ExportResult
from preflab.rollouts.encode import Encoded
from preflab.rollouts.generate import Rollout
from preflab.rollouts.score import score_rows
from preflab.rollouts.servers.policy_spec import PolicySpec
from preflab.run import Run
from preflab.training.policy_gradient.task import PolicyTask
from preflab.training.policy_gradient.training import PolicyTraining
from preflab.training.preference import PreferenceTraining

MOST_EXAMPLES = 24
"""Prompts whose replies the report shows."""


class Stages:
    """Those of iterated online training."""

    def __init__(self, config: Config, run: Run) -> None:
        shares = {TRAIN: 1 - config.data.held_out_share - config.topics_share, TOPICS: config.topics_share}
        shares = {part: share for part, share in shares.items() if share > 0} | {HELD_OUT: config.data.held_out_share}
        relabel = config.true_preference.label if config.true_preference else None
        self.config, self.run = config, run
        self.models = ModelRoles(run, config.model, scoring_tokens=config.training.max_tokens)
        self.comparisons = ComparisonParts(
            run, config.data, self.models, shares, transform=relabel, unlabelled=(TOPICS,)
        )
        held_out_prompts = self.comparisons.held_out_prompts
        self.evaluation = ReplyEvaluation(
            run, self.models, held_out_prompts, config.sampling, config.evaluation_prompts
        )
        self.study = OnlineStudy(config, run)
        self.rounds = RoundData(run, self.comparisons, self.study)
        self._rollouts: dict[str, list[list[Rollout]]] = {}

    def close(self) -> None:
        """Give the store back."""
        self.study.close()

    def data(self) -> DataResult:
        """Load, split, encode; account for everything left out."""
        self.models.check_savable(preference_models=self.config.rounds + 1, policies=self.config.rounds + 1)
        return self.comparisons.describe(len(self.evaluation.prompts))

    # deploying and collecting ----------------------------------------------------------------------------

    def deploy(self, number: int) -> DeployResult:
        """The newest policies answer from now on."""
        return self.study.deploy(number, self._deployed_policies(number), self.rounds.topics)

    def _deployed_policies(self, number: int) -> list[PolicySpec]:
        """The start policy and those of earlier rounds, as many of the newest as the settings say."""
        config = self.config
        start = PolicySpec(
            name=START,
            model=config.model.policy,
            temperature=config.sampling.temperature,
            max_new_tokens=config.sampling.max_new_tokens,
        )
        folders = {f"round-{k}": str(self.study.folder(k).resolve()) for k in range(number)}
        trained = [replace(start, name=name, model=None, run=folder) for name, folder in folders.items()]
        deployed = [start, *trained][-config.snapshots :]
        if config.best_of > 1:
            newest = trained[-1]
            name = f"{newest.name}, best of {config.best_of}"
            deployed.append(replace(newest, name=name, best_of=config.best_of, scorer=newest.run))
        return deployed

    def is_judged(self, number: int) -> bool:
        """Whether a round has all its choices, now or after waiting as the settings say."""
        is_scripted = self.config.annotators == "scripted"
        annotators = SyntheticAnnotators(self.study.store, self.config, self.run) if is_scripted else None
        return self.study.wait(number, self.rounds.topics, annotators.work if annotators else None)

    def collect(self, number: int) -> CollectResult:
        """What was chosen, kept beside the run, and ratings by all choices so far."""
        return self.study.collect(number)

    # preference models -----------------------------------------------------------------------------------

    def fit_preference_model(self, number: int) -> PreferenceRoundResult:
        """A new preference model, fitted to the static comparisons and those of all rounds so far."""
        name, stage, copies = f"pm_{number}", f"preference{number}", self.config.online_copies
        parts = [self.rounds.encoded(k, TRAIN) for k in range(number + 1)]
        rows, comparisons = list(parts[0].rows), list(parts[0].comparisons)
        for encoded in parts[1:]:
            rows += list(encoded.rows) * copies
            comparisons += list(encoded.comparisons) * copies
        role = self.models.role(name, head=True)
        seed = self.run.seed_of(f"order of {name}")
        training = PreferenceTraining(role, rows, comparisons, self.config.preference, seed=seed)
        run_fit(self.run, stage, f"preference model {number}", training)
        self.run.save_weights(name, role.state())
        pairs = [sum(1 for c in encoded.comparisons for _ in c.pairs(ties=False)) for encoded in parts]
        return PreferenceRoundResult(
            mix={data_name(k): count * (copies if k else 1) for k, count in enumerate(pairs)},
            accuracy={data_name(k): self._accuracy(name, k) for k in range(number + 1)},
            accuracy_of_last_model=self._accuracy(f"pm_{number - 1}", number) if number else None,
            agreement=self._agreement(name, number),
            baselines=self._baselines(number),
            steps=training.total_steps,
            trained_tokens=sum(line["n_tokens"] for line in self.run.metrics(stage)),
            measured_tokens=sum(self.rounds.encoded(k, HELD_OUT).n_tokens for k in range(number + 1)),
        )

    def _scores(self, name: str, encoded: Encoded) -> list[list[float]]:
        """Scores of a trained preference model, nats, a list a row."""
        role, max_tokens = self.models.trained_role(name, head=True), self.models.scoring_tokens
        return [scores.tolist() for scores in score_rows(role, encoded.rows, max_tokens=max_tokens)]

    def _accuracy(self, name: str, number: int) -> Estimate | None:
        """On held-out pairs of a round (0: static ones); None where there are none."""
        held_out = self.rounds.encoded(number, HELD_OUT)
        try:
            return evaluate_preferences(self._scores(name, held_out), held_out.comparisons).accuracy
        except DataError:
            return None

    def _baselines(self, number: int) -> dict[str, Estimate]:
        """What simple rules reach on the held-out pairs of a round; empty where they cannot be applied."""
        train, held_out = (self.rounds.encoded(number, part) for part in (TRAIN, HELD_OUT))
        try:
            rules = [rule(train.comparisons, held_out.comparisons) for rule in (length_baseline, bag_of_words_baseline)]
        except (DataError, ValueError):  # none of one kind, or too few to fit a bag of words to
            return {}
        return {rule.name: clustered_bootstrap(rule.correct, rule.groups) for rule in rules}

    def _agreement(self, name: str, number: int) -> Estimate | None:
        """Share of held-out pairs that a model orders as the annotators truly would, without their errors."""
        true_preference = self.config.true_preference
        if true_preference is None:
            return None
        correct, groups, first_group = list[float](), list[int](), 0
        for k in range(number + 1):
            held_out = self.rounds.encoded(k, HELD_OUT)
            round_groups = list(pair_groups(held_out.comparisons)) if held_out.comparisons else []
            pairs = (
                (comparison, scores, pair)
                for comparison, scores in zip(held_out.comparisons, self._scores(name, held_out), strict=True)
                for pair in comparison.pairs(ties=False)
            )
            for (comparison, scores, pair), group in zip(pairs, round_groups, strict=True):
                truth = true_preference.truth(comparison.replies[pair.a], comparison.replies[pair.b])
                gap = scores[pair.a] - scores[pair.b]
                if truth:
                    correct.append(0.5 if gap == 0 else float((gap > 0) == (truth > 0)))
                    groups.append(first_group + int(group))
            first_group += 1 + max((int(group) for group in round_groups), default=0)
        return clustered_bootstrap(np.array(correct), np.array(groups)) if correct else None

    # policies --------------------------------------------------------------------------------------------

    def train_policy(self, number: int) -> PolicyRoundResult:
        """A new policy, trained from the start policy against the round's preference model, and exported."""
        name, stage = f"policy_{number}", f"policy{number}"
        policy = self.models.role(name)
        training = self._policy_training(number, policy)
        run_policy_training(self.run, stage, f"policy {number}", training)
        self.run.save_weights(name, policy.state())
        self._save_models(self.study.folder(number), number, policy)
        steps = self.run.metrics(stage)
        return PolicyRoundResult(
            steps=len(steps),
            stopped=training.stopped,
            prompts=len(training.prompts),
            refused_prompts=training.n_refused,
            sampled_tokens=sum(line["sampled_tokens"] for line in steps),
            measured_tokens=sum(line["measured_tokens"] for line in steps),
            trained_tokens=sum(line.get("trained_tokens", 0) for line in steps),
        )

    def _policy_training(self, number: int, policy: Role) -> PolicyTraining:
        config, preference_model = self.config, f"pm_{number}"
        task = PolicyTask(
            policy=policy,
            reference=self.models.reference,
            scorer=self.models.scorer(preference_model),
            prompts=distinct_prompts([c for k in range(number + 1) for c in self.rounds.parts(k)[TRAIN]]),
            encoder=self.models.encoder,
            seed=self.run.seed_of(f"policy {number}"),
            score_offset=float(self.evaluation.scores(preference_model, self._replies(START)).mean()),
        )
        method = policy_method(
            replace(config.training, sampling=config.sampling),
            lambda: value_role(self.models.trunk, f"value_{number}", preference_model=preference_model),
        )
        return PolicyTraining(task, method)

    def _save_models(self, folder: Path, number: int, policy: Role) -> None:
        """A round's policy and preference model, as a finished run leaves them; a deployed policy is opened from it."""
        folder.mkdir(parents=True, exist_ok=True)
        template, pad_id = self.models.encoder.scoring_template, self.models.encoder.pad_id
        preference_model = self.models.trained_role(f"pm_{number}", head=True)
        save_preference_model(preference_model, folder / "preference_model", pad_id=pad_id, chat_template=template)
        save_policy(policy, folder / "policy")

    # measuring -------------------------------------------------------------------------------------------

    def _rollouts_of(self, policy: str) -> list[list[Rollout]]:
        """Replies to the held-out prompts of ``start`` or ``policy_<round>``."""
        if policy not in self._rollouts:
            role = self.models.reference if policy == START else self.models.trained_role(policy)
            n, purpose = self.config.replies_per_prompt, f"replies_{policy}"
            self._rollouts[policy] = self.evaluation.rollouts(f"replies of {policy}", role, n, purpose)
        return self._rollouts[policy]

    def _replies(self, policy: str) -> list[list[str]]:
        """The same as text, [prompt, reply]."""
        return self.evaluation.texts(self._rollouts_of(policy))

    @property
    def _prompt_groups(self) -> np.ndarray:
        """Number of the prompt of each reply, flattened."""
        return np.repeat(np.arange(len(self.evaluation.prompts)), self.config.replies_per_prompt)

    def measure(self, number: int) -> MeasureResult:
        """How far a round's policy is from the start policy, and how much better by its own preference model."""
        policy, preference_model = f"policy_{number}", f"pm_{number}"
        rollouts, groups = self._rollouts_of(policy), self._prompt_groups
        scores, start_scores = (
            self.evaluation.scores(preference_model, self._replies(name)).ravel() for name in (policy, START)
        )
        log_ratios = self.evaluation.log_ratios(self.models.trained_role(policy), self.models.reference, rollouts)
        return MeasureResult(
            kl=mean_with_interval(log_ratios.ravel(), groups),
            gain=mean_with_interval(scores - start_scores, groups),
            true_gain=self._true_gain(policy),
            facts=reply_facts([text for texts in self._replies(policy) for text in texts]),
            ended_share=float(np.mean([rollout.finished for replies in rollouts for rollout in replies])),
            sampled_tokens=sum(len(rollout.tokens) for replies in rollouts for rollout in replies),
        )

    def _true_gain(self, policy: str) -> TruePreferenceGain | None:
        """By the annotators' known preference: how much more a policy's replies are liked than the start's."""
        true_preference = self.config.true_preference
        if true_preference is None:
            return None
        ratings, start_ratings = (
            np.array([true_preference.rate(text) for texts in self._replies(name) for text in texts])
            for name in (policy, START)
        )
        groups = self._prompt_groups
        return TruePreferenceGain(
            gain=mean_with_interval(ratings - start_ratings, groups), wins=win_rate(ratings, start_ratings, groups)
        )

    def compare(self) -> CompareResult:
        """All policies by the last preference model, their ratings, and what of this recipe's claims holds."""
        last, groups = self.config.rounds, self._prompt_groups
        policies = [START, *(f"policy_{k}" for k in range(last + 1))]
        scores = {name: self.evaluation.scores(f"pm_{last}", self._replies(name)) for name in policies}
        elo = self.run.result(f"collect{last + bool(self.config.final_judgements)}", CollectResult).elo
        accuracy = self.run.result(f"preference{last}", PreferenceRoundResult).accuracy.get(data_name(last))
        shown = dict.fromkeys((START, "policy_0", f"policy_{last}"))
        return CompareResult(
            gain={name: mean_with_interval((scores[name] - scores[START]).ravel(), groups) for name in policies[1:]},
            elo=elo,
            verdicts=verdicts(last, accuracy, elo.ratings, self._true_gain(f"policy_{last}")),
            examples=self.evaluation.examples(
                {name: self._replies(name) for name in shown}, {name: scores[name] for name in shown}
            )[:MOST_EXAMPLES],
        )

    def export(self) -> ExportResult:
        """The last round's policy and preference model, as other runs leave theirs."""
        last = self.config.rounds
        self._save_models(self.run.folder, last, self.models.trained_role(f"policy_{last}"))
        loaders = {"preference_model": "AutoModelForSequenceClassification", "policy": "AutoModelForCausalLM"}
        return ExportResult(loaders)
