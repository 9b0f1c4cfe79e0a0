"""Fits that are logged, checkpointed and taken up again, on a fit of three numbers; a preference model on few pairs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from preflab.evals.metrics.preference import evaluate_preferences
from preflab.models.adapters import AdapterConfig
from preflab.recipes.common.comparison_parts import HELD_OUT, ComparisonParts
from preflab.recipes.common.configs import ComparisonDataConfig, ModelConfig
from preflab.recipes.common.fitting import Fit, Workbench, fit_preference_model, run_fit
from preflab.recipes.common.model_roles import ModelRoles
from preflab.recipes.common.reply_evaluation import ReplyEvaluation
from preflab.rollouts.generate import SamplingConfig
from preflab.rollouts.score import score_rows
from preflab.run import Run
from preflab.training.dpo import DPOTraining
from preflab.training.optimiser import Optimiser, OptimiserConfig
from preflab.training.preference import PreferenceConfig, PreferenceTraining
from preflab.training.sft import SFTTraining


@dataclass(frozen=True)
class CountStep:
    step: int
    loss: float


class Counting:
    """A fit whose weight grows by one a step; the loss is 1 / step."""

    def __init__(self, total_steps: int = 4, stop_after: int | None = None) -> None:
        self.total_steps, self.stop_after = total_steps, stop_after
        self.weight = torch.zeros(1)
        self.prepared = torch.zeros(1)
        self.optimiser = Optimiser({"w": nn.Parameter(torch.zeros(1))}, OptimiserConfig(), total_steps=total_steps)

    def __iter__(self) -> Iterator[CountStep]:
        while self.optimiser.step_count < self.total_steps:
            if self.optimiser.step_count == self.stop_after:
                raise KeyboardInterrupt
            self.weight += 1
            self.optimiser.step_count += 1
            yield CountStep(self.optimiser.step_count, 1 / self.optimiser.step_count)

    def state(self) -> dict[str, Tensor]:
        steps = torch.tensor(self.optimiser.step_count)
        return {"weight": self.weight.clone(), "prepared": self.prepared.clone(), "steps": steps}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.weight, self.prepared = state["weight"].clone(), state["prepared"].clone()
        self.optimiser.step_count = int(state["steps"])

    def prepare(self) -> None:
        self.prepared += 1


def opened(folder: Path) -> Run:
    return Run(folder, {}, recipe="x", quiet=True, checkpoint_seconds=0.0)


def test_the_trainings_of_a_recipe_are_fits() -> None:
    methods = {"__iter__", "state", "load_state"}
    assert isinstance(Counting(), Fit) and not isinstance(SimpleNamespace(total_steps=1), Fit)
    for kind in (DPOTraining, PreferenceTraining, SFTTraining):
        assert all(callable(getattr(kind, name, None)) for name in methods), kind


def test_every_step_is_logged_with_what_else_is_known_of_it(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as run:
        run_fit(run, "fit", "a fit", Counting(), extra_metrics=lambda step: {"twice": 2.0 * step} if step > 2 else {})
        assert run.metrics("fit") == [
            {"stage": "fit", "step": 1, "loss": 1.0},
            {"stage": "fit", "step": 2, "loss": 0.5},
            {"stage": "fit", "step": 3, "loss": 1 / 3, "twice": 6.0},
            {"stage": "fit", "step": 4, "loss": 0.25, "twice": 8.0},
        ]


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_a_stopped_fit_goes_on_from_its_last_step_and_is_prepared_once(tmp_path: Path, stop_after: int) -> None:
    with opened(tmp_path / "run") as run, pytest.raises(KeyboardInterrupt):
        first = Counting(stop_after=stop_after)
        run_fit(run, "fit", "a fit", first, prepare=first.prepare)
    with opened(tmp_path / "run") as run:
        second = Counting()
        run_fit(run, "fit", "a fit", second, prepare=second.prepare)
        assert float(second.weight) == 4
        assert float(second.prepared) == 1  # read back, not done again
        assert [line["step"] for line in run.metrics("fit")] == [1, 2, 3, 4]


def test_another_stages_checkpoint_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as run:
        run_fit(run, "first", "one", Counting(total_steps=2))
        training = Counting(total_steps=3)
        run_fit(run, "second", "two", training)
        assert float(training.weight) == 3
        assert [len(run.metrics(stage)) for stage in ("first", "second")] == [2, 3]


# preference models -----------------------------------------------------------------------------------------

RATE = OptimiserConfig(learning_rate=1e-2, schedule="constant")
CONFIG = PreferenceConfig(epochs=2, batch_comparisons=4, optimiser=RATE)


def workbench(run: Run) -> Workbench:
    models = ModelRoles(run, ModelConfig(policy="tiny", precision="fp32", adapters=AdapterConfig(rank=2)))
    parts = ComparisonParts(run, ComparisonDataConfig(max_comparisons=24), models, {"train": 0.7, HELD_OUT: 0.3})
    evaluation = ReplyEvaluation(run, models, parts.held_out_prompts, SamplingConfig(), 2)
    return Workbench(run, models, parts, evaluation)


def test_a_preference_model_is_measured_on_the_held_out_part_and_its_weights_are_kept(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as run:
        bench = workbench(run)
        train, held_out = (bench.comparisons.encoded[part] for part in ("train", HELD_OUT))
        result = fit_preference_model(bench, CONFIG, name="pm", part="train", stage="preference")
        weights, role = run.load_weights("pm"), bench.models.role("pm", head=True)
        assert all(torch.equal(weight, weights[name]) for name, weight in role.state().items())

        scores = [s.tolist() for s in score_rows(role, held_out.rows)]
        assert result.accuracy == evaluate_preferences(scores, held_out.comparisons, []).accuracy
        assert result.measured_tokens == sum(len(row) for row in held_out.rows)
        assert result.trained_tokens == 2 * sum(len(row) for row in train.rows)  # two epochs
        assert result.steps == len(run.metrics("preference")) == 2 * -(-len(train.rows) // 4)
        assert set(result.baseline_notes) == set(result.baselines)
        assert result.without_pairs == sum(not any(c.pairs(ties=CONFIG.ties)) for c in train.comparisons)


def test_the_order_of_comparisons_follows_the_seed_of_the_run(tmp_path: Path) -> None:
    losses = []
    for name in ("a", "b"):
        with opened(tmp_path / name) as run:
            fit_preference_model(workbench(run), CONFIG, name="pm", part="train", stage="preference")
            losses.append([line["loss"] for line in run.metrics("preference")])
    assert losses[0] == losses[1]
    assert len(set(losses[0])) > 1
