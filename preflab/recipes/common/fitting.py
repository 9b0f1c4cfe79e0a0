"""Stages that fit: any training to given rows, logged and kept; a preference model held against unseen pairs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from preflab.evals.metrics.baselines import bag_of_words_baseline, length_baseline
from preflab.evals.metrics.preference import evaluate_preferences
from preflab.recipes.common.comparison_parts import HELD_OUT, ComparisonParts
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.reply_evaluation import ReplyEvaluation
from preflab.recipes.common.results import PreferenceResult
from preflab.rollouts.score import score_rows
from preflab.run import Run
from preflab.training.optimiser import Optimiser
from preflab.training.preference import PreferenceConfig, PreferenceTraining


@dataclass(frozen=True)
class Workbench:
    """What a recipe on a language model and comparisons stands on; nothing is loaded before it is asked for.

    A recipe puts these parts together in its ``Stages`` and inherits nothing.
    """

    run: Run
    models: ModelRoles
    """The trunk and the roles it plays."""
    comparisons: ComparisonParts
    """In parts that share no prompt."""
    evaluation: ReplyEvaluation
    """Held-out prompts, and what policies reply to them."""


class FitStep(Protocol):
    """A dataclass of what one step saw and did; all its fields are logged."""

    @property
    def step(self) -> int:
        """Number of the step, from 1."""
        ...

    @property
    def loss(self) -> float:
        """Before the update."""
        ...


@runtime_checkable
class Fit(Protocol):
    """A training in progress, as those of `preflab.training` that fit to given rows are."""

    total_steps: int
    optimiser: Optimiser

    def __iter__(self) -> Iterator[FitStep]:
        """Steps from wherever the state stands."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All that a resume needs."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        ...


def run_fit(
    run: Run,
    stage: str,
    label: str,
    training: Fit,
    *,
    prepare: Callable[[], object] | None = None,
    extra_metrics: Callable[[int], Mapping[str, float]] | None = None,
) -> None:
    """Go through all steps of a fit, from its last checkpoint on; log and checkpoint each.

    Args:
        stage          names the checkpoints and the lines of the log.
        label          of the progress bar.
        prepare        done before the first step; what it leaves in the state is saved at once.
        extra_metrics  from a step's number to what else to log of it.
    """
    state = run.resume(stage)
    if state is not None:
        training.load_state(state)
    elif prepare is not None:
        prepare()
        run.checkpoint(stage, training.state, force=True)
    with run.progress(label, training.total_steps, "steps", training.optimiser.step_count) as advance:
        for step in training:
            run.log(stage, **vars(step), **(extra_metrics(step.step) if extra_metrics else {}))
            run.checkpoint(stage, training.state)
            advance(note=f"loss {step.loss:.3f}")


def fit_preference_model(
    bench: Workbench, config: PreferenceConfig, *, name: str, part: str, stage: str
) -> PreferenceResult:
    """Fit one preference model on one part of the comparisons and hold it against the held-out part.

    Args:
        name   of the role, and of the weights that are kept.
        part   of the comparisons that it learns from.
        stage  under which it is logged.
    """
    run, train, held_out = bench.run, bench.comparisons.encoded[part], bench.comparisons.encoded[HELD_OUT]
    role = bench.models.role(name, head=True)
    training = PreferenceTraining(
        role,
        train.rows,
        train.comparisons,
        config,
        seed=run.seed_of(f"order of {part}"),
    )
    run_fit(run, stage, f"preference model ({part})", training)
    run.save_weights(name, role.state())
    n_replies = sum(len(row.replies) for row in held_out.rows)
    with run.progress("  held-out replies", n_replies, "replies") as advance:
        scores = score_rows(role, held_out.rows, progress=advance)
    baselines = [
        length_baseline(train.comparisons, held_out.comparisons),
        bag_of_words_baseline(train.comparisons, held_out.comparisons),
    ]
    report = evaluate_preferences([s.tolist() for s in scores], held_out.comparisons, baselines)
    return PreferenceResult(
        **vars(report),
        baseline_notes={baseline.name: baseline.note for baseline in baselines},
        steps=training.total_steps,
        trained_tokens=sum(line["n_tokens"] for line in run.metrics(stage)),
        measured_tokens=held_out.n_tokens,
        without_pairs=training.n_without_pairs,
    )
