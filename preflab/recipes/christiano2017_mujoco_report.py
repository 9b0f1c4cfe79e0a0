"""``report.html`` of the recipe ``christiano2017_mujoco``."""

from pathlib import Path
from typing import Any

from preflab.evals.plots import Frame, Series, curve_plot
from preflab.recipes.christiano2017_mujoco_arms import ABLATIONS, TRUE
from preflab.recipes.numbers import in_unit
from preflab.recipes.plain_report import Facts, Figure, Section, Story, Table, read_facts, write_plain_report


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    from preflab.recipes.christiano2017_mujoco import SCALES  # here, because that imports this module

    config = read_facts(folder, "christiano2017_mujoco", {}).config
    stages = {"untrained": "untrained policies"}
    stages |= {f"{arm}-{s}": f"{words_of(arm)}; seed {s}" for s in range(config["seeds"]) for arm in config["arms"]}
    stages |= {"compare": "comparison", "film": "films"}
    facts = read_facts(folder, "christiano2017_mujoco", stages)
    return write_plain_report(facts, stages, _story(facts), SCALES)


def words_of(arm: str) -> str:
    """What an arm is, in words."""
    if arm == TRUE:
        return "the true reward"
    return f"{int(arm[6:]):,} labels" if arm.startswith("labels") else ABLATIONS[arm]


def _story(facts: Facts) -> Story:
    title = f"{facts.config['task']}: a reward from comparisons"
    if "compare" not in facts.results:
        return Story(title=title, lead=["Not all agents are trained yet, so there is nothing to tell."])
    returns = facts.results["compare"]["returns"]
    told = [f"{in_unit(own, '')} with {words_of(arm)}" for arm, own in returns.items() if arm not in ABLATIONS]
    lead = [
        f"True return of an episode at the end of training: {'; '.join(told)}; "
        f"{in_unit(facts.results['untrained']['mean'], '')} untrained. PPO stands in for the paper's TRPO."
    ]
    seeds = "Intervals are over seeds (Student's t), differences paired by seed."
    return Story(title=title, lead=lead, intervals=seeds, sections=[_curves(facts), _arms(facts)])


def _curves(facts: Facts) -> Section:
    own = facts.results["compare"]
    kinds = {
        "labels": ("Labels against return", [arm for arm in facts.config["arms"] if arm not in ABLATIONS]),
        "ablations": (
            "Ablations",
            [arm for arm in facts.config["arms"] if arm in ABLATIONS or arm == f"labels{facts.config['labels']}"],
        ),
    }
    how = f"True return of episodes; means over {facts.config['seeds']} seeds with 95 % intervals."
    figures = []
    for name, (title, arms) in kinds.items():
        series = [_series(words_of(arm), own["at"], own["curves"][arm], k) for k, arm in enumerate(arms)]
        frame = Frame(name=name, title=title, x_label="environment steps", y_label="true return")
        if series:
            figures.append(Figure(svg=curve_plot(series, frame), title=title, how=how))
    return Section(anchor="returns", title="Return over training", figures=figures)


def _series(label: str, at: list[float], curve: list[object], colour: int) -> Series:
    told = [(x, y) for x, y in zip(at, curve, strict=True) if y is not None]
    return Series.of_estimates(label, [x for x, _ in told], [y for _, y in told], colour=colour)  # type: ignore[misc]


def _arms(facts: Facts) -> Section:
    own, seeds = facts.results["compare"], range(facts.config["seeds"])
    rows = []
    for arm in facts.config["arms"]:
        runs = [facts.results[f"{arm}-{seed}"] for seed in seeds]
        rows.append(
            [
                words_of(arm),
                in_unit(own["returns"][arm], ""),
                ", ".join(f"{value:.0f}" for value in own["by_seed"][arm]),
                _mean(runs, "held_out_accuracy"),
                _mean(runs, "rank_correlation"),
                _mean(runs, "disputed_asked"),
                _mean(runs, "disputed_candidates"),
            ]
        )
    heads = [
        "Agent",
        "True return",
        "by seed",
        "Held-out accuracy",
        "Rank correlation",
        "Variance, pairs asked",
        "Variance, candidates",
    ]
    table = Table(caption="At the end of training", heads=heads, rows=rows)
    film = facts.results.get("film", {})
    links = [(f"film {when}, {words_of(film['arm'])}", film[when]) for when in ("before", "after") if when in film]
    return Section(anchor="arms", title="Every agent", tables=[table], links=links)


def _mean(runs: list[dict[str, Any]], what: str) -> str:
    told = [value for run in runs if (value := run.get(what)) is not None]
    return f"{sum(told) / len(told):.3f}" if told else ""
