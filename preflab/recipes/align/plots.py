"""The plots of the main job's report, from results and logged steps; each is SVG, or empty where nothing is to plot."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from preflab.maths.statistics import Estimate
from preflab.recipes.align.config import Config
from preflab.recipes.align.results import AlignResults, ByJudge, CurvePoint, MeasureResult
from preflab.recipes.common.results import PreferenceResult
from preflab.reporting.html import Json, metric_series
from preflab.reporting.plots import Frame, Series, curve_plot, dot_plot, reliability_plot
from preflab.training.policy_gradient.config import PolicyGradientConfig

MODELS = ("first model", "second model")
"""What the report calls the preference model that policies are optimised against, and the held-out one."""
CHANCE = ((0.5, "chance"),)


def report_plots(results: AlignResults, metrics: Mapping[str, Sequence[Json]], config: Config) -> dict[str, str]:
    """Every plot by the name that the template has for it.

    Args:
        metrics  stage -> its logged steps.
    """
    models = [results.preference, results.held_out_preference]
    steps = metrics.get("ppo", [])
    plots = preference_plots(models)
    plots |= fitting_plots([metrics.get(stage, []) for stage in ("preference", "preference_judge")], models, config)
    if results.best_of_n is not None:
        plots |= best_of_n_plots(results.best_of_n.curve)
    plots |= {f"ppo_{name}": svg for name, svg in step_plots(steps, config.training).items()}
    plots["ppo_root_kl"] = root_kl_plot(steps, results)
    if results.measure is not None:
        plots |= win_plots(results.measure)
    return plots


def preference_plots(models: Sequence[PreferenceResult | None]) -> dict[str, str]:
    """Both preference models on held-out pairs.

    Args:
        models  the first and the second; None where it is not fitted yet.
    """
    fitted = [model for model in models if model is not None]
    baselines = list(dict.fromkeys(name for model in fitted for name in model.baselines))
    categories = sorted({name for model in fitted for name in model.by_category})
    rows: list[tuple[str, list[Estimate | None]]] = [
        ("preference model", [None if model is None else model.accuracy for model in models]),
        *((name, [None if model is None else model.baselines.get(name) for model in models]) for name in baselines),
    ]
    category_rows = [
        (name, [None if model is None else model.by_category.get(name) for model in models]) for name in categories
    ]
    accuracy = Frame(
        name="accuracy",
        title="Accuracy and baselines",
        x_label="share of unseen pairs judged rightly",
        x_percent=True,
        vlines=CHANCE,
    )
    by_category = replace(accuracy, name="categories", title="Accuracy by category")
    reliability = Frame(
        name="reliability",
        title="Reliability",
        x_label="predicted probability that the first is better",
        y_label="how often it was",
        height=3.4,
    )
    bins = {name: model.calibration for name, model in zip(MODELS, models, strict=True) if model is not None}
    return {
        "accuracy": dot_plot(rows, MODELS, accuracy),
        "categories": dot_plot(category_rows, MODELS, by_category),
        "reliability": reliability_plot(bins, reliability),
    }


def fitting_plots(
    steps_of_models: Sequence[Sequence[Json]], models: Sequence[PreferenceResult | None], config: Config
) -> dict[str, str]:
    """Loss and accuracy while the preference models were fitted.

    Args:
        steps_of_models  logged steps of the first and of the second model.
        models           their results, if any.
    """
    passes = config.preference.epochs
    total = models[0].steps if models[0] is not None else 0
    ends = tuple((total * e / passes + 0.5, f"pass {e + 1}") for e in range(1, passes)) if total else ()
    loss = Frame(
        name="loss",
        title="Loss in training",
        x_label="step",
        y_label="nats per comparison",
        hlines=((math.log(2), "knows nothing: ln 2"),),
        vlines=ends,
        integer_x=True,
    )
    accuracy = replace(loss, name="trainright", title="Accuracy in training", y_label="share of pairs", hlines=CHANCE)

    def curves(key: str) -> list[Series]:
        return [metric_series(MODELS[k], steps, key, colour=k) for k, steps in enumerate(steps_of_models)]

    return {"loss": curve_plot(curves("loss"), loss), "training_accuracy": curve_plot(curves("accuracy"), accuracy)}


def best_of_n_plots(curve: Sequence[CurvePoint]) -> dict[str, str]:
    """Expected score and KL by n."""
    n = [point.n for point in curve]
    scores = ([point.score for point in curve], [point.held_out_score for point in curve])
    series = [
        Series.from_estimates(f"judged by the {MODELS[k]}", n, estimates, colour=k)
        for k, estimates in enumerate(scores)
    ]
    frame = Frame(
        name="bon",
        title="Best-of-n: score by n",
        x_label="n, replies to choose from",
        x_powers_of_two=True,
        y_label="score, nats (base = 0)",
        hlines=((0.0, "base policy"),),
    )
    kl = replace(frame, name="bonkl", title="Best-of-n: KL by n", y_label="KL, nats per reply (at most)", hlines=())
    return {
        "best_of_n": curve_plot(series, frame),
        "best_of_n_kl": curve_plot([Series(label="KL", x=n, y=[point.kl for point in curve], colour=2)], kl),
    }


def step_plots(steps: Sequence[Json], config: PolicyGradientConfig) -> dict[str, str]:
    """Small multiples over the steps of the policy's training.

    Bands are two standard errors, with replies taken as independent.
    """
    replies = config.prompts_per_step * config.samples_per_prompt
    error = [None if s.get("score_std") is None else s["score_std"] / math.sqrt(replies) for s in steps]
    limit = config.kl_limit
    near = ((limit, "limit"),) if limit is not None and max((s["kl"] for s in steps), default=0) > limit / 2 else ()
    panels: dict[str, tuple[str, str, list[Series], tuple[tuple[float, str], ...]]] = {
        "score": ("Score and reward", "nats", [
            metric_series("score", steps, "score", error),
            metric_series("reward", steps, "reward", colour=1, style="dashed")], ()),
        "kl": ("KL from the original policy", "nats per reply", [
            metric_series("KL", steps, "kl", [s.get("kl_error") for s in steps])], near),
        "entropy": ("Entropy", "nats per token", [metric_series("entropy", steps, "entropy")], ()),
        "length": ("Length of replies", "tokens", [metric_series("tokens", steps, "reply_tokens")], ()),
        "ended": ("Replies that end by themselves", "share", [metric_series("ended", steps, "ended_share")], ()),
        "clip": ("Clipped updates", "share of tokens", [metric_series("clipped", steps, "clip_fraction")], ()),
        "explained": ("Explained variance", "share", [metric_series("explained", steps, "explained_variance")],
                      ((0.0, "no better than a constant"),)),
        "gap": ("Sampler against trainer", "nats per token", [metric_series("gap", steps, "sampler_gap")], ()),
    }  # fmt: skip
    return {
        name: curve_plot(
            series,
            Frame(
                name=f"ppo{name}",
                title=title,
                x_label="step",
                y_label=unit,
                hlines=across,
                integer_x=True,
                width=3.5,
                height=2.2,
            ),
        )
        for name, (title, unit, series, across) in panels.items()
    }


def root_kl_plot(steps: Sequence[Json], results: AlignResults) -> str:
    """Score against sqrt(KL), both measured from the base policy; best-of-n and the end of PPO on the same axes."""
    root, score = [_root(s["kl"]) for s in steps], [s["score"] for s in steps]  # PPO logs centred scores
    series = [Series(label="PPO steps (training prompts)", x=root, y=score, style="points")]
    measure = results.measure
    if measure is not None and (fit := measure.root_kl_fit) is not None:
        ends = [min(root), max(root)]
        line = [fit.intercept + fit.slope * x for x in ends]
        series.append(Series(label="straight line through them", x=ends, y=line, style="dashed", colour=-1))
    if results.best_of_n is not None:
        curve = results.best_of_n.curve
        x, scores = [math.sqrt(point.kl) for point in curve], [point.score for point in curve]
        series.append(Series.from_estimates("best-of-n (held-out)", x, scores, style="both", colour=1))
    if measure is not None:
        kl = measure.kl.trained
        at, low, high = ([_root(v)] if math.isfinite(v) else [None] for v in (kl.value, kl.low, kl.high))
        end = Series.from_estimates(
            "PPO, final (held-out)", at, [measure.gain.trained.training_pm], style="points", colour=2
        )
        series.append(replace(end, x_low=low, x_high=high))
    frame = Frame(
        name="rootkl",
        title="Score against the square root of KL",
        x_label="square root of KL, in root nats",
        y_label="score by the first model, nats",
        height=3.4,
    )
    return curve_plot(series, frame)


def _root(kl: float) -> float:
    """An estimate of KL may lie below 0."""
    return math.sqrt(max(0.0, kl))


def win_plots(measure: MeasureResult) -> dict[str, str]:
    """Win rates over the base policy, and those of the trained policy by category."""
    wins = {f"best-of-{measure.n}": measure.win_rate.best_of_n, "PPO": measure.win_rate.trained}
    rows = [(name, _both(estimates)) for name, estimates in wins.items()]
    category_rows: list[tuple[str, list[Estimate | None]]] = [
        (name, [None, estimate]) for name, estimate in measure.win_rate_by_category.items()
    ]
    frame = Frame(
        name="wins",
        title="Win rates over the base policy",
        x_label="share of prompts on which the new reply wins",
        x_percent=True,
        vlines=((0.5, "no change"),),
    )
    by_category = replace(frame, name="winsby", title="Win rate of PPO by category, second model")
    judges = [f"judged by the {model}" for model in MODELS]
    return {"wins": dot_plot(rows, judges, frame), "wins_by_category": dot_plot(category_rows, judges, by_category)}


def _both(estimates: ByJudge) -> list[Estimate | None]:
    return [estimates.training_pm, estimates.held_out_pm]
