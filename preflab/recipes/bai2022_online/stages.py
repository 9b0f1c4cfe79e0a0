"""The stages of the recipe ``online``: what is learned in each round, and how the policies do."""

from dataclasses import replace
from typing import Any

import numpy as np

from preflab.data.comparison import Comparison
from preflab.data.prompts import distinct_prompts
from preflab.data.split import split_by_prompt
from preflab.errors import ConfigError, DataError
from preflab.evals.metrics.baselines import bag_of_words_baseline, length_baseline, pair_groups
from preflab.evals.metrics.preference import evaluate_preferences
from preflab.evals.metrics.reply_stats import reply_facts
from preflab.maths.bootstrap import clustered_bootstrap, win_rate
from preflab.maths.statistics import Estimate, mean_with_interval
from preflab.models.roles import Role
from preflab.models.save import save_policy, save_preference_model
from preflab.recipes.bai2022_online.config import Config
from preflab.recipes.bai2022_online.online_study import OnlineStudy, newest
from preflab.recipes.bai2022_online.synthetic_annotators import ScriptedAnnotators
from preflab.recipes.common.comparison_parts import ComparisonParts, DataResult
from preflab.recipes.common.fitting import run_fit
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.reply_evaluation import ReplyEvaluation
from preflab.recipes.common.workbench import Workbench
from preflab.reporting.verdicts import Verdict, claim_above
from preflab.rollouts.encode import Encoded, encode_comparisons
from preflab.rollouts.generate import Rollout
from preflab.rollouts.score import score_rows
from preflab.rollouts.servers.policy_spec import PolicySpec
from preflab.run import Run
from preflab.training.policy_gradient.ppo import PPOTraining
from preflab.training.policy_gradient.rloo import RLOOTraining
from preflab.training.policy_gradient.training import PolicyGradient
from preflab.training.preference import PreferenceTraining

SOURCE = "Bai et al. 2022"
START = "start"
Parts = dict[str, list[Comparison]]


class Stages:
    """Those of iterated online training."""

    def __init__(self, config: Config, run: Run) -> None:
        shares = {"train": 1 - config.data.held_out_share - config.topics_share, "topics": config.topics_share}
        shares = {part: share for part, share in shares.items() if share > 0} | {"held_out": config.data.held_out_share}
        models = ModelRoles(run, config.model, scoring_tokens=config.training.max_tokens)
        comparisons = ComparisonParts(
            run, config.data, models, shares, transform=config.known.label if config.known else None
        )
        evaluation = ReplyEvaluation(
            run, models, comparisons.held_out_prompts, config.sampling, config.evaluation_prompts
        )
        self.config, self.run = config, run
        self.models, self.comparisons, self.evaluation = models, comparisons, evaluation
        self.bench = Workbench(run, models, comparisons, evaluation)
        self.lab = OnlineStudy(config, run)
        self._rounds: dict[int, Parts] = {}
        self._rolled: dict[str, list[list[Rollout]]] = {}

    def close(self) -> None:
        """Give the store back."""
        self.lab.close()

    # data ------------------------------------------------------------------------------------------------

    def data(self) -> DataResult:
        """Load, split, encode; account for everything left out."""
        return self.comparisons.describe(len(self.evaluation.prompts))

    @property
    def topics(self) -> list[str]:
        """What annotators are given to begin with: the user's words of prompts that nothing is trained on."""
        prompts = distinct_prompts(self.comparisons.parts["topics"]) if "topics" in self.comparisons.parts else []
        return list(dict.fromkeys(prompt.messages[-1].text for prompt in prompts))

    def online(self, number: int) -> Parts:
        """What a round taught; conversations that begin alike are in one part. Too few of them are all for training."""
        if number not in self._rounds:
            every = self.lab.comparisons(number)
            shares = {"train": 1 - self.config.data.held_out_share, "held_out": self.config.data.held_out_share}
            try:
                found = split_by_prompt(every, shares, seed=self.run.seed_of(f"split of round {number}"))
            except ConfigError:
                found = {"train": every, "held_out": []}
            self._rounds[number] = found
        return self._rounds[number]

    def _encoded(self, number: int, part: str) -> Encoded:
        """A part of a round (0: of the static comparisons) as rows; what did not fit is recorded."""
        if number == 0:
            return self.comparisons.encoded[part]
        found = encode_comparisons(self.models.encoder, self.online(number)[part])
        counts = {"shortened": found.shortened, "refused": found.refused}
        self.run.record("counts", **{f"round {number}, {part}": counts})
        return found

    # deploying and collecting ----------------------------------------------------------------------------

    def deploy(self, number: int) -> dict[str, Any]:
        """The newest policies answer from now on."""
        return self.lab.deploy(number, self._policies(number), self.topics)

    def _policies(self, number: int) -> list[PolicySpec]:
        """The start policy and those of earlier rounds, as many of the newest as are wanted."""
        config = self.config
        how: dict[str, Any] = {
            "temperature": config.sampling.temperature,
            "max_new_tokens": config.sampling.max_new_tokens,
        }
        trained = {f"round-{k}": str(self.lab.folder(k).resolve()) for k in range(number)}
        every = [PolicySpec(name=START, model=config.model.policy, **how)]
        every += [PolicySpec(name=name, run=run, **how) for name, run in trained.items()]
        chosen = every[-config.snapshots :]
        if config.best_of > 1:
            name, run = list(trained.items())[-1]
            best = f"{name}, best of {config.best_of}"
            chosen.append(PolicySpec(name=best, run=run, best_of=config.best_of, scorer=run, **how))
        return chosen

    def judged(self, number: int) -> bool:
        """Whether a round has all its choices, now or after waiting as the settings say."""
        scripted = self.config.annotators == "scripted"
        annotators = ScriptedAnnotators(self.lab.store, self.config, self.run) if scripted else None
        return self.lab.wait(number, self.topics, annotators.work if annotators else None)

    def collect(self, number: int) -> dict[str, Any]:
        """What was chosen, kept beside the run, and ratings by all choices so far."""
        return self.lab.collect(number)

    # preference models -----------------------------------------------------------------------------------

    def preference_of(self, number: int) -> dict[str, Any]:
        """A new preference model, fitted to the static comparisons and those of all rounds so far."""
        name, parts = f"pm_{number}", [self._encoded(k, "train") for k in range(number + 1)]
        rows, judged = list(parts[0].rows), list(parts[0].comparisons)
        for own in parts[1:]:
            rows += list(own.rows) * self.config.online_copies
            judged += list(own.comparisons) * self.config.online_copies
        seed, stage = self.run.seed_of(f"order of {name}"), f"preference{number}"
        training = PreferenceTraining(
            self.models.role(name, head=True), rows, judged, self.config.preference, seed=seed
        )
        run_fit(self.run, stage, f"preference model {number}", training)
        self.run.save_weights(name, self.models.role(name, head=True).state())
        pairs = [sum(1 for c in own.comparisons for _ in c.pairs(ties=False)) for own in parts]
        return {
            "mix": {_of(k): n * (self.config.online_copies if k else 1) for k, n in enumerate(pairs)},
            "accuracy": {_of(k): self._accuracy(name, k) for k in range(number + 1)},
            "before": self._accuracy(f"pm_{number - 1}", number) if number else None,
            "known": self._agreement(name, number),
            **self._baselines(number),
            "steps": training.total_steps,
            "trained_tokens": sum(m["n_tokens"] for m in self.run.metrics(stage)),
            "measured_tokens": sum(self._encoded(k, "held_out").n_tokens for k in range(number + 1)),
        }

    def _scores(self, name: str, encoded: Encoded) -> list[list[float]]:
        role = self.models.trained_role(name, head=True)
        return [scores.tolist() for scores in score_rows(role, encoded.rows, max_tokens=self.models.scoring_tokens)]

    def _accuracy(self, name: str, number: int) -> Estimate | None:
        """On held-out pairs of a round (0: static ones); None where there are none."""
        held_out = self._encoded(number, "held_out")
        try:
            return evaluate_preferences(self._scores(name, held_out), held_out.comparisons).accuracy
        except DataError:
            return None

    def _baselines(self, number: int) -> dict[str, Any]:
        """What simple rules reach on the held-out pairs of a round."""
        train, held_out = (self._encoded(number, part) for part in ("train", "held_out"))
        try:
            found = [rule(train.comparisons, held_out.comparisons) for rule in (length_baseline, bag_of_words_baseline)]
        except (DataError, ValueError):  # none of one kind, or too few to fit words to
            return {"baselines": {}}
        return {"baselines": {rule.name: clustered_bootstrap(rule.correct, rule.groups) for rule in found}}

    def _agreement(self, name: str, number: int) -> Estimate | None:
        """Share of held-out pairs that a model orders as the annotators truly would, without their errors."""
        known = self.config.known
        if known is None:
            return None
        right, groups, before = list[float](), list[int](), 0
        for k in range(number + 1):
            held_out = self._encoded(k, "held_out")
            own = list(pair_groups(held_out.comparisons)) if held_out.comparisons else []
            pairs = (
                (c, s, p)
                for c, s in zip(held_out.comparisons, self._scores(name, held_out), strict=True)
                for p in c.pairs(ties=False)
            )
            for (comparison, scores, pair), group in zip(pairs, own, strict=True):
                truth = known.truth(comparison.replies[pair.a], comparison.replies[pair.b])
                gap = scores[pair.a] - scores[pair.b]
                if truth:
                    right.append(0.5 if gap == 0 else float((gap > 0) == (truth > 0)))
                    groups.append(before + int(group))
            before += 1 + max((int(group) for group in own), default=0)
        return clustered_bootstrap(np.array(right), np.array(groups)) if right else None

    # policies --------------------------------------------------------------------------------------------

    def policy_of(self, number: int) -> dict[str, Any]:
        """A new policy, trained from the start policy against the round's preference model, and exported."""
        name, stage = f"policy_{number}", f"policy{number}"
        policy = self.models.role(name)
        training = self._training(number, policy)
        if (state := self.run.resume(stage)) is not None:
            training.load_state(state)
        with self.run.progress(f"policy {number}", training.config.steps, "steps", training.step_count) as advance:
            for step in training:
                self.run.log(stage, step=step.step, **step.metrics)
                self.run.checkpoint(stage, training.state)
                advance(note=f"score {step.metrics['score']:+.2f}  KL {step.metrics['kl']:.1f}")
        self.run.save_weights(name, policy.state())
        self._save(number, policy)
        steps = self.run.metrics(stage)
        return {
            "steps": len(steps),
            "stopped": training.stopped,
            "prompts": len(training.prompts),
            "refused_prompts": training.n_refused,
            "sampled_tokens": sum(s["sampled_tokens"] for s in steps),
            "measured_tokens": sum(s["measured_tokens"] for s in steps),
            "trained_tokens": sum(s.get("trained_tokens", 0) for s in steps),
        }

    def _policy(self, name: str) -> Role:
        """A policy whose training has finished."""
        role = self.models.role(name)
        role.load_state(self.run.load_weights(name))
        return role

    def _training(self, number: int, policy: Role) -> PolicyGradient:
        config, trunk, judge = self.config, self.models.trunk, f"pm_{number}"
        taught = [c for k in range(1, number + 1) for c in self.online(k)["train"]]
        prompts = distinct_prompts([*self.comparisons.parts["train"], *taught])
        scorer = self.models.scorer(judge)
        common: dict[str, Any] = {
            "seed": self.run.seed_of(f"policy {number}"),
            "score_offset": float(self.evaluation.scores(judge, self._replies(START)).mean()),
        }
        reference = trunk.reference()
        if config.algorithm == "rloo":
            return RLOOTraining(
                policy, reference, scorer, prompts, self.models.encoder, self._with_sampling(), **common
            )
        value = f"value_{number}"
        head = Role(trunk, value) if value in trunk.names else trunk.add_head(value, on=judge)
        return PPOTraining(
            policy, reference, head, scorer, prompts, self.models.encoder, self._with_sampling(), **common
        )

    def _with_sampling(self) -> Any:
        return replace(self.config.training, sampling=self.config.sampling)

    def _save(self, number: int, policy: Role) -> None:
        """What a deployed policy is opened from: a folder like that of a finished run."""
        folder = self.lab.folder(number)
        folder.mkdir(parents=True, exist_ok=True)
        template, pad = self.models.encoder.scoring_template, self.models.encoder.pad_id
        save_preference_model(
            self.models.trained_role(f"pm_{number}", head=True),
            folder / "preference_model",
            pad_id=pad,
            chat_template=template,
        )
        save_policy(policy, folder / "policy")

    # measuring -------------------------------------------------------------------------------------------

    def _replies(self, who: str) -> list[list[str]]:
        """What a policy says to the held-out prompts: ``start`` or ``policy_<round>``."""
        return self.evaluation.texts(self._said(who))

    def _said(self, who: str) -> list[list[Rollout]]:
        if who not in self._rolled:
            role = self.models.reference if who == START else self._policy(who)
            k = self.config.replies_per_prompt
            self._rolled[who] = self.evaluation.rollouts(f"replies of {who}", role, k, f"replies_{who}")
        return self._rolled[who]

    def measure_of(self, number: int) -> dict[str, Any]:
        """How far a round's policy is from the start policy, and how much better by its own preference model."""
        who, judge = f"policy_{number}", f"pm_{number}"
        rollouts = self._said(who)
        groups = np.repeat(np.arange(len(self.evaluation.prompts)), self.config.replies_per_prompt)
        ours, before = (self.evaluation.scores(judge, self._replies(name)).ravel() for name in (who, START))
        kl = self.evaluation.log_ratios(self._policy(who), self.models.reference, rollouts)
        return {
            "kl": mean_with_interval(kl.ravel(), groups),
            "gain": mean_with_interval(ours - before, groups),
            "known": self._known_gain(who, groups),
            "facts": reply_facts([text for texts in self._replies(who) for text in texts]),
            "ended_share": float(np.mean([r.finished for rs in rollouts for r in rs])),
            "sampled_tokens": sum(len(r.tokens) for rs in rollouts for r in rs),
        }

    def _known_gain(self, who: str, groups: np.ndarray) -> dict[str, Any] | None:
        """By the annotators' known preference: how much more a policy's replies are liked than the start's."""
        known = self.config.known
        if known is None:
            return None
        ours, before = (np.array([known.rate(t) for rs in self._replies(name) for t in rs]) for name in (who, START))
        return {"gain": mean_with_interval(ours - before, groups), "wins": win_rate(ours, before, groups)}

    def compare(self) -> dict[str, Any]:
        """All policies by the last preference model, their ratings, and what of this recipe's claims holds."""
        config = self.config
        last, judge = config.rounds, f"pm_{config.rounds}"
        who = [START, *(f"policy_{k}" for k in range(last + 1))]
        groups = np.repeat(np.arange(len(self.evaluation.prompts)), config.replies_per_prompt)
        scores = {name: self.evaluation.scores(judge, self._replies(name)) for name in who}
        waves = last + bool(config.final_judgements)
        elo = self.run.result(f"collect{waves}")["elo"]
        texts = {name: self._replies(name) for name in who}
        shown = [
            {
                "prompt": prompt.to_json(),
                "category": category,
                "replies": {name: texts[name][i][0] for name in (START, "policy_0", f"policy_{last}")},
                "judge": {name: float(scores[name][i][0]) for name in (START, "policy_0", f"policy_{last}")},
            }
            for i, (prompt, category, _) in enumerate(self.evaluation.prompts)
        ]
        return {
            "gain": {name: mean_with_interval((scores[name] - scores[START]).ravel(), groups) for name in who[1:]},
            "elo": elo,
            "verdicts": self._verdicts(elo, groups),
            "examples": shown[:24],
        }

    def _verdicts(self, elo: dict[str, Any], groups: np.ndarray) -> list[Verdict]:
        last, found = self.config.rounds, list[Verdict]()
        accuracy = self.run.result(f"preference{last}")["accuracy"].get(_of(last))
        if accuracy is not None:
            found.append(
                claim_above(
                    "a preference model of old and new data picks the better of two replies of the newest policies",
                    Estimate.from_json(accuracy),
                    0.5,
                    unit="share",
                    source=SOURCE,
                )
            )
        ratings = {name: Estimate.from_json(rating) for name, rating in elo["ratings"].items()}
        best = newest(ratings, last)
        if best is not None and START in ratings:
            found.append(
                claim_above(
                    f"{best} is rated above the policy that all start from",
                    ratings[best],
                    0.0,
                    unit="Elo",
                    source=SOURCE,
                )
            )
        known = self._known_gain(f"policy_{last}", groups)
        if known is not None:
            found.append(
                claim_above(
                    "the last policy is liked better than the start policy, by the annotators' known preference",
                    known["wins"],
                    0.5,
                    unit="share",
                )
            )
        return found

    def export(self) -> dict[str, Any]:
        """The last round's policy and preference model, as other runs leave theirs."""
        last, folder = self.config.rounds, self.run.folder
        pad, template = self.models.encoder.pad_id, self.models.encoder.scoring_template
        save_preference_model(
            self.models.trained_role(f"pm_{last}", head=True),
            folder / "preference_model",
            pad_id=pad,
            chat_template=template,
        )
        save_policy(self._policy(f"policy_{last}"), folder / "policy")
        saved = {"preference_model": "AutoModelForSequenceClassification", "policy": "AutoModelForCausalLM"}
        return {"saved": saved}


def _of(number: int) -> str:
    """What the data of a round are called."""
    return f"round {number}" if number else "static"
