"""``report.html`` of the recipe ``online``: all rounds in one page."""

from collections.abc import Mapping
from pathlib import Path

from preflab.atomic_files import read_json
from preflab.maths.statistics import Estimate
from preflab.reporting.format import DASH, elo, nats, number, share
from preflab.reporting.html import Json, metric_series
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


def stages_of(config: Json) -> dict[str, str]:
    """Stages of a finished run in order, with words for each."""
    found = {"data": "data"}
    for k in range(config["rounds"] + 1):
        if k:
            found |= {f"deploy{k}": f"round {k}: deployment", f"collect{k}": f"round {k}: choices"}
        found |= {
            f"preference{k}": f"preference model {k}",
            f"policy{k}": f"policy {k}",
            f"measure{k}": f"policy {k}, measured",
        }
    last = config["rounds"] + 1
    if config["final_judgements"]:
        found |= {f"deploy{last}": "last round: deployment", f"collect{last}": "last round: choices"}
    return found | {"compare": "comparison of the policies", "export": "export"}


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    from preflab.recipes.bai2022_online.config import SCALES  # here, because online imports this module

    stages = stages_of(read_json(folder / "config.json")["config"])
    facts = read_facts(folder, "bai2022_online", stages)
    return write_report_page(facts, stages, _story(facts), SCALES)


def _story(facts: Facts) -> Report:
    config = facts.config
    heads = {"comparisons": "Comparisons", "pairs": "Pairs", "tokens": "Tokens, prefix once", "shortened": "Shortened"}
    model = facts.record["model"].get("name") or config["model"]["policy"]
    sections = [_rounds(facts), _elo(facts), _preference(facts), _known(facts), _policies(facts), _replies(facts),
                data_section(facts, heads)]  # fmt: skip
    return Report(
        title=f"{config['rounds']} rounds of online training of {model}",
        summary=_lead(facts),
        warnings=_notices(facts),
        sections=[s for s in sections if s.text or s.figures or s.tables or s.examples],
    )


def _lead(facts: Facts) -> list[str]:
    r, config = facts.results, facts.config
    done = sum(f"policy{k}" in r for k in range(1, config["rounds"] + 1))
    choices = sum(own["choices"] for name, own in r.items() if name.startswith("collect"))
    found = [f"{done} of {config['rounds']} rounds are done, with {choices:,} choices in all."]
    ratings = _ratings(facts)
    newest = next((f"round-{k}" for k in range(config["rounds"], -1, -1) if f"round-{k}" in ratings), None)
    if newest and "start" in ratings:
        found.append(
            f"The newest policy that was judged, {newest}, is rated {elo(ratings[newest])} Elo against the policy that "
            "all start from."
        )
    return found


def _notices(facts: Facts) -> list[tuple[str, str]]:
    known, found = facts.config["known"], list[tuple[str, str]]()
    for k in _numbers(facts, "measure"):
        share_of_one = facts.results[f"measure{k}"].get("facts", {}).get("commonest_share", 0.0)
        if share_of_one > 0.2:
            text = f"{100 * share_of_one:.0f} % of the replies of policy {k} are one and the same text."
            found.append(("Collapse", text))
    if known is None:
        return found
    text = (
        f"The annotators' preference is known: they like what is {known['criterion']}, and err in "
        f"{100 * known['noise']:.0f} % of their choices. No person has judged, and the static comparisons were judged "
        "anew by this preference."
    )
    return [("Scripted annotators", text), *found]


def _numbers(facts: Facts, stage: str) -> list[int]:
    """Rounds of which a stage has finished."""
    return [k for k in range(facts.config["rounds"] + 2) if f"{stage}{k}" in facts.results]


def _rounds(facts: Facts) -> Section:
    r = facts.results
    rows = []
    for k in sorted({*_numbers(facts, "collect"), *_numbers(facts, "preference")}):
        told, fit, measured = (r.get(f"{stage}{k}") for stage in ("collect", "preference", "measure"))
        name = "before the first" if k == 0 else f"round {k}" if k <= facts.config["rounds"] else "last, ratings alone"
        rows.append([
            name,
            ", ".join(r[f"deploy{k}"]["policies"]) if f"deploy{k}" in r else DASH,
            _choices(told) if told else DASH,
            number(told["annotators"]) if told else DASH,
            share(fit["accuracy"].get(_of(k))) if fit and fit["accuracy"].get(_of(k)) else DASH,
            nats(measured["gain"]) if measured else DASH,
            nats(measured["kl"]) if measured else DASH,
        ])  # fmt: skip
    heads = ["", "Policies that answered", "Choices", "People", "Preference model, accuracy on the round's own",
             "Gain by it, nats", "KL, nats per reply"]  # fmt: skip
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


def _choices(told: Json) -> str:
    """How many, and how many of them were made before the round's policies were there."""
    return number(told["choices"]) + (f" ({number(told['before'])} before)" if told["before"] else "")


def _of(number: int) -> str:
    return f"round {number}" if number else "static"


def _ratings(facts: Facts) -> Mapping[str, Estimate]:
    waves = _numbers(facts, "collect")
    found: Mapping[str, Estimate] = facts.results[f"collect{waves[-1]}"]["elo"]["ratings"] if waves else {}
    return found


def _elo(facts: Facts) -> Section:
    waves = _numbers(facts, "collect")
    if not waves:
        return Section(anchor="elo", title="Elo")
    ratings = _ratings(facts)
    order = sorted(ratings, key=lambda name: (name != "start", name))
    frame = Frame(name="elo", title="Elo of each policy", x_label="Elo, the policy that all start from at 0",
                  vlines=((0.0, "start"),))  # fmt: skip
    rows = [[name, *(elo(facts.results[f"collect{k}"]["elo"]["ratings"].get(name)) for k in waves)] for name in order]
    told = facts.results[f"collect{waves[-1]}"]["elo"]
    ties = sum(facts.results[f"collect{k}"]["ties"] for k in waves)
    after = [f"Intervals are {told['interval']}. {ties} ties are counted, after Davidson 1970."]
    return Section(
        anchor="elo",
        title="Elo",
        text=[told["note"]] if told["note"] else [],
        figures=[
            Figure(
                svg=dot_plot([(name, [ratings[name]]) for name in order], ["Elo"], frame) if order else "",
                title="Ratings by all choices so far",
                caption="further right was preferred more often; 100 Elo ahead wins 64 % of choices, 200 Elo 76 %.",
            )
        ],
        tables=[Table(caption="Elo after each round, by all choices until then [95 % interval]",
                      heads=["Policy", *(f"after round {k}" for k in waves)], rows=rows)] if rows else [],
        after=after if rows else [],
    )  # fmt: skip


def _preference(facts: Facts) -> Section:
    fitted = _numbers(facts, "preference")
    if not fitted:
        return Section(anchor="preference", title="Preference models")
    r = facts.results
    sets = list(dict.fromkeys(name for k in fitted for name in r[f"preference{k}"]["accuracy"]))
    label = "share of held-out pairs judged rightly"
    frame = Frame(name="pm", title="Accuracy by set and model", x_label=label, x_percent=True,
                  vlines=((0.5, "chance"),))  # fmt: skip
    lines = [(name, [r[f"preference{k}"]["accuracy"].get(name) for k in fitted]) for name in sets]
    rows = []
    for k in fitted:
        own = r[f"preference{k}"]
        rows.append([f"model {k}", *(_maybe(own["accuracy"].get(name)) for name in sets), _maybe(own["before"])])
    rows += [
        [f"{rule}, {_of(k)}", *(share(e) if name == _of(k) else DASH for name in sets), DASH]
        for k in fitted
        for rule, e in r[f"preference{k}"]["baselines"].items()
    ]
    mix = [
        [f"model {k}", *(number(r[f"preference{k}"]["mix"].get(name)) for name in sets), _online(r[f"preference{k}"])]
        for k in fitted
    ]
    losses = [
        metric_series(f"model {k}", facts.metrics.get(f"preference{k}", []), "loss", colour=k, style="line")
        for k in fitted
    ]
    curve = Frame(name="pmloss", title="Loss in training", x_label="step", y_label="nats per comparison",
                  hlines=((0.6931, "knows nothing: ln 2"),), integer_x=True)  # fmt: skip
    return Section(
        anchor="preference",
        title="Preference models",
        figures=[
            Figure(svg=dot_plot(lines, [f"model {k}" for k in fitted], frame), title="Accuracy by set and model",
                   caption="a row for each held-out set; sets of later rounds are of better policies and harder, so "
                   "that a lower number there is no step back."),
            Figure(svg=curve_plot(losses, curve), title="Loss",
                   caption="one point a batch, before it is learned from."),
        ],
        tables=[
            Table(caption="Accuracy on held-out pairs [95 % interval]",
                  heads=["", *sets, "the model before, on the newest set"], rows=rows),
            Table(caption="What each model was fitted to, in pairs (copies counted)",
                  heads=["", *sets, "Share that is online"], rows=mix),
        ],
    )  # fmt: skip


def _online(fit: Json) -> str:
    total = sum(fit["mix"].values())
    return f"{100 * (total - fit['mix']['static']) / max(1, total):.0f} %"


def _maybe(estimate: Estimate | None) -> str:
    return share(estimate) if estimate else DASH


def _known(facts: Facts) -> Section:
    if facts.config["known"] is None:
        return Section(anchor="known", title="What was learned")
    rows = []
    for k in sorted({*_numbers(facts, "preference"), *_numbers(facts, "measure")}):
        fit, measured = facts.results.get(f"preference{k}"), facts.results.get(f"measure{k}")
        own = measured["known"] if measured else None
        rows.append([
            f"round {k}" if k else "before the first",
            _maybe(fit["known"]) if fit else DASH,
            nats(own["gain"]) if own else DASH,
            share(own["wins"]) if own else DASH,
        ])  # fmt: skip
    heads = ["", "Pairs the preference model orders as they truly would", "Gain of the policy in liking",
             "Replies liked better than the start policy's"]  # fmt: skip
    return Section(
        anchor="known",
        title="How much of the known preference was learned",
        text=[
            "Measured against what the scripted annotators like, without their errors. Half is chance in both shares."
        ],
        tables=[Table(caption="By round [95 % interval]", heads=heads, rows=rows)] if rows else [],
    )


def _policies(facts: Facts) -> Section:
    r = facts.results
    trained = _numbers(facts, "policy")
    if not trained:
        return Section(anchor="policies", title="Policies")
    frame = Frame(name="kl", title="KL in training", x_label="step", y_label="nats per reply", integer_x=True)
    score = Frame(name="score", title="Score in training", x_label="step", y_label="nats", integer_x=True)

    def over(key: str) -> list[Series]:
        return [metric_series(f"policy {k}", facts.metrics.get(f"policy{k}", []), key, colour=k) for k in trained]

    rows = [["by the last preference model, " + name.replace("_", " "), nats(e)]
            for name, e in r.get("compare", {}).get("gain", {}).items()]  # fmt: skip
    stopped = [
        f"Policy {k} stopped early: {r[f'policy{k}']['stopped']}." for k in trained if r[f"policy{k}"]["stopped"]
    ]
    return Section(
        anchor="policies",
        title="Policies",
        figures=[
            Figure(svg=curve_plot(over("score"), score), title="Score",
                   caption="by each policy's own preference model; the start policy is at 0. Models differ, so lines "
                   "of different policies cannot be compared."),
            Figure(svg=curve_plot(over("kl"), frame), title="KL", caption="how far from the start policy."),
        ],
        tables=[Table(caption="Gain over the start policy on held-out prompts [95 % interval]", heads=["", "nats"],
                      rows=rows)] if rows else [],
        after=stopped,
    )  # fmt: skip


def _replies(facts: Facts) -> Section:
    if "compare" not in facts.results:
        return Section(anchor="replies", title="Replies")
    listed = facts.results["compare"]["examples"]
    words = {who: who.replace("_", " ") for one in listed for who in one["replies"]}
    return Section(
        anchor="replies",
        title="What the policies say",
        text=["The first reply of each policy to held-out prompts."],
        examples=[example(i, one, words) for i, one in enumerate(listed, start=1)],
    )
