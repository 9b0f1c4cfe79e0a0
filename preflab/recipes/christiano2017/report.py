"""What the reports of `christiano2017_mujoco` and `christiano2017_atari` show of arms and seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from preflab.maths.statistics import Estimate
from preflab.recipes.christiano2017.arms import NOISE, TRUE, VARIANTS, is_budget, words_of
from preflab.reporting.format import in_unit
from preflab.reporting.html import Json
from preflab.reporting.plots import Frame, Series, curve_plot
from preflab.reporting.report import (
    Facts,
    Figure,
    Picture,
    Report,
    Section,
    Table,
    picture,
    read_facts,
    write_report_page,
)
from preflab.reporting.run_files import read_results

INTERVALS = "Intervals are over seeds (Student's t), differences paired by seed."


@dataclass(frozen=True)
class Words:
    """What a recipe calls things."""

    title: str
    measure: str
    """What a return is."""
    agent: str
    """Who learned, a sentence."""


def write_story(folder: Path, recipe: str, words: Callable[[Json], Words], scales: Mapping[str, Any]) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Args:
        words  of a run's settings.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    facts = read_facts(folder, recipe, {})
    stages = _stages(facts.config)
    facts = replace(facts, results=read_results(folder, stages))
    return write_report_page(facts, stages, _story(facts, words(facts.config)), scales)


def _stages(config: Json) -> dict[str, str]:
    """The stages of a run and what each is, in words."""
    return {
        "untrained": "untrained policies",
        **{f"{arm}-{s}": f"{words_of(arm)}; seed {s}" for s in range(config["seeds"]) for arm in config["arms"]},
        "compare": "comparison",
        "film": "film",
    }


def _story(facts: Facts, words: Words) -> Report:
    """Lead, curves, correlation and table; as much of it as there is."""
    if "compare" not in facts.results:
        return Report(title=words.title, summary=["Not all agents are trained yet, so there is nothing to tell."])
    returns = facts.results["compare"]["returns"]
    told = [f"{in_unit(own, '')} with {words_of(arm)}" for arm, own in returns.items() if arm not in VARIANTS]
    start = in_unit(facts.results["untrained"]["mean"], "")
    lead = [f"{words.measure}, at the end of training: {'; '.join(told)}; {start} untrained. {words.agent}"]
    sections = [_curves(facts, words.measure), _correlations(facts), _arms(facts, words.measure)]
    return Report(title=words.title, summary=lead, warnings=_notices(facts), intervals=INTERVALS, sections=sections)


def _notices(facts: Facts) -> list[tuple[str, str]]:
    """What a reader of the verdicts must know."""
    own, seeds, found = facts.results["compare"], range(facts.config["seeds"]), []
    for arm in (arm for arm in facts.config["arms"] if is_budget(arm)):
        given = [_given(facts.results[f"{arm}-{seed}"]) for seed in seeds]
        if min(given) < int(arm[6:]):
            words = f"{arm}: {', '.join(map(str, given))} labels were given; no more pairs of clips were left to ask."
            found.append(("Fewer labels", words))
    if TRUE in own["returns"] and own["returns"][TRUE].value <= facts.results["untrained"]["mean"].value:
        words = "The true reward taught nothing here, so that nothing can be said of coming near to it."
        found.append(("No learning", words))
    return found


def _given(told: Mapping[str, Any]) -> int:
    """Labels of a run, ties and "cannot tell" among them."""
    return sum(told["labels"].values())


def _curves(facts: Facts, measure: str) -> Section:
    own, config = facts.results["compare"], facts.config
    middle = f"labels{config['labels']}"
    kinds = {
        "labels": ("Labels against return", [arm for arm in config["arms"] if arm not in VARIANTS]),
        "asking": ("Ablations: what is asked", [middle, "random", "one", "offline", "steps"]),
        "fitting": ("Ablations: how it is fitted", [middle, "weights_only", "unregularised", "target"]),
        "noise": ("Answers turned round", [middle, *NOISE]),
    }
    figures = []
    for name, (title, among) in kinds.items():
        arms = [arm for arm in among if arm in config["arms"]]
        series = [_series(arm, own["at"], own["curves"][arm], k) for k, arm in enumerate(arms)]
        frame = Frame(name=name, title=title, x_label="environment steps", y_label="true return")
        how = f"{measure}; means over {config['seeds']} seeds with 95 % intervals. The table below says what each is."
        if name == "labels" or arms != [middle]:
            figures.append(Figure(svg=curve_plot(series, frame), title=title, caption=how))
    return Section(anchor="returns", title="Return over training", figures=figures)


def _series(label: str, at: Sequence[float], curve: Sequence[Estimate | None], colour: int) -> Series:
    told = [(x, y) for x, y in zip(at, curve, strict=True) if y is not None]
    return Series.from_estimates(label, [x for x, _ in told], [y for _, y in told], colour=colour)


def _correlations(facts: Facts) -> Section:
    """True and learned returns of the latest episodes of the first seed, for each budget and for early labels alone."""
    figures = []
    for arm in (arm for arm in facts.config["arms"] if is_budget(arm) or arm == "offline"):
        points = facts.results[f"{arm}-0"].get("episodes") or []
        series = [Series(label="episodes", x=[a for a, _ in points], y=[b for _, b in points], style="points")]
        title = f"Learned against true return, {words_of(arm)}"
        frame = Frame(name=f"agree-{arm}", title=title, x_label="true return", y_label="return handed over")
        how = "a point is one of the last hundred episodes of seed 0; a reward that is right makes a rising line."
        figures.append(Figure(svg=curve_plot(series, frame), title=title, caption=how))
    return Section(anchor="agreement", title="Does the learned reward agree with the true one?", figures=figures)


_COLUMNS = {
    "held_out_accuracy": "Held-out accuracy",
    "rank_correlation": "Rank correlation",
    "disputed_asked": "Variance, pairs asked",
    "disputed_candidates": "Variance, candidates",
    "disputed_now": "Variance, pairs asked, at the end",
    "std_reward": "Deviation of rewards handed over",
}


def _arms(facts: Facts, measure: str) -> Section:
    own, seeds = facts.results["compare"], range(facts.config["seeds"])
    rows = []
    for arm in facts.config["arms"]:
        runs = [facts.results[f"{arm}-{seed}"] for seed in seeds]
        by_seed = ", ".join(f"{value:.{_digits(own['by_seed'])}f}" for value in own["by_seed"][arm])
        labels = [_given(run) for run in runs]
        given = f"{sum(labels) / len(labels):,.0f}" if any(labels) else ""
        cells = [in_unit(own["returns"][arm], ""), given, *(_mean(runs, what) for what in _COLUMNS), by_seed]
        rows.append([arm, words_of(arm), *cells])
    heads = ["Agent", "What it is", "True return", "Labels", *_COLUMNS.values(), "by seed"]
    tables = [Table(caption=f"At the end of training. {measure}", heads=heads, rows=rows)]
    if any(
        value is not None for seed in seeds for value in facts.results[f"{facts.config['arms'][0]}-{seed}"]["scores"]
    ):
        tables.append(_scores(facts))
    return Section(anchor="arms", title="Every agent", tables=tables, pictures=_film(facts))


def _scores(facts: Facts) -> Table:
    """What players know: the scores of games that ended."""
    rows = []
    for arm in facts.config["arms"]:
        ends = [facts.results[f"{arm}-{seed}"]["scores"][-1] for seed in range(facts.config["seeds"])]
        rows.append([arm, ", ".join("no game ended" if own is None else f"{own:.1f}" for own in ends)])
    return Table(caption="Mean score of the games that ended in the last part", heads=["Agent", "by seed"], rows=rows)


def _film(facts: Facts) -> list[Picture]:
    told = facts.results.get("film")
    if told is None:
        return []
    words = f"The first seed's agent before (left) and after (right), from the same start: {words_of(told['arm'])}."
    return picture(facts.folder / told["film"], words)


def _digits(by_seed: dict[str, list[float]]) -> int:
    """Enough to tell small returns apart."""
    return 0 if max((abs(value) for own in by_seed.values() for value in own), default=0.0) >= 100 else 1


def _mean(runs: Sequence[dict[str, Any]], what: str) -> str:
    told = [value for run in runs if (value := run.get(what)) is not None]
    return f"{sum(told) / len(told):.3f}" if told else ""
