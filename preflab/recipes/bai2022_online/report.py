"""``report.html`` of the recipe ``bai2022_online``: all rounds in one page."""

from dataclasses import replace
from pathlib import Path

from preflab.maths.statistics import Estimate
from preflab.recipes.bai2022_online.claims import START
from preflab.recipes.bai2022_online.config import SCALES, Config
from preflab.recipes.bai2022_online.results import (
    CollectResult,
    PreferenceRoundResult,
    RoundResults,
    data_name,
    newest_rated,
    read_rounds,
)
from preflab.recipes.common.comparison_parts import DataResult
from preflab.reporting.format import DASH, elo, nats, number, share
from preflab.reporting.html import metric_series
from preflab.reporting.plots import Frame, Series, curve_plot, dot_plot
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

COLLAPSE_SHARE = 0.2
"""Share of replies that are one text, above which the report warns."""


def stages_of(rounds: int, final_judgements: int) -> dict[str, str]:
    """Stages of a finished run in order, with a label for each."""
    stages = {"data": "data"}
    for k in range(rounds + 1):
        if k:
            stages |= {f"deploy{k}": f"round {k}: deployment", f"collect{k}": f"round {k}: choices"}
        stages |= {
            f"preference{k}": f"preference model {k}",
            f"policy{k}": f"policy {k}",
            f"measure{k}": f"policy {k}, measured",
        }
    last = rounds + 1
    if final_judgements:
        stages |= {f"deploy{last}": "last round: deployment", f"collect{last}": "last round: choices"}
    return stages | {"compare": "comparison of the policies", "export": "export"}


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    facts = read_facts(folder, "bai2022_online", {})
    config = facts.settings(Config)
    stages = stages_of(config.rounds, config.final_judgements)
    facts = replace(facts, results=read_results(folder, stages))
    return write_report_page(facts, stages, _report(facts, config, read_rounds(folder, config.rounds)), SCALES)


def _report(facts: Facts, config: Config, results: RoundResults) -> Report:
    model = facts.model_name or config.model.policy
    sections = [
        _rounds(config, results),
        _elo(results),
        _preference(facts, results),
        _true_preference(config, results),
        _policies(facts, results),
        _replies(results),
        data_section(facts, _data_columns(facts.result("data", DataResult))),
    ]
    return Report(
        title=f"{config.rounds} rounds of online training of {model}",
        summary=_summary(config, results),
        warnings=_warnings(config, results),
        sections=[s for s in sections if s.text or s.figures or s.tables or s.examples],
    )


def _summary(config: Config, results: RoundResults) -> list[str]:
    n_done = sum(k > 0 for k in results.policy)
    choices = sum(collected.choices for collected in results.collect.values())
    paragraphs = [f"{n_done} of {config.rounds} rounds are done, with {choices:,} choices in all."]
    ratings = results.elo.ratings if results.elo else {}
    newest = newest_rated(ratings, range(config.rounds + 1))
    if newest and START in ratings:
        paragraphs.append(
            f"The newest policy that was judged, {newest}, is rated {elo(ratings[newest])} Elo against the policy that "
            "all start from."
        )
    return paragraphs


def _warnings(config: Config, results: RoundResults) -> list[tuple[str, str]]:
    warnings: list[tuple[str, str]] = []
    for k, measured in results.measure.items():
        if measured.facts.commonest_share > COLLAPSE_SHARE:
            share_of_one = f"{100 * measured.facts.commonest_share:.0f} %"
            warnings.append(("Collapse", f"{share_of_one} of the replies of policy {k} are one and the same text."))
    if config.true_preference is None:
        return warnings
    text = (
        f"The annotators' preference is known: they like what is {config.true_preference.criterion}, and err in "
        f"{100 * config.true_preference.noise:.0f} % of their choices. No person has judged, and the static "
        "comparisons were judged anew by this preference."
    )
    return [("Scripted annotators", text), *warnings]


def _rounds(config: Config, results: RoundResults) -> Section:
    rows = []
    for k in sorted({*results.collect, *results.preference}):
        deployed, collected = results.deploy.get(k), results.collect.get(k)
        fit, measured = results.preference.get(k), results.measure.get(k)
        rows.append(
            [
                "before the first" if k == 0 else f"round {k}" if k <= config.rounds else "last, ratings alone",
                ", ".join(deployed.policies) if deployed else DASH,
                _choices(collected) if collected else DASH,
                number(collected.annotators) if collected else DASH,
                _share_or_dash(fit.accuracy.get(data_name(k)) if fit else None),
                nats(measured.gain) if measured else DASH,
                nats(measured.kl) if measured else DASH,
            ]
        )
    heads = [
        "",
        "Policies that answered",
        "Choices",
        "People",
        "Preference model, accuracy on the round's own",
        "Gain by it, nats",
        "KL, nats per reply",
    ]
    return Section(
        anchor="rounds",
        title="Round by round",
        text=[
            "In each round the newest policies answer in the study; then a new preference model is fitted to the "
            "static comparisons and the choices of all rounds so far, and a new policy is trained against it from the "
            "start policy. Choices made before a round's deployment, while the policy before was trained, are part "
            "of the round."
        ],
        tables=[Table(caption="Rounds [95 % interval]", heads=heads, rows=rows)] if rows else [],
    )


def _choices(collected: CollectResult) -> str:
    """How many, and how many of them were made before the round's policies were there."""
    before = collected.before_deployment
    return number(collected.choices) + (f" ({number(before)} before)" if before else "")


def _share_or_dash(estimate: Estimate | None) -> str:
    return share(estimate) if estimate else DASH


def _elo(results: RoundResults) -> Section:
    if results.elo is None:
        return Section(anchor="elo", title="Elo")
    ratings = results.elo.ratings
    order = sorted(ratings, key=lambda policy: (policy != START, policy))
    x_label = "Elo, the policy that all start from at 0"
    frame = Frame(name="elo", title="Elo of each policy", x_label=x_label, vlines=((0.0, START),))
    rows = [
        [policy, *(elo(collected.elo.ratings.get(policy)) for collected in results.collect.values())]
        for policy in order
    ]
    table = Table(
        caption="Elo after each round, by all choices until then [95 % interval]",
        heads=["Policy", *(f"after round {k}" for k in results.collect)],
        rows=rows,
    )
    ties = sum(collected.ties for collected in results.collect.values())
    after = f"Intervals are {results.elo.interval}. {ties} ties are counted, after Davidson 1970."
    notes = [results.elo.note] if results.elo.note else []
    if unrated := results.unrated:
        notes.append(f"Without a rating, as no choice was between it and another: {', '.join(unrated)}.")
    return Section(
        anchor="elo",
        title="Elo",
        text=notes,
        figures=[
            Figure(
                svg=dot_plot([(policy, [ratings[policy]]) for policy in order], ["Elo"], frame) if order else "",
                title="Ratings by all choices so far",
                caption="further right was preferred more often; 100 Elo ahead wins 64 % of choices, 200 Elo 76 %.",
            )
        ],
        tables=[table] if rows else [],
        after=[after] if rows else [],
    )


def _preference(facts: Facts, results: RoundResults) -> Section:
    fits = results.preference
    if not fits:
        return Section(anchor="preference", title="Preference models")
    sets = list(dict.fromkeys(name for fit in fits.values() for name in fit.accuracy))
    frame = Frame(
        name="pm",
        title="Accuracy by set and model",
        x_label="share of held-out pairs judged rightly",
        x_percent=True,
        vlines=((0.5, "chance"),),
    )
    accuracies = [(name, [fit.accuracy.get(name) for fit in fits.values()]) for name in sets]
    losses = [
        metric_series(f"model {k}", facts.metrics.get(f"preference{k}", []), "loss", colour=k, style="line")
        for k in fits
    ]
    curve = Frame(
        name="pmloss",
        title="Loss in training",
        x_label="step",
        y_label="nats per comparison",
        hlines=((0.6931, "knows nothing: ln 2"),),
        integer_x=True,
    )
    return Section(
        anchor="preference",
        title="Preference models",
        figures=[
            Figure(
                svg=dot_plot(accuracies, [f"model {k}" for k in fits], frame),
                title="Accuracy by set and model",
                caption="a row for each held-out set; sets of later rounds are of better policies and harder, so "
                "that a lower number there is no step back.",
            ),
            Figure(
                svg=curve_plot(losses, curve),
                title="Loss",
                caption="one point a batch, before it is learned from.",
            ),
        ],
        tables=[_accuracy_table(results, sets), _mix_table(results, sets)],
    )


def _accuracy_table(results: RoundResults, sets: list[str]) -> Table:
    rows = [
        [
            f"model {k}",
            *(_share_or_dash(fit.accuracy.get(name)) for name in sets),
            _share_or_dash(fit.accuracy_of_last_model),
        ]
        for k, fit in results.preference.items()
    ]
    rows += [
        [f"{rule}, {data_name(k)}", *(share(accuracy) if name == data_name(k) else DASH for name in sets), DASH]
        for k, fit in results.preference.items()
        for rule, accuracy in fit.baselines.items()
    ]
    heads = ["", *sets, "the model before, on the newest set"]
    return Table(caption="Accuracy on held-out pairs [95 % interval]", heads=heads, rows=rows)


def _mix_table(results: RoundResults, sets: list[str]) -> Table:
    rows = [
        [f"model {k}", *(number(fit.mix.get(name)) for name in sets), _online_share(fit)]
        for k, fit in results.preference.items()
    ]
    heads = ["", *sets, "Share that is online"]
    return Table(caption="What each model was fitted to, in pairs (copies counted)", heads=heads, rows=rows)


def _online_share(fit: PreferenceRoundResult) -> str:
    total = sum(fit.mix.values())
    return f"{100 * (total - fit.mix[data_name(0)]) / max(1, total):.0f} %"


def _true_preference(config: Config, results: RoundResults) -> Section:
    if config.true_preference is None:
        return Section(anchor="known", title="What was learned")
    rows = []
    for k in sorted({*results.preference, *results.measure}):
        fit, measured = results.preference.get(k), results.measure.get(k)
        gain = measured.true_gain if measured else None
        rows.append(
            [
                f"round {k}" if k else "before the first",
                _share_or_dash(fit.agreement if fit else None),
                nats(gain.gain) if gain else DASH,
                share(gain.wins) if gain else DASH,
            ]
        )
    heads = [
        "",
        "Pairs the preference model orders as they truly would",
        "Gain of the policy in liking",
        "Replies liked better than the start policy's",
    ]
    return Section(
        anchor="known",
        title="How much of the known preference was learned",
        text=[
            "Measured against what the scripted annotators like, without their errors. Half is chance in both shares."
        ],
        tables=[Table(caption="By round [95 % interval]", heads=heads, rows=rows)] if rows else [],
    )


def _policies(facts: Facts, results: RoundResults) -> Section:
    if not results.policy:
        return Section(anchor="policies", title="Policies")
    kl = Frame(name="kl", title="KL in training", x_label="step", y_label="nats per reply", integer_x=True)
    score = Frame(name="score", title="Score in training", x_label="step", y_label="nats", integer_x=True)

    def curves(key: str) -> list[Series]:
        lines = facts.metrics
        return [metric_series(f"policy {k}", lines.get(f"policy{k}", []), key, colour=k) for k in results.policy]

    gains = results.compare.gain if results.compare else {}
    rows = [["by the last preference model, " + policy.replace("_", " "), nats(gain)] for policy, gain in gains.items()]
    caption = "Gain over the start policy on held-out prompts [95 % interval]"
    return Section(
        anchor="policies",
        title="Policies",
        figures=[
            Figure(
                svg=curve_plot(curves("score"), score),
                title="Score",
                caption="by each policy's own preference model; the start policy is at 0. Models differ, so lines "
                "of different policies cannot be compared.",
            ),
            Figure(svg=curve_plot(curves("kl"), kl), title="KL", caption="how far from the start policy."),
        ],
        tables=[Table(caption=caption, heads=["", "nats"], rows=rows)] if rows else [],
        after=[f"Policy {k} stopped early: {fit.stopped}." for k, fit in results.policy.items() if fit.stopped],
    )


def _replies(results: RoundResults) -> Section:
    if results.compare is None:
        return Section(anchor="replies", title="Replies")
    examples = results.compare.examples
    names = {policy: policy.replace("_", " ") for compared in examples for policy in compared.replies}
    return Section(
        anchor="replies",
        title="What the policies say",
        text=["The first reply of each policy to held-out prompts."],
        examples=[
            example(i, replies.prompt, replies.replies, names, category=replies.category, scores=replies.scores)
            for i, replies in enumerate(examples, start=1)
        ],
    )


def _data_columns(data: DataResult | None) -> dict[str, dict[str, int]] | None:
    if data is None:
        return None
    return {
        "Comparisons": data.comparisons,
        "Pairs": data.pairs,
        "Tokens, prefix once": data.tokens,
        "Shortened": data.shortened,
    }
