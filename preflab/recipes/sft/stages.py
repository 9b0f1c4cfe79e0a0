"""The stages of the recipe ``sft``: what is done, in order, and what each leaves behind."""

from functools import cached_property
from typing import Any

from preflab.data.dialogue import Dialogue
from preflab.data.dialogues import load_dialogues
from preflab.data.split import split_dialogues
from preflab.errors import ConfigError
from preflab.evals.metrics.reply_stats import reply_facts
from preflab.models.roles import Role
from preflab.models.save import save_policy
from preflab.recipes.common.comparison_parts import ComparisonParts, draw_subset
from preflab.recipes.common.fitting import run_fit
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.reply_evaluation import ReplyEvaluation
from preflab.recipes.common.supervised import at_ends_of_epochs, before_and_after, prompt_groups, token_losses
from preflab.recipes.common.workbench import Workbench
from preflab.recipes.sft.config import Config
from preflab.reporting.verdicts import claim_above
from preflab.rollouts.encode import EncodedDialogues, encode_dialogues, encode_replies
from preflab.run import Run
from preflab.training.sft import SFTTraining

PARTS = ("train", "held_out")


class Stages:
    """Those of supervised fine-tuning."""

    def __init__(self, config: Config, run: Run) -> None:
        shares = {"train": 1 - config.data.held_out_share, "held_out": config.data.held_out_share}
        self.shares = shares
        models = ModelRoles(run, config.model, scoring_tokens=2 * config.sft.max_tokens)
        comparisons = ComparisonParts(run, config.data, models, shares)
        evaluation = ReplyEvaluation(run, models, self._held_out_prompts, config.sampling, config.evaluation_prompts)
        self.config, self.run = config, run
        self.models, self.comparisons, self.evaluation = models, comparisons, evaluation
        self.bench = Workbench(run, models, comparisons, evaluation)

    @cached_property
    def dialogues(self) -> dict[str, list[Dialogue]]:
        """Dialogues of each part; no two parts hold dialogues that begin alike."""
        assert self.config.dialogues is not None
        loaded = load_dialogues(self.config.dialogues)
        chosen = draw_subset(loaded.dialogues, self.config.data.max_comparisons, self.run)
        self.run.record(
            "data",
            source=loaded.source,
            format="dialogues",
            digest=loaded.digest,
            records=loaded.records,
            used=len(chosen),
            refused=loaded.refused,
            first_refused=loaded.first_refused,
        )
        return split_dialogues(chosen, self.shares, seed=self.run.seed_of("split"))

    @cached_property
    def learned(self) -> dict[str, EncodedDialogues]:
        """Each part as rows of replies to learn; what did not fit is recorded."""
        if self.config.dialogues is None:
            pairs = {part: [(c.prompt, c.best()) for c in own] for part, own in self.comparisons.parts.items()}
            found = {part: encode_replies(self.models.encoder, own) for part, own in pairs.items()}
        else:
            last = self.config.last_turn_only
            found = {
                part: encode_dialogues(self.models.encoder, own, last_only=last) for part, own in self.dialogues.items()
            }
        for part, own in found.items():
            if not own.rows:
                limit = self.models.encoder.max_tokens
                raise ConfigError(f"no reply of part {part!r} fits in {limit} tokens; raise model.max_context_tokens")
            self.run.record("counts", **{part: {"shortened": own.shortened, "refused": own.refused}})
        return found

    @cached_property
    def groups(self) -> list[int]:
        """For each held-out row the number of its prompt."""
        if self.config.dialogues is None:
            return prompt_groups([c.prompt for c in self.comparisons.parts["held_out"]], self.learned["held_out"])
        return prompt_groups(self.dialogues["held_out"], self.learned["held_out"])

    def _held_out_prompts(self) -> list[tuple[Dialogue, str]]:
        """Prompts of held-out comparisons, or held-out dialogues up to their last reply."""
        if self.config.dialogues is None:
            return self.comparisons.held_out_prompts()
        return [(prompt, "") for prompt in dict.fromkeys(d.prompt for d in self.dialogues["held_out"] if d.prompt != d)]

    def data(self) -> dict[str, Any]:
        """Load, split, encode; account for everything left out."""
        learned = self.learned
        return {
            "rows": {part: len(own.rows) for part, own in learned.items()},
            "replies": {part: sum(len(row.replies) for row in own.rows) for part, own in learned.items()},
            "reply_tokens": {part: own.reply_tokens for part, own in learned.items()},
            "tokens": {part: own.n_tokens for part, own in learned.items()},
            "tokens_reply_by_reply": {part: sum(row.path_tokens for row in own.rows) for part, own in learned.items()},
            "shortened": {part: own.shortened for part, own in learned.items()},
            "refused": {part: len(own.refused) for part, own in learned.items()},
            "prompts": len(set(self.groups)),
        }

    def _policy(self) -> Role:
        return self.models.role("policy")

    def sft(self) -> dict[str, Any]:
        """Learn the train part; nats per token on the held-out part before, after, and after each pass."""
        train, held_out = self.learned["train"], self.learned["held_out"]
        before = token_losses(self.models.reference, held_out.rows, self.groups, max_tokens=self.models.scoring_tokens)
        role = self._policy()
        training = SFTTraining(role, train.rows, self.config.sft, seed=self.run.seed_of("order of sft"))

        def unseen() -> float:
            return token_losses(role, held_out.rows, self.groups, max_tokens=self.models.scoring_tokens).mean

        run_fit(
            self.run, "sft", "SFT", training, extra_metrics=at_ends_of_epochs(training.order.steps_per_epoch, unseen)
        )
        self.run.save_weights("policy", role.state())
        after = token_losses(role, held_out.rows, self.groups, max_tokens=self.models.scoring_tokens)
        numbers = before_and_after(before, after)
        claim = "unseen replies become more probable"
        steps = self.run.metrics("sft")
        return {
            **numbers,
            "verdicts": [claim_above(claim, numbers["gain"], 0.0, unit="nats", source="Stiennon et al. 2020")],
            "epochs": [m["held_out_loss"] for m in steps if "held_out_loss" in m],
            "steps": training.total_steps,
            "trained_tokens": sum(m["n_tokens"] for m in steps),
            "measured_tokens": (2 + self.config.sft.epochs) * held_out.n_tokens,
        }

    def measure(self) -> dict[str, Any]:
        """One reply before and one after to each of some held-out prompts, to look at."""
        policy = self._policy()
        policy.load_state(self.run.load_weights("policy"))
        before = self.evaluation.rollouts("replies before", self.models.reference, 1, "base")
        after = self.evaluation.rollouts("replies after", policy, 1, "policy")
        texts = {"before": self.evaluation.texts(before), "after": self.evaluation.texts(after)}
        return {
            "facts": {who: reply_facts([r for rs in own for r in rs]) for who, own in texts.items() if own},
            "examples": [
                {
                    "prompt": prompt.to_json(),
                    "category": category,
                    "replies": {who: own[i][0] for who, own in texts.items()},
                    "judge": {},
                }
                for i, (prompt, category, _) in enumerate(self.evaluation.prompts)
            ],
            "sampled_tokens": sum(len(r.tokens) for rs in [*before, *after] for r in rs),
        }

    def export(self) -> dict[str, Any]:
        """Write what other libraries load."""
        role = self._policy()
        role.load_state(self.run.load_weights("policy"))
        with self.run.progress("saving the policy", 1, "models") as advance:
            save_policy(role, self.run.folder / "policy")
            advance()
        return {"saved": {"policy": "AutoModelForCausalLM"}}
