"""The plots of the report: what is drawn follows from what is there."""

import math
from pathlib import Path

from preflab.recipes.align.config import Config
from preflab.recipes.align.plots import (
    best_of_n_plots,
    fitting_plots,
    preference_plots,
    report_plots,
    root_kl_plot,
    step_plots,
)
from preflab.recipes.align.results import read_align_results
from tests.recipes.align.results_of import best_of_n, make_run, ppo_step, preference

STEPS = [{"step": i, **ppo_step(i)} for i in range(1, 25)]


def test_a_finished_run_has_every_plot(tmp_path: Path) -> None:
    results = read_align_results(make_run(tmp_path / "run"))
    plots = report_plots(results, {"preference": [{"step": 1, "loss": 0.7, "accuracy": 0.5}], "ppo": STEPS}, Config())
    panels = ("score", "kl", "entropy", "length", "ended", "clip", "explained", "gap", "root_kl")
    assert plots.keys() == {
        *("accuracy", "categories", "reliability", "loss", "training_accuracy", "best_of_n", "best_of_n_kl"),
        *(f"ppo_{panel}" for panel in panels),
        *("wins", "wins_by_category"),
    }
    assert all(svg.startswith("<svg") for svg in plots.values())


def test_nothing_is_drawn_of_what_is_not_there(tmp_path: Path) -> None:
    plots = report_plots(read_align_results(tmp_path), {}, Config())
    assert "best_of_n" not in plots and "wins" not in plots
    assert set(plots.values()) == {""}


def test_a_preference_model_that_is_not_fitted_yet_leaves_its_place_empty() -> None:
    one, both = (preference_plots([preference(), second]) for second in (None, preference()))
    assert 0 < len(one["accuracy"]) < len(both["accuracy"])
    assert set(preference_plots([None, None]).values()) == {""}


def test_passes_are_marked_in_the_loss_where_the_number_of_steps_is_known() -> None:
    steps = [[{"step": i, "loss": 0.7, "accuracy": 0.5} for i in range(1, 9)], []]
    config = Config()
    assert config.preference.epochs == 2
    assert "pass 2" in fitting_plots(steps, [preference(), None], config)["loss"]
    assert "pass 2" not in fitting_plots(steps, [None, None], config)["loss"]


def test_a_limit_of_kl_is_drawn_when_it_comes_near() -> None:
    config = Config().ppo
    assert config.kl_limit == 30.0
    far = step_plots(STEPS, config)["kl"]  # up to 4 nats
    near = step_plots([{"step": i, **ppo_step(i), "kl": float(i)} for i in range(1, 25)], config)["kl"]
    assert ("limit" in near, "limit" in far) == (True, False)


def test_an_estimate_of_kl_below_nothing_stands_at_nothing(tmp_path: Path) -> None:
    below, at = (root_kl_plot([{"kl": kl, "score": 0.5}], read_align_results(tmp_path)) for kl in (-0.2, 0.0))
    assert below == at != ""


def test_best_of_n_is_drawn_by_both_models() -> None:
    plots = best_of_n_plots(best_of_n().curve)
    assert "judged by the first model" in plots["best_of_n"] and "judged by the second model" in plots["best_of_n"]
    assert best_of_n().curve[-1].kl == math.log(16) - 15 / 16
    assert best_of_n_plots([]) == {"best_of_n": "", "best_of_n_kl": ""}
