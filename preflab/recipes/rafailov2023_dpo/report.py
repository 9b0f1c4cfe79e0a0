"""``report.html`` of the recipe ``dpo``."""

import math
from pathlib import Path

from preflab.reporting.format import MINUS, nats, number, sample, share
from preflab.reporting.html import Json, metric_series
from preflab.reporting.plots import Frame, curve_plot, dot_plot, reliability_plot
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

STAGES = {
    "data": "data",
    "preference_judge": "judge",
    "sft": "SFT",
    "dpo": "direct preference optimisation",
    "measure": "comparison of the policies",
    "export": "export",
}
WHO = {"before": "before", "after": "after"}


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    from preflab.recipes.rafailov2023_dpo.config import SCALES  # here, because dpo imports this module

    facts = read_facts(folder, "rafailov2023_dpo", STAGES)
    config = facts.config
    left_out = {"preference_judge": config["held_out_pm_share"] == 0, "sft": not config["sft_first"]}
    stages = {stage: words for stage, words in STAGES.items() if not left_out.get(stage, False)}
    return write_report_page(facts, stages, _story(facts), SCALES)


def _story(facts: Facts) -> Report:
    r, config = facts.results, facts.config
    name = config["dpo"]["loss"].upper()
    heads = {"comparisons": "Comparisons", "pairs": "Pairs", "tokens": "Tokens, prefix once",
             "tokens_pair_by_pair": "Tokens, pair by pair", "shortened": "Shortened"}  # fmt: skip
    sections = [_replies(r, name), data_section(facts, heads)]
    if "preference_judge" in r:
        sections.append(_judge(r["preference_judge"]))
    if "sft" in r:
        sections.append(sft_section(r["sft"], facts.metrics.get("sft", [])))
    sections += [_fit(facts, name), _unseen(r, name), _policies(r)]
    model = facts.record["model"].get("name") or config["model"]["policy"]
    return Report(
        title=f"Fitting {model} to preferences with {name}",
        summary=_lead(r, name),
        warnings=_notices(r),
        sections=[s for s in sections if s.text or s.figures or s.tables or s.examples],
    )


def _lead(r: Json, name: str) -> list[str]:
    if "dpo" not in r:
        return [f"{name} has not finished yet, so there is nothing to tell."]
    found = [
        f"On unseen comparisons the policy's implicit rewards pick the better reply in {share(r['dpo']['accuracy'])}; "
        + ", ".join(f"{b} alone in {share(e)}" for b, e in r["dpo"]["baselines"].items())
        + "."
    ]
    if "measure" in r:
        text = f"Its replies lie {nats(r['measure']['kl'])} nats from the reference's."
        if "win_rate" in r["measure"]:
            text += (
                f" The judge, a preference model fitted to other comparisons, prefers them in "
                f"{share(r['measure']['win_rate'])} of cases. No person has judged them."
            )
        found.append(text)
    return found


def _notices(r: Json) -> list[tuple[str, str]]:
    if "measure" not in r:
        return []
    before, after = (r["measure"]["facts"][who] for who in ("before", "after"))
    found = []
    if after["commonest_share"] > 0.2:
        found.append(("Collapse", f"{100 * after['commonest_share']:.0f} % of the replies are one and the same text."))
    if before["mean_words"] > 0 and not 0.8 <= after["mean_words"] / before["mean_words"] <= 1.25:
        words = f"from {before['mean_words']:.1f} to {after['mean_words']:.1f} words"
        found.append(("Length", f"The mean length of replies went {words}; part of any change may come from that."))
    return found


def _replies(r: Json, name: str) -> Section:
    if "measure" not in r:
        return Section(anchor="replies", title="Replies")
    listed = [example(i, one, WHO) for i, one in enumerate(r["measure"]["examples"], start=1)]
    return Section(
        anchor="replies",
        title="What the policy says now",
        text=["The first reply of each policy to held-out prompts, in the order in which the prompts were drawn."],
        examples=listed,
    )


def _judge(judge: Json) -> Section:
    rows = [["preference model", share(judge["accuracy"]), sample(judge["accuracy"])]]
    rows += [[b, share(e), sample(e)] for b, e in judge["baselines"].items()]
    return Section(
        anchor="judge",
        title="The judge",
        text=["A preference model, fitted to a part of the comparisons that the policy is not fitted to."],
        tables=[Table(caption="On held-out pairs", heads=["Rule", "Accuracy", "Pairs (in prompts)"], rows=rows)],
    )


def sft_section(sft: Json, steps: list[Json]) -> Section:
    """Nats per token before and after, and the curve of training."""
    rows = [[when, number(sft[when].value, ".3f") + f" [{sft[when].low:.3f}, {sft[when].high:.3f}]"]
            for when in ("before", "after")]  # fmt: skip
    rows.append(["gain", nats(sft["gain"])])
    seen = [s for s in steps if s.get("held_out_loss") is not None]
    series = [
        metric_series("training batches", steps, "loss"),
        metric_series("held-out, at the end of a pass", seen, "held_out_loss", style="both", colour=1),
    ]
    frame = Frame(name="sft", title="SFT: loss", x_label="step", y_label="nats per reply token",
                  hlines=((sft["before"].value, "held-out, before"),), integer_x=True)  # fmt: skip
    return Section(
        anchor="sft",
        title="Fine-tuning",
        figures=[Figure(svg=curve_plot(series, frame), title="Loss",
                        caption="one point a batch, before it is learned from; where the held-out points rise while "
                        "the line falls, the policy learns the training replies by heart.")],
        tables=[Table(caption="Nats per reply token on held-out replies [95 % interval]", heads=["", "nats"],
                      rows=rows)],
    )  # fmt: skip


def _fit(facts: Facts, name: str) -> Section:
    steps, config = facts.metrics.get("dpo", []), facts.config["dpo"]
    if not steps:
        return Section(anchor="fit", title=name)
    knows_nothing = math.log(2) if config["loss"] == "dpo" else 0.25 / config["beta"] ** 2
    unit = "nats per comparison" if config["loss"] == "dpo" else "squared nats"
    loss = Frame(name="loss", title="Loss", x_label="step", y_label=unit, integer_x=True,
                 hlines=((knows_nothing, "the reference"),))  # fmt: skip
    right = Frame(name="accuracy", title="Accuracy in training", x_label="step", y_label="share of pairs",
                  integer_x=True, hlines=((0.5, "chance"),))  # fmt: skip
    reward = Frame(name="rewards", title="Implicit rewards", x_label="step", y_label="nats", integer_x=True,
                   hlines=((0.0, "the reference"),))  # fmt: skip
    logp = Frame(name="logp", title="Log-probability of whole replies", x_label="step", y_label="nats",
                 integer_x=True)  # fmt: skip

    def both(key: str) -> list[object]:
        return [metric_series("better reply", steps, f"chosen_{key}"),
                metric_series("worse reply", steps, f"rejected_{key}", colour=1, style="dashed")]  # fmt: skip

    figures = [
        Figure(svg=curve_plot([metric_series("loss", steps, "loss")], loss), title="Loss",
               caption="one point a batch, before it is learned from; after the first pass the pairs are known."),
        Figure(svg=curve_plot([metric_series("accuracy", steps, "accuracy")], right), title="Accuracy in training",
               caption="share of clear pairs whose better reply has the larger implicit reward."),
        Figure(svg=curve_plot(both("reward"), reward), title="Implicit rewards",  # type: ignore[arg-type]
               caption="the gap between the two is what is fitted. Both falling is common: the better reply becomes "
               "less probable too, only less so."),
        Figure(svg=curve_plot(both("logp"), logp), title="Log-probabilities",  # type: ignore[arg-type]
               caption="of the replies of each batch under the policy; batches differ, so it jumps."),
    ]  # fmt: skip
    rows = f"{facts.results['dpo']['rows']:,} rows, " if "dpo" in facts.results else ""
    beta = f"beta {config['beta']:g}, label smoothing {config['label_smoothing']:g}"
    return Section(anchor="fit", title=name, figures=figures,
                   text=[f"{rows}{len(steps):,} steps, {beta}. The reference was run once, before them."])  # fmt: skip


def _unseen(r: Json, name: str) -> Section:
    if "dpo" not in r:
        return Section(anchor="unseen", title="Unseen comparisons")
    own = r["dpo"]
    label = "share of unseen pairs judged rightly"
    frame = Frame(name="unseen", title="Accuracy and baselines", x_label=label, x_percent=True,
                  vlines=((0.5, "chance"),))  # fmt: skip
    lines = [("implicit rewards", [own["accuracy"]]), *((b, [e]) for b, e in own["baselines"].items())]
    reliable = Frame(name="reliability", title="Reliability", y_label="how often it was", height=3.4,
                     x_label="predicted probability that the first is better")  # fmt: skip
    figures = [
        Figure(svg=dot_plot(lines, [name], frame), title="Accuracy on unseen pairs",
               caption="further right is better; bars are 95 % intervals over prompts."),
        Figure(svg=reliability_plot({name: own["calibration"]}, reliable), title="Reliability",
               caption="points on the diagonal mean that the probabilities can be taken at their word."),
    ]  # fmt: skip
    rows = [["implicit rewards", share(own["accuracy"]), sample(own["accuracy"])]]
    rows += [[b, share(e), sample(e)] for b, e in own["baselines"].items()]
    rows += [[f"implicit rewards: {c}", share(e), sample(e)] for c, e in own["by_category"].items()]
    return Section(
        anchor="unseen",
        title="Unseen comparisons",
        figures=figures,
        tables=[Table(caption="On held-out pairs", heads=["Rule", "Accuracy", "Pairs (in prompts)"], rows=rows)],
        after=[f"{b}: {note}." for b, note in own["baseline_notes"].items()],
    )


def _policies(r: Json) -> Section:
    if "measure" not in r:
        return Section(anchor="policies", title="The policy against its reference")
    m = r["measure"]
    rows = [["KL, nats per reply", nats(m["kl"]), sample(m["kl"])]]
    if "win_rate" in m:
        rows += [["win rate by the judge", share(m["win_rate"]), sample(m["win_rate"])],
                 ["gain in the judge's score, nats", nats(m["gain"]), sample(m["gain"])]]  # fmt: skip
        rows += [[f"win rate: {c}", share(e), sample(e)] for c, e in m["win_rate_by_category"].items()]
    looks = [
        [who, number(f["n"]), number(f["mean_words"], ".1f"), f"{100 * m['ended_share'][who]:.0f} %",
         number(f["distinct_2"], ".2f"), f"{100 * f['commonest_share']:.1f} %"]
        for who, f in m["facts"].items()
    ]  # fmt: skip
    return Section(
        anchor="policies",
        title="The policy against its reference",
        tables=[
            Table(caption="On held-out prompts [95 % interval]", heads=["", "Estimate", "Replies (in prompts)"],
                  rows=rows),
            Table(caption="What the replies look like",
                  heads=["", "Replies", "Mean words", "End by themselves", "Distinct-2", "Commonest reply"],
                  rows=looks),
        ],
        after=[f"KL is an estimate from samples and may come out slightly below 0 ({MINUS}). A tie counts half."],
    )  # fmt: skip
