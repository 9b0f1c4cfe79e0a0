"""The outcome of a run of ``rafailov2023_dpo``: a few lines for the terminal, and ``report.html``."""

import math
from collections.abc import Iterator
from pathlib import Path

from preflab.evals.metrics.preference import PreferenceReport
from preflab.maths.statistics import Estimate
from preflab.recipes.common.comparison_parts import DataResult
from preflab.recipes.common.results import PreferenceResult, SFTResult
from preflab.recipes.common.supervised import sft_section
from preflab.recipes.rafailov2023_dpo.config import SCALES, Config
from preflab.recipes.rafailov2023_dpo.results import DPOResult, MeasureResult
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import MINUS, nats, number, sample, share, with_interval
from preflab.reporting.html import metric_series
from preflab.reporting.plots import Frame, Series, curve_plot, dot_plot, reliability_plot
from preflab.reporting.report import (
    Facts,
    Figure,
    Report,
    Section,
    Table,
    data_section,
    example,
    read_facts,
    write_report_page,
)
from preflab.reporting.run_files import read_results
from preflab.run import read_result

STAGES = {
    "data": "data",
    "preference_judge": "held-out preference model",
    "sft": "SFT",
    "dpo": "direct preference optimisation",
    "measure": "comparison of the policies",
    "export": "export",
}
"""In the order in which they run, with what the report calls them."""
POLICY_NAMES = {"before": "before", "after": "after"}
COLLAPSE = 0.2
"""Share of the commonest reply above which the report warns."""


# a few lines ---------------------------------------------------------------------------------------------


def summarise(folder: Path) -> list[Line]:
    """A line for every headline number and every file worth opening; stages not run have none."""
    lines: list[Line] = []
    if (dpo := read_result(folder, "dpo", DPOResult)) is not None:
        lines.append(("held-out accuracy", share(dpo.accuracy), f"{dpo.accuracy.n} pairs, implicit rewards"))
        for name, accuracy in dpo.baselines.items():
            lines.append((f"  by {name} alone", share(accuracy), dpo.baseline_notes.get(name, "")))
    if (held_out_pm := read_result(folder, "preference_judge", PreferenceResult)) is not None:
        remark = "a preference model fitted to other comparisons"
        lines.append(("  by the held-out model", share(held_out_pm.accuracy), remark))
    if (sft := read_result(folder, "sft", SFTResult)) is not None:
        lines.append(("SFT: gain", f"{nats(sft.gain)} nats", "per token of held-out best replies"))
    if (measure := read_result(folder, "measure", MeasureResult)) is not None:
        lines += _policy_lines(measure)
    return lines + closing_lines(folder, read_results(folder))


def _policy_lines(measure: MeasureResult) -> Iterator[Line]:
    if measure.win_rate is not None:
        yield "wins by the held-out model", share(measure.win_rate), "against its reference; half is chance"
        yield "gain by the held-out model", f"{nats(measure.gain)} nats", ""
    yield "KL", f"{with_interval(measure.kl, '.2f')} nats", "per reply"


# the page ------------------------------------------------------------------------------------------------


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    facts = read_facts(folder, "rafailov2023_dpo", STAGES)
    config = facts.settings(Config)
    left_out = {"preference_judge": config.held_out_pm_share == 0, "sft": not config.sft_first}
    stages = {stage: label for stage, label in STAGES.items() if not left_out.get(stage, False)}
    return write_report_page(facts, stages, _report(facts, config), SCALES)


def _report(facts: Facts, config: Config) -> Report:
    name = config.dpo.loss.upper()
    dpo, measure = facts.result("dpo", DPOResult), facts.result("measure", MeasureResult)
    sections = [] if measure is None else [_replies(measure)]
    sections.append(data_section(facts, _data_columns(facts.result("data", DataResult))))
    if (held_out_pm := facts.result("preference_judge", PreferenceResult)) is not None:
        sections.append(_held_out_pm(held_out_pm))
    if (sft := facts.result("sft", SFTResult)) is not None:
        sections.append(sft_section(sft, facts.metrics.get("sft", [])))
    sections += _fit(facts, config, dpo)
    sections += [] if dpo is None else [_unseen(dpo, name)]
    sections += [] if measure is None else [_policies(measure)]
    return Report(
        title=f"Fitting {facts.model_name or config.model.policy} to preferences with {name}",
        summary=_summary(name, dpo, measure),
        warnings=[] if measure is None else list(_warnings(measure)),
        sections=sections,
    )


def _summary(name: str, dpo: DPOResult | None, measure: MeasureResult | None) -> list[str]:
    if dpo is None:
        return [f"{name} has not finished yet, so there is nothing to tell."]
    baselines = ", ".join(f"{baseline} alone in {share(accuracy)}" for baseline, accuracy in dpo.baselines.items())
    paragraphs = [
        "On unseen comparisons the policy's implicit rewards pick the better reply in "
        f"{share(dpo.accuracy)}; {baselines}."
    ]
    if measure is not None:
        text = f"Its replies lie {nats(measure.kl)} nats from the reference's."
        if measure.win_rate is not None:
            text += (
                " A preference model that was fitted to other comparisons prefers them in "
                f"{share(measure.win_rate)} of cases. No person has judged them."
            )
        paragraphs.append(text)
    return paragraphs


def _warnings(measure: MeasureResult) -> Iterator[tuple[str, str]]:
    before, after = measure.facts["before"], measure.facts["after"]
    if after.commonest_share > COLLAPSE:
        yield "Collapse", f"{100 * after.commonest_share:.0f} % of the replies are one and the same text."
    if before.mean_words > 0 and not 0.8 <= after.mean_words / before.mean_words <= 1.25:
        change = f"from {before.mean_words:.1f} to {after.mean_words:.1f} words"
        yield "Length", f"The mean length of replies went {change}; part of any change may come from that."


def _data_columns(data: DataResult | None) -> dict[str, dict[str, int]] | None:
    if data is None:
        return None
    return {
        "Comparisons": data.comparisons,
        "Pairs": data.pairs,
        "Tokens, prefix once": data.tokens,
        "Tokens, pair by pair": data.tokens_pair_by_pair,
        "Shortened": data.shortened,
    }


def _replies(measure: MeasureResult) -> Section:
    return Section(
        anchor="replies",
        title="What the policy says now",
        text=["The first reply of each policy to held-out prompts, in the order in which the prompts were drawn."],
        examples=[
            example(i, replies.prompt, replies.replies, POLICY_NAMES, category=replies.category, scores=replies.scores)
            for i, replies in enumerate(measure.examples, start=1)
        ],
    )


def _accuracy_rows(name: str, report: PreferenceReport) -> list[list[str]]:
    """Of a fitted model, then of the rules it has to beat."""
    accuracies: dict[str, Estimate] = {name: report.accuracy, **report.baselines}
    return [[rule, share(accuracy), sample(accuracy)] for rule, accuracy in accuracies.items()]


ACCURACY_HEADS = ("Rule", "Accuracy", "Pairs (in prompts)")


def _held_out_pm(result: PreferenceResult) -> Section:
    rows = _accuracy_rows("preference model", result)
    return Section(
        anchor="held-out-model",
        title="The held-out preference model",
        text=["Fitted to a part of the comparisons that the policy is not fitted to. It measures the outcome."],
        tables=[Table(caption="On held-out pairs", heads=ACCURACY_HEADS, rows=rows)],
    )


def _fit(facts: Facts, config: Config, dpo: DPOResult | None) -> list[Section]:
    """The curves of training; nothing before the first step."""
    steps, name, is_dpo = facts.metrics.get("dpo", []), config.dpo.loss.upper(), config.dpo.loss == "dpo"
    if not steps:
        return []

    def frame(key: str, title: str, unit: str, *hlines: tuple[float, str]) -> Frame:
        return Frame(name=key, title=title, x_label="step", y_label=unit, integer_x=True, hlines=hlines)

    def better_and_worse(key: str) -> list[Series]:
        return [
            metric_series("better reply", steps, f"chosen_{key}"),
            metric_series("worse reply", steps, f"rejected_{key}", colour=1, style="dashed"),
        ]

    initial_loss = math.log(2) if is_dpo else 0.25 / config.dpo.beta**2
    loss_unit = "nats per comparison" if is_dpo else "squared nats"
    plots = [
        (
            [metric_series("loss", steps, "loss")],
            frame("loss", "Loss", loss_unit, (initial_loss, "the reference")),
            "one point a batch, before it is learned from; after the first pass the pairs are known.",
        ),
        (
            [metric_series("accuracy", steps, "accuracy")],
            frame("accuracy", "Accuracy in training", "share of pairs", (0.5, "chance")),
            "share of clear pairs whose better reply has the larger implicit reward.",
        ),
        (
            better_and_worse("reward"),
            frame("rewards", "Implicit rewards", "nats", (0.0, "the reference")),
            "the gap between the two is what is fitted. Both falling is common: the better reply becomes less probable "
            "too, only less so.",
        ),
        (
            better_and_worse("logp"),
            frame("logp", "Log-probability of whole replies", "nats"),
            "of the replies of each batch under the policy; batches differ, so it jumps.",
        ),
    ]
    rows = "" if dpo is None else f"{dpo.rows:,} rows, "
    beta = f"beta {config.dpo.beta:g}, label smoothing {config.dpo.label_smoothing:g}"
    return [
        Section(
            anchor="fit",
            title=name,
            text=[f"{rows}{len(steps):,} steps, {beta}. The reference was run once, before them."],
            figures=[
                Figure(svg=curve_plot(series, axes), title=axes.title, caption=caption)
                for series, axes, caption in plots
            ],
        )
    ]


def _unseen(dpo: DPOResult, name: str) -> Section:
    accuracy_frame = Frame(
        name="unseen",
        title="Accuracy and baselines",
        x_label="share of unseen pairs judged rightly",
        x_percent=True,
        vlines=((0.5, "chance"),),
    )
    reliability_frame = Frame(
        name="reliability",
        title="Reliability",
        x_label="predicted probability that the first is better",
        y_label="how often it was",
        height=3.4,
    )
    accuracies = {"implicit rewards": dpo.accuracy, **dpo.baselines}
    rows = _accuracy_rows("implicit rewards", dpo)
    rows += [[f"implicit rewards: {name}", share(e), sample(e)] for name, e in dpo.by_category.items()]
    return Section(
        anchor="unseen",
        title="Unseen comparisons",
        figures=[
            Figure(
                svg=dot_plot([(rule, [accuracy]) for rule, accuracy in accuracies.items()], [name], accuracy_frame),
                title="Accuracy on unseen pairs",
                caption="further right is better; bars are 95 % intervals over prompts.",
            ),
            Figure(
                svg=reliability_plot({name: dpo.calibration}, reliability_frame),
                title="Reliability",
                caption="points on the diagonal mean that the probabilities can be taken at their word.",
            ),
        ],
        tables=[Table(caption="On held-out pairs", heads=ACCURACY_HEADS, rows=rows)],
        after=[f"{baseline}: {note}." for baseline, note in dpo.baseline_notes.items()],
    )


def _policies(measure: MeasureResult) -> Section:
    rows = [["KL, nats per reply", nats(measure.kl), sample(measure.kl)]]
    if measure.win_rate is not None:
        rows += [
            ["win rate by the held-out preference model", share(measure.win_rate), sample(measure.win_rate)],
            ["gain in its score, nats", nats(measure.gain), sample(measure.gain)],
        ]
    rows += [[f"win rate: {name}", share(e), sample(e)] for name, e in measure.win_rate_by_category.items()]
    reply_rows = [
        [
            policy,
            number(facts.n),
            number(facts.mean_words, ".1f"),
            f"{100 * measure.ended_share[policy]:.0f} %",
            number(facts.distinct_2, ".2f"),
            f"{100 * facts.commonest_share:.1f} %",
        ]
        for policy, facts in measure.facts.items()
    ]
    heads = ["", "Replies", "Mean words", "End by themselves", "Distinct-2", "Commonest reply"]
    estimate_heads = ["", "Estimate", "Replies (in prompts)"]
    return Section(
        anchor="policies",
        title="The policy against its reference",
        tables=[
            Table(caption="On held-out prompts [95 % interval]", heads=estimate_heads, rows=rows),
            Table(caption="What the replies look like", heads=heads, rows=reply_rows),
        ],
        after=[f"KL is an estimate from samples and may come out slightly below 0 ({MINUS}). A tie counts half."],
    )
