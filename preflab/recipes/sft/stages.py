"""The stages of the recipe ``sft``: what is done, in order, and what each leaves behind."""

from functools import cached_property

from preflab.data.dialogue import Dialogue
from preflab.data.dialogues import load_dialogues
from preflab.data.split import split_dialogues
from preflab.errors import ConfigError
from preflab.evals.metrics.reply_stats import reply_facts
from preflab.models.roles import Role
from preflab.models.save import save_policy
from preflab.recipes.common.comparison_parts import HELD_OUT, TRAIN, ComparisonParts, draw_subset, record_openings
from preflab.recipes.common.fitting import Workbench, run_fit
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.reply_evaluation import ReplyEvaluation
from preflab.recipes.common.results import ExportResult
from preflab.recipes.common.supervised import TokenLosses, at_ends_of_epochs, loss_change, prompt_groups, token_losses
from preflab.recipes.sft.claims import verdicts
from preflab.recipes.sft.config import Config
from preflab.recipes.sft.results import DataResult, MeasureResult, SFTResult
from preflab.rollouts.encode import EncodedDialogues, count_reasons, encode_dialogues, encode_replies
from preflab.run import Run
from preflab.runner.inputs import guard_data
from preflab.training.sft import SFTTraining

PARTS = (TRAIN, HELD_OUT)


class Stages:
    """Those of supervised fine-tuning."""

    def __init__(self, config: Config, run: Run) -> None:
        shares = {TRAIN: 1 - config.data.held_out_share, HELD_OUT: config.data.held_out_share}
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
        loaded = load_dialogues(self.config.dialogues, columns=self.config.data.columns)
        guard_data(
            self.run,
            "dialogues",
            source=loaded.source,
            digest=loaded.digest,
            before=self.run.recorded("data").get("digest"),
        )
        drawn = draw_subset(loaded.dialogues, self.config.data.max_comparisons, self.run)
        self.run.record(
            "data",
            source=loaded.source,
            format="dialogues",
            digest=loaded.digest,
            records=loaded.records,
            used=len(drawn),
            refused=loaded.refused,
            first_refused=loaded.first_refused,
            columns_not_used=loaded.unused,
        )
        record_openings(self.run, drawn, self.shares)
        return split_dialogues(drawn, self.shares, seed=self.run.seed_of("split"))

    @cached_property
    def encoded(self) -> dict[str, EncodedDialogues]:
        """Each part as rows of replies to learn; what did not fit is recorded.

        Raises:
            ConfigError: nothing of a part fits the context.
        """
        encoder = self.models.encoder
        if self.config.dialogues is None:
            encoded_parts = {
                part: encode_replies(encoder, [(c.prompt, c.best()) for c in comparisons])
                for part, comparisons in self.comparisons.parts.items()
            }
        else:
            encoded_parts = {
                part: encode_dialogues(encoder, dialogues, last_only=self.config.last_turn_only)
                for part, dialogues in self.dialogues.items()
            }
        for part, encoded in encoded_parts.items():
            if not encoded.rows:
                reasons = count_reasons(encoded.refused)
                advice = self.models.context_advice(reasons)
                raise ConfigError(f"no reply of part {part!r} can be used: {reasons}{advice}")
            self.run.record("counts", **{part: {"shortened": encoded.shortened, "refused": encoded.refused}})
        return encoded_parts

    @cached_property
    def groups(self) -> list[int]:
        """For each held-out row the number of its prompt."""
        if self.config.dialogues is None:
            return prompt_groups([c.prompt for c in self.comparisons.parts[HELD_OUT]], self.encoded[HELD_OUT])
        return prompt_groups(self.dialogues[HELD_OUT], self.encoded[HELD_OUT])

    def _held_out_prompts(self) -> list[tuple[Dialogue, str]]:
        """Prompts of held-out comparisons, or held-out dialogues up to their last reply."""
        if self.config.dialogues is None:
            return self.comparisons.held_out_prompts()
        return [(prompt, "") for prompt in dict.fromkeys(d.prompt for d in self.dialogues[HELD_OUT] if d.prompt != d)]

    def data(self) -> DataResult:
        """Load, split, encode; account for everything left out."""
        self.models.check_savable()
        parts = self.encoded
        return DataResult(
            rows={part: len(encoded.rows) for part, encoded in parts.items()},
            replies={part: sum(len(row.replies) for row in encoded.rows) for part, encoded in parts.items()},
            reply_tokens={part: encoded.reply_tokens for part, encoded in parts.items()},
            tokens={part: encoded.n_tokens for part, encoded in parts.items()},
            tokens_reply_by_reply={
                part: sum(row.path_tokens for row in encoded.rows) for part, encoded in parts.items()
            },
            shortened={part: encoded.shortened for part, encoded in parts.items()},
            refused={part: len(encoded.refused) for part, encoded in parts.items()},
            prompts=len(set(self.groups)),
        )

    def sft(self) -> SFTResult:
        """Learn the train part; nats per token on the held-out part before, after, and after each pass."""
        config, held_out = self.config.sft, self.encoded[HELD_OUT]
        policy = self.models.role("policy")
        training = SFTTraining(policy, self.encoded[TRAIN].rows, config, seed=self.run.seed_of("order of sft"))

        def held_out_losses(role: Role) -> TokenLosses:
            return token_losses(role, held_out.rows, self.groups, max_tokens=self.models.scoring_tokens)

        before = held_out_losses(self.models.reference)
        extra_metrics = at_ends_of_epochs(training.order.steps_per_epoch, lambda: held_out_losses(policy).mean)
        run_fit(self.run, "sft", "SFT", training, extra_metrics=extra_metrics)
        self.run.save_weights("policy", policy.state())
        change = loss_change(before, held_out_losses(policy))
        steps = self.run.metrics("sft")
        return SFTResult(
            **vars(change),
            verdicts=verdicts(change.gain),
            epochs=[line["held_out_loss"] for line in steps if "held_out_loss" in line],
            steps=training.total_steps,
            trained_tokens=sum(line["n_tokens"] for line in steps),
            measured_tokens=(2 + config.epochs) * held_out.n_tokens,
        )

    def measure(self) -> MeasureResult:
        """One reply before and one after to each of some held-out prompts, to look at."""
        policy = self.models.trained_role("policy")
        rollouts = {
            "before": self.evaluation.rollouts("replies before", self.models.reference, 1, "base"),
            "after": self.evaluation.rollouts("replies after", policy, 1, "policy"),
        }
        texts = {name: self.evaluation.texts(replies) for name, replies in rollouts.items()}
        return MeasureResult(
            facts={name: reply_facts([t for replies in texts[name] for t in replies]) for name in texts if texts[name]},
            examples=self.evaluation.examples(texts),
            sampled_tokens=sum(len(r.tokens) for replies in rollouts.values() for rs in replies for r in rs),
        )

    def export(self) -> ExportResult:
        """Write what other libraries load."""
        with self.run.progress("saving the policy", 1, "models") as advance:
            save_policy(self.models.trained_role("policy"), self.run.folder / "policy")
            advance()
        return ExportResult({"policy": "AutoModelForCausalLM"})
