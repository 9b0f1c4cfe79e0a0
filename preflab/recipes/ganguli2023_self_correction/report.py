"""``report.html`` of the recipe ``ganguli2023_self_correction``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from preflab.atomic_files import read_json
from preflab.maths.statistics import Estimate
from preflab.recipes.ganguli2023_self_correction.checkpoints import checkpoint_of, key_of, parameters, slug
from preflab.recipes.ganguli2023_self_correction.figures import (
    by_axis,
    calibration,
    conditions_plot,
    occupations,
    words,
)
from preflab.recipes.ganguli2023_self_correction.measures import HEADLINE, measure_named
from preflab.reporting.format import DASH, in_unit, number, points, sample
from preflab.reporting.html import Json
from preflab.reporting.report import Facts, Report, Section, Table, read_facts, write_report_page

RECIPE = "ganguli2023_self_correction"
TITLES = {"bbq": "BBQ", "winogender": "Pronouns", "admissions": "Admissions"}
READING = {
    "bbq": "s_AMB: 1 if every person named in ambiguous contexts agrees with the stereotype and somebody always is "
    "named, -1 if none does, 0 if as many as not or nobody is named.",
    "winogender": "rho: correlation over occupations of the probability of the female form with the share of women. 1 "
    "mirrors the statistics, 0 is blind to occupation; neither is right in itself.",
    "admissions": "The gap in P(yes) between the two values of the attribute, mean over students; 0 is parity. No "
    "model should decide on admissions, whatever its gap.",
}
WARNING = (
    "The benchmarks put harmful stereotypes about groups of people in plain words. This page prints none of their "
    "items, but the files under items/ and export/ do."
)
LIMITS = (
    "A score of 0 on these tests does not make a model fair, rho of 0 or 1 is not right in itself, favouring a group "
    "may be lawful or unlawful by place, and the instructions can be turned round, as the inverted condition does."
)


def stages_of(config: Json) -> dict[str, str]:
    """What a finished run has, in order."""
    found = {"data": "data"}
    for text in config["checkpoints"]:
        name = slug(checkpoint_of(text))
        found |= {f"{name}.{own}": f"{name}, {TITLES[own]}" for own in config["benchmarks"]}
    return found | {"compare": "comparison", "export": "export"}


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    from preflab.recipes.ganguli2023_self_correction.config import SCALES  # here, because it imports this module

    found = read_json(folder / "config.json")
    stages = stages_of(found["config"]) if found.get("recipe") == RECIPE else {}
    facts = read_facts(folder, RECIPE, stages)
    return write_report_page(facts, stages, _story(facts), SCALES)


def measured(facts: Facts, benchmark: str) -> list[Json]:
    """The results of one benchmark, checkpoint by checkpoint, by size and steps."""
    own = [result for result in facts.results.values() if result.get("benchmark") == benchmark]
    return sorted(own, key=lambda r: (r["size"] or 0, -1 if r["steps"] is None else r["steps"]))


def _story(facts: Facts) -> Report:
    r, config = facts.results, facts.config
    notices = [("Content", WARNING), ("Limits", LIMITS)]
    if any(checkpoint_of(own).name == "tiny" for own in config["checkpoints"]):
        notices.insert(0, ("Smoke run", "A random two-layer model is among the checkpoints; its numbers say nothing."))
    sections = [_benchmark(facts, own) for own in config["benchmarks"]]
    sections += [_reductions(r), _paraphrases(facts), _pronouns(facts), _thoughts(r), _data(r)]
    return Report(
        title="Moral self-correction: what an instruction takes off a model's bias",
        summary=_lead(r),
        warnings=notices,
        sections=[own for own in sections if own.text or own.figures or own.tables],
    )


def _lead(r: Json) -> list[str]:
    if "compare" not in r:
        return ["The comparison has not finished yet; what has been measured so far is below."]
    verdicts = r["compare"]["verdicts"]
    counts = {what: sum(v["outcome"] == what for v in verdicts) for what in ("holds", "undecided", "fails")}
    found = [
        f"Of {len(verdicts)} claims {counts['holds']} hold, {counts['undecided']} are undecided and {counts['fails']} "
        "fail here. Differences are in hundredths of the measure; the conditions are compared on the same items."
    ]
    if lacking := r["compare"]["undefined"]:
        found.append(
            f"Undefined, and so not judged: {'; '.join(lacking)}. A correlation is undefined where the model says "
            "the same of every occupation, and of few groups no interval is to be had."
        )
    return found


def _benchmark(facts: Facts, benchmark: str) -> Section:
    results = measured(facts, benchmark)
    if not results:
        return Section(anchor=benchmark, title=TITLES[benchmark])
    first, name = facts.config["paraphrases"][0], HEADLINE[benchmark]  # type: ignore[index]
    keys = [key_of(own, first) for own in facts.config["conditions"]]
    asked = [key for key in keys if any(key in own["conditions"] for own in results)]
    tables = [_values(results, asked), *_grid(results, asked, name)]
    figures = [conditions_plot(benchmark, results, asked, name), *by_axis(benchmark, results, asked, name)]
    counted = [own["checkpoint"] for own in results if own["sampling"]]
    return Section(
        anchor=benchmark,
        title=TITLES[benchmark],
        text=[READING[benchmark]],
        figures=figures,
        tables=tables,
        after=[f"Counted from replies, as there are no probabilities: {', '.join(counted)}."] if counted else [],
    )


def _values(results: Sequence[Json], keys: Sequence[str]) -> Table:
    shown = [name for own in results for found in own["conditions"].values() for name in found["measures"]]
    names = {name: measure_named(results[0]["benchmark"], name).unit for name in shown}
    rows = []
    for own in results:
        for key in (key for key in keys if key in own["conditions"]):
            found = own["conditions"][key]
            failed = sum(found["failed"].values())
            why = f" ({'; '.join(found['failed'])})" if failed else ""
            rows.append(
                [
                    f"{own['checkpoint']}: {words(key)}",
                    *(in_unit(found["measures"].get(name), unit) for name, unit in names.items()),
                    f"{found['scored']} of {found['items']}{why}",
                ]
            )
    heads = ["Checkpoint: condition", *names, "Scored"]
    return Table(caption="Estimates [95 % interval], first paraphrase", heads=heads, rows=rows)


def _grid(results: Sequence[Json], keys: Sequence[str], name: str) -> list[Table]:
    """Sizes by steps, a table a condition; nothing unless both vary."""
    sizes = sorted({own["size"] for own in results if own["size"]})
    steps = sorted({own["steps"] for own in results if own["steps"] is not None})
    if len(sizes) < 2 or len(steps) < 2:
        return []
    found = []
    for key in keys:
        cells = {
            (own["size"], own["steps"]): own["conditions"].get(key, {}).get("measures", {}).get(name) for own in results
        }
        rows = [[parameters(size), *(in_unit(cells[size, s], "score") if (size, s) in cells else DASH for s in steps)]
                for size in sizes]  # fmt: skip
        found.append(
            Table(caption=f"{name} under {words(key)}, sizes by steps", heads=["Size", *map(str, steps)], rows=rows)
        )
    return found


def _reductions(r: Json) -> Section:
    title = "How much comes off"
    if "compare" not in r:
        return Section(anchor="reduction", title=title)
    rows = [
        [f"{own['checkpoint']}: {TITLES[own['benchmark']]}, {words(own['condition'])}", number(own["paraphrase"] + 1),
         points(own["change"]) if own["change"] else "undefined", _share(own["reduction"]),
         sample(own["change"])]
        for own in r["compare"]["gaps"]
    ]  # fmt: skip
    pairing = [
        f"{own['checkpoint']}: the standard error of the admissions gap is {100 * own['paired']:.2f} points from each "
        f"student's own difference; were the two prompts' students strangers it would be {100 * own['unpaired']:.2f}."
        for own in r["compare"]["pairing"]
    ]
    heads = ["Checkpoint: benchmark, condition", "Paraphrase", "Change", "Relative reduction", "n (in groups)"]
    return Section(
        anchor="reduction",
        title=title,
        text=["Change: the condition's measure minus that of Q. Relative reduction: 1 - measure/measure under Q; 100 % "
              "if it is gone, above if its sign turned, below 0 if it grew. Where the measure under Q may be 0 the "
              "reduction's interval is wide or unbounded and says little."],
        tables=[Table(caption="Every condition against the plain question, on the same items",
                      heads=heads, rows=rows)] if rows else [],
        after=pairing,
    )  # fmt: skip


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return "undefined"
    ends = " to ".join(number(100 * own, "+.0f") for own in (estimate.low, estimate.high))
    return f"{number(100 * estimate.value, '+.0f')} % [{ends}]"


def _paraphrases(facts: Facts) -> Section:
    wanted = facts.config["paraphrases"]
    title = "Does the wording matter?"
    if len(wanted) < 2 or "compare" not in facts.results:
        return Section(anchor="wording", title=title)
    by: dict[tuple[str, str, str], dict[int, Estimate | None]] = {}
    for own in facts.results["compare"]["gaps"]:
        by.setdefault((own["checkpoint"], own["benchmark"], own["condition"]), {})[own["paraphrase"]] = own["change"]
    rows = []
    for (checkpoint, benchmark, condition), found in by.items():
        known = [own for own in found.values() if own is not None]
        down = sum(own.value < 0 for own in known)
        cells = [points(own) if (own := found.get(p)) else "undefined" for p in wanted]
        rows.append([f"{checkpoint}: {TITLES[benchmark]}, {words(condition)}", *cells, f"{down} of {len(known)}"])
    return Section(
        anchor="wording",
        title=title,
        text=["The same instruction in other words. An effect that one wording has and another has not is an effect of "
              "the wording."],
        tables=[Table(caption="Change against Q by paraphrase",
                      heads=["Checkpoint: benchmark, condition", *(f"Paraphrase {p + 1}" for p in wanted), "Downward"],
                      rows=rows)],
    )  # fmt: skip


def _pronouns(facts: Facts) -> Section:
    found: Mapping[str, Sequence[Mapping[str, Any]]] = facts.results.get("compare", {}).get("occupations", {})
    figures = [*occupations(found), *calibration(found)]
    return Section(anchor="occupations", title="Pronouns by occupation",
                   text=[f"Of {facts.results['compare']['main']}, the largest and longest trained."] if figures else [],
                   figures=figures)  # fmt: skip


def _thoughts(r: Json) -> Section:
    rows = [
        [f"{own['checkpoint']}: {TITLES[own['benchmark']]}", number(own["paraphrase"] + 1), number(own["words"], ".1f"),
         ", ".join(number(v, "+.3f") for v in own["by_thought"]) or DASH, number(own["sd_of_measure"], ".3f"),
         number(own["sd_within_items"], ".3f")]
        for own in r.get("compare", {}).get("thoughts", [])
    ]  # fmt: skip
    heads = ["Checkpoint: benchmark", "Paraphrase", "Words a chain", "Measure by each chain alone", "SD of these",
             "Mean SD within items"]  # fmt: skip
    return Section(
        anchor="thoughts",
        title="How much does the chain of thought vary?",
        text=["Reasoning is drawn, so the same item is answered otherwise when it is drawn again."] if rows else [],
        tables=[Table(caption="Chains of thought", heads=heads, rows=rows)] if rows else [],
    )


def _data(r: Json) -> Section:
    found = r.get("data", {}).get("benchmarks", {})
    rows = [[TITLES[name], ", ".join(own["files"]), number(own["items"]), number(own["asked"]), number(own["groups"])]
            for name, own in found.items()]  # fmt: skip
    after = [f"{TITLES[name]}: {own['source']}. {own['warning']}" for name, own in found.items()]
    after += [
        f"{TITLES[name]}: left out {n:,} x {why}." for name, own in found.items() for why, n in own["refused"].items()
    ]
    heads = ["Benchmark", "Files", "Items there", "Items asked", "in groups"]
    return Section(anchor="data", title="The data, and their licences", after=after,
                   tables=[Table(caption="What was asked", heads=heads, rows=rows)] if rows else [])  # fmt: skip
