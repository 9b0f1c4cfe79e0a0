"""The outcome of a run of ``align``: a few lines for the terminal, and ``report.html`` for a newcomer and an expert.

The page is one file without scripts or remote parts. Everything in it follows from the files of the run folder alone,
so that an interrupted run, or one that was told to stop early, has a report too. The words stand in the template; here
are the numbers. Replies are the output of a model: they are escaped, never markup.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from preflab.evals.metrics.reply_stats import ReplyFacts, reply_facts
from preflab.recipes.align.claims import preference_verdicts
from preflab.recipes.align.config import SCALES, Config, Until
from preflab.recipes.align.examples import select_examples
from preflab.recipes.align.plots import report_plots
from preflab.recipes.align.results import AlignResults, ByJudge, MeasureResult, read_align_results
from preflab.recipes.common.results import PreferenceResult
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import nats, share, with_interval
from preflab.reporting.html import Json, repeat_command, write_page
from preflab.reporting.report import Facts, read_facts
from preflab.reporting.run_files import read_results
from preflab.reporting.verdicts import Verdict
from preflab.run import flatten_settings

STAGES = {
    "data": "data",
    "preference": "first preference model",
    "preference_judge": "second preference model",
    "best_of_n": "best-of-n",
    "ppo": "PPO",
    "measure": "comparison of the policies",
    "suites": "alignment suites",
    "export": "export",
}
"""In the order in which they run, with what the report calls them."""
LEFT_OUT: dict[Until, frozenset[str]] = {
    "preference": frozenset({"best_of_n", "ppo", "measure", "suites"}),
    "best-of-n": frozenset({"ppo", "measure", "suites"}),
    "ppo": frozenset({"measure", "suites"}),
    "measure": frozenset(),
}
"""Stages that a value of ``config.until`` leaves out."""
COLLAPSE = 0.2
"""Share of the commonest reply above which the report warns."""
COUNTS = ("trained_tokens", "measured_tokens", "sampled_tokens")
"""What the table of costs has beside wall time."""


# a few lines ---------------------------------------------------------------------------------------------


def summarise(folder: Path) -> list[Line]:
    """A line for every headline number and every file worth opening; stages not run have none."""
    results = read_align_results(folder)
    method = "PPO" if results.policy is None else results.policy.method
    lines: list[Line] = []
    if results.preference is not None:
        lines += _preference_lines(results.preference)
    if results.measure is not None:
        lines += _policy_lines(results.measure, method)
    if results.policy is not None and results.policy.stopped:
        lines.append((f"{method} stopped early", results.policy.stopped, ""))
    return lines + closing_lines(folder, read_results(folder))


def _preference_lines(result: PreferenceResult) -> Iterator[Line]:
    """Held-out accuracy, and what simple rules reach on the same pairs."""
    yield "held-out accuracy", share(result.accuracy), f"{result.accuracy.n} pairs"
    for name, accuracy in result.baselines.items():
        yield f"  by {name} alone", share(accuracy), result.baseline_notes.get(name, "")


def _policy_lines(measure: MeasureResult, method: str) -> Iterator[Line]:
    """Gain, win rate and KL of best-of-n and of the trained policy against the policy as it was."""
    best = f"best of {measure.n}"
    yield from _judge_lines(best, measure.gain.best_of_n, measure.win_rate.best_of_n)
    yield f"{best}: KL", f"{measure.kl.best_of_n:.2f} nats", "log n - (n - 1)/n"
    yield from _judge_lines(method, measure.gain.trained, measure.win_rate.trained)
    yield f"{method}: KL", f"{with_interval(measure.kl.trained, '.2f')} nats", "per reply"


def _judge_lines(policy: str, gain: ByJudge, wins: ByJudge) -> Iterator[Line]:
    remark = "against the policy as it was; half is chance"
    yield f"{policy}: gain by its own model", f"{nats(gain.training_pm)} nats", ""
    yield f"{policy}: wins by its own model", share(wins.training_pm), remark
    yield f"{policy}: gain by the second model", f"{nats(gain.held_out_pm)} nats", ""
    yield f"{policy}: wins by the second model", share(wins.held_out_pm), remark


# the page ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a run got."""

    text: str
    finished: bool
    missing: Mapping[str, str]
    """Stage without a result -> why."""


@dataclass(frozen=True, kw_only=True)
class FirstReplies:
    """The trained policy's replies of which the report shows one a prompt."""

    facts: ReplyFacts
    commonest: str


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Wall time and tokens of a stage, or of all; None of what it does not count."""

    label: str
    seconds: float | int | None
    counts: Sequence[float | int | None]
    """In the order of `COUNTS`."""


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    from markupsafe import Markup

    facts, results = read_facts(folder, "align", STAGES), read_align_results(folder)
    config, metrics = facts.settings(Config), finite_steps(facts.metrics)
    name = folder.resolve().name
    return write_page(
        folder,
        Path(__file__).with_name("report.html.j2"),
        name=name,
        config=config,
        training=config.training,
        record=facts.record,
        results=results,
        verdicts=verdicts_by_stage(results),
        metrics=metrics,
        stages=STAGES,
        status=run_status(facts.results.keys(), metrics, config.until),
        examples=select_examples([] if results.measure is None else results.measure.examples),
        first_replies=None if results.measure is None else first_replies(results.measure),
        costs=stage_costs(facts.results),
        plots={plot: Markup(svg) for plot, svg in report_plots(results, metrics, config).items()},
        command=command_of(facts, name),
        settings=flatten_settings(facts.config),
        ln2=math.log(2),
        collapse=COLLAPSE,
    )


def finite_steps(metrics: Mapping[str, Sequence[Json]]) -> dict[str, list[Json]]:
    """Logged steps by stage, without those whose score or KL came to nan and have no place in a plot."""
    steps: dict[str, list[Json]] = {stage: [] for stage in ("preference", "preference_judge", "ppo")}
    for stage, lines in metrics.items():
        steps[stage] = [line for line in lines if all(line.get(key, 0) is not None for key in ("kl", "score"))]
    return steps


def verdicts_by_stage(results: AlignResults) -> dict[str, list[Verdict]]:
    """What the stages that have finished say of the claims."""
    verdicts = {
        stage: preference_verdicts(model.accuracy, model.lead)
        for stage, model in (("preference", results.preference), ("preference_judge", results.held_out_preference))
        if model is not None
    }
    if results.measure is not None:
        verdicts["measure"] = results.measure.verdicts
    return verdicts


def run_status(finished: Iterable[str], metrics: Mapping[str, Sequence[Json]], until: Until) -> Status:
    """How far the run got: in words, and for each missing stage the reason.

    Args:
        finished  stages that have a result.
        metrics   stage -> its logged steps.
        until     the stage at which the run was told to stop.
    """
    unreached = "was not reached"
    missing = {stage: unreached for stage in STAGES if stage not in set(finished)}
    for stage in missing.keys() & LEFT_OUT[until]:
        missing[stage] = f"was not asked for: the run was told to stop after {until!r}"
    next_stage = next((stage for stage, reason in missing.items() if reason == unreached), None)
    if next_stage is None:
        suffix = f", up to where it was told to stop ({until})" if missing else ""
        return Status(text=f"The run is complete{suffix}.", finished=True, missing=missing)
    n_steps = len(metrics.get(next_stage, []))
    text = f"The run is not finished. It got as far as: {STAGES[next_stage]}"
    text += f", {n_steps} step{'s' * (n_steps != 1)} logged." if n_steps else "."
    if n_steps:
        missing[next_stage] = "has not finished"
    text += " Start the same command again and it continues; this page then says more."
    return Status(text=text, finished=False, missing=missing)


def first_replies(measure: MeasureResult) -> FirstReplies:
    """Of the trained policy to each prompt."""
    texts = [replies.trained for replies in measure.examples]
    commonest = Counter(text.strip() for text in texts).most_common(1)[0][0]
    return FirstReplies(facts=reply_facts(texts), commonest=commonest)


def stage_costs(results: Mapping[str, Json]) -> list[Cost]:
    """A row for each finished stage, in order, and one for all of them.

    Args:
        results  stage -> its result as JSON has it, with the ``seconds`` that the run added.
    """
    costs = [
        Cost(label=label, seconds=result.get("seconds"), counts=[result.get(key) for key in COUNTS])
        for label, result in ((label, results[stage]) for stage, label in STAGES.items() if stage in results)
    ]
    total = Cost(
        label="All of these",
        seconds=sum(cost.seconds or 0 for cost in costs),
        counts=[sum(cost.counts[k] or 0 for cost in costs) for k in range(len(COUNTS))],
    )
    return [*costs, total]


def command_of(facts: Facts, name: str) -> str:
    """What to type to repeat the run: as recorded, otherwise the nearest scale and what differs from it."""
    return repeat_command("preflab align", SCALES, {"name": name, **vars(facts)})
