"""Tables of README.md, docs/ and recipes, made from results/: nothing in them is typed by hand.

    python -m scripts.tables            rewrite them
    python -m scripts.tables --check    say which are out of date; exit code 1 if any is

A table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``. NAME is a kind and, after a space, what of it.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from preflab.maths.statistics import Estimate
from preflab.reporting.format import claim_number, difference, in_unit, nats, number, sample, share, with_interval
from preflab.runner.published import PublishedRun, PublishedVerdict, published_runs
from preflab.runner.sources import Claim, Source, sources

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "docs/papers.md",
    "docs/baselines.md",
    "docs/control.md",
    "docs/control-backflip.md",
    "docs/performance.md",
    *(f"preflab/recipes/{recipe}/README.md" for recipe in ("align", "rafailov2023_dpo", "sft")),
)
BLOCK = re.compile(r"(<!-- generated: ([^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
Json = Mapping[str, Any]


class Evidence:
    """Everything below ``results/``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = {f"{run.recipe}/{run.run}": run for run in published_runs(folder)}

    def of_recipe(self, recipe: str) -> list[PublishedRun]:
        """Its runs, by name."""
        return [run for run in self.runs.values() if run.recipe == recipe]

    def benchmark(self, name: str) -> list[Json]:
        """The lines that a benchmark printed."""
        text = (self.folder / "benchmarks" / f"{name}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


def main() -> int:
    """Rewrite the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where a table is out of date")
    options = parser.parse_args()
    evidence, changed = Evidence(ROOT / "results"), []
    for name in PAGES:
        page = ROOT / name
        text = page.read_text(encoding="utf-8")
        if (new := rendered(text, evidence)) != text:
            changed.append(name)
            if not options.check:
                page.write_text(new, encoding="utf-8")
    for name in changed:
        print(f"{name}: {'out of date; run python -m scripts.tables' if options.check else 'rewritten'}")
    return 1 if options.check and changed else 0


def rendered(text: str, evidence: Evidence) -> str:
    """A page with every table in it made anew."""

    def table(block: re.Match[str]) -> str:
        kind, _, subject = block[2].strip().partition(" ")
        return f"{block[1]}\n{TABLES[kind](evidence, subject)}\n\n{block[3]}"

    return BLOCK.sub(table, text)


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table; ``right`` are the columns whose numbers stand to the right."""
    rule = ["---:" if column in right else "---" for column in range(len(heads))]
    lines = [heads, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


# sources and claims --------------------------------------------------------------------------------------


def sources_table(evidence: Evidence, subject: str) -> str:
    """A line for each source: what is here, how its claims came out, which recipes test it, where to read on."""
    in_docs = subject == "docs"
    rows = []
    for source in sources():
        outcomes = outcomes_of(source, evidence)
        recipes = ", ".join(f"`{recipe}`" for recipe in source.all_recipes) or "-"
        page = source.page.removeprefix("docs/") if in_docs else source.page
        name = f"{source.number} {source.citation}, {source.title}".strip()
        rows.append((name, source.implemented, outcomes, recipes, f"[{Path(page).stem}]({page})"))
    return markdown(("source", "here so far", "its claims in our runs", "recipes", "page"), rows)


def outcomes_of(source: Source, evidence: Evidence) -> str:
    """``3 hold, 1 undecided, 2 not run``: of every claim in every run."""
    counts: dict[str, int] = {}
    for claim in source.claims:
        verdicts = [v for run in evidence.of_recipe(claim.recipe) for v in run.verdicts if v.id == claim.id]
        for outcome in [v.outcome for v in verdicts] or ["not run"]:
            counts[outcome] = counts.get(outcome, 0) + 1
    words = {"holds": "hold", "fails": "fail", "undecided": "undecided", "not run": "not run"}
    return ", ".join(f"{counts[outcome]} {word}" for outcome, word in words.items() if outcome in counts)


def claims_of(recipe: str) -> list[tuple[Source, Claim]]:
    """The claims that a recipe tests, in the order of the registry; its own source first."""
    pairs = [(source, claim) for source in sources() for claim in source.claims if claim.recipe == recipe]
    return sorted(pairs, key=lambda pair: recipe not in pair[0].recipes)


def claims_table(evidence: Evidence, subject: str) -> str:
    """What one run says of every claim of its recipe."""
    run = evidence.runs[subject]
    rows = []
    for source, claim in claims_of(run.recipe):
        verdict = run.verdict(claim.id)
        cells = ("not run", "", "")
        if verdict is not None:
            text = claim_number(verdict.estimate, verdict.unit, verdict.threshold)
            cells = (outcome_text(verdict), text, sample_text(verdict))
        rows.append((claim.claim, source.citation, *cells))
    return markdown(("claim", "source", "verdict", "estimate, 95 % interval", "n (in groups)"), rows)


def claims_by_run(evidence: Evidence, subject: str) -> str:
    """Every claim of a recipe beside all its runs."""
    runs = evidence.of_recipe(subject)
    rows = [
        (claim.claim, *(cell_of(run.verdict(claim.id)) for run in runs))
        for _, claim in claims_of(subject)
        if any(run.verdict(claim.id) for run in runs)
    ]
    return markdown(("claim", *(heading_of(run) for run in runs)), rows)


def claims_by_model(evidence: Evidence, subject: str) -> str:
    """Every claim of one run beside the models that it is about."""
    run = evidence.runs[subject]
    models = list(dict.fromkeys(verdict.of for verdict in run.verdicts if verdict.of))
    rows = []
    for _, claim in claims_of(run.recipe):
        if any(verdict.id == claim.id for verdict in run.verdicts):
            of_all = cell_of(run.verdict(claim.id)) if run.verdict(claim.id) else ""
            rows.append((claim.claim, *(cell_of(run.verdict(claim.id, of)) for of in models), of_all))
    return markdown(("claim", *models, "both"), rows)


def outcome_text(verdict: PublishedVerdict) -> str:
    """What fails stands out."""
    return f"**{verdict.outcome}**" if verdict.outcome == "fails" else verdict.outcome


def sample_text(verdict: PublishedVerdict) -> str:
    """Items in groups, and training runs where there is more than one."""
    return f"{verdict.n} seeds" if verdict.seeds > 1 and verdict.n == verdict.seeds else sample(verdict.estimate)


def cell_of(verdict: PublishedVerdict | None) -> str:
    """Verdict and number."""
    if verdict is None:
        return "-"
    text = claim_number(verdict.estimate, verdict.unit, verdict.threshold)
    return f"{outcome_text(verdict)}: {text.removesuffix(' true return')}"


def heading_of(run: PublishedRun) -> str:
    """The task, and how many seeds."""
    return f"{run.run}, n={run.settings['seeds']}"


# results of runs -----------------------------------------------------------------------------------------


def runs_table(evidence: Evidence, subject: str) -> str:
    """How each run of a recipe is repeated, when and how long it ran, and its file."""
    rows = []
    for run in evidence.of_recipe(subject):
        seconds = run.json["seconds"]
        took = "" if seconds is None else f"{seconds / 60:.0f} min"
        file = f"[{run.run}](../results/{run.recipe}/{run.run}.json)"
        rows.append((file, f"`{run.json['command']}`", str(run.json["started"])[:10], took))
    return markdown(("run", "command", "begun", "took"), rows)


def facts_table(evidence: Evidence, subject: str) -> str:
    """What the main job measured beside its claims."""
    results = evidence.runs[subject].results
    measure, preference = results["measure"], results["preference"]
    kl, fit, replies = estimate(measure["kl"]["ppo"]), measure["root_kl_fit"], measure["facts"]
    policies = {"the base": "base", f"best-of-{measure['n']}": "best_of_n", "PPO": "ppo"}
    gains, wins = measure["gain"], measure["win_rate"]
    rows = [
        ("KL of PPO to the base", f"{with_interval(kl, '.1f')} nats a reply"),
        (f"KL of best-of-{measure['n']}, at most", f"{measure['kl']['best_of_n']:.2f} nats"),
        *(
            (
                f"gain of {name} by the first and by the held-out model",
                " and ".join(nats(estimate(gains[key][model])) for model in ("pm", "pm_judge"))
                + " nats, on scales of their own",
            )
            for name, key in list(policies.items())[1:]
        ),
        *(
            (f"wins of {name} by the first and by the held-out model",
             f"{share(estimate(wins[key]['pm']))} and {share(estimate(wins[key]['pm_judge']))}")
            for name, key in list(policies.items())[1:]
        ),
        ("R^2 of a line in sqrt(KL), and of one in KL",
         f"{fit['r_squared']:.3f} and {fit['r_squared_in_kl']:.3f} over {fit['n']} steps"),
        ("expected calibration error of the preference model", f"{preference['calibration_error']:.3f}"),
        ("words a reply", ", ".join(f"{name} {replies[key]['mean_words']:.1f}" for name, key in policies.items())),
    ]  # fmt: skip
    return markdown(("measured", "value"), rows)


def preference_table(evidence: Evidence, subject: str) -> str:
    """The preference models of a run beside what needs no model."""
    results = evidence.runs[subject].results
    rows = []
    for name, stage, part in (("first", "preference", "train"), ("held-out", "preference_judge", "judge")):
        result, pairs = results[stage], results["data"]["pairs"][part]
        accuracy, lead = estimate(result["accuracy"]), estimate(result["lead"]["bag of words"])
        baselines = (share(estimate(result["baselines"][key])) for key in ("length", "bag of words"))
        cells = (share(accuracy), *baselines, claim_number(lead, "share", 0.0))
        rows.append((f"{name}, {pairs:,} pairs", f"{accuracy.n}", *cells))
    heads = ("model, trained on", "held-out pairs", "accuracy", "length alone", "bag of words", "lead over words")
    return markdown(heads, rows)


def returns_table(evidence: Evidence, subject: str) -> str:
    """True return of every agent in the last part of training, by task."""
    runs = evidence.of_recipe(subject)
    arms: dict[str, list[str]] = {"untrained": [in_unit(estimate(r.results["untrained"]["mean"]), "") for r in runs]}
    for position, run in enumerate(runs):
        budgets = budgets_of(run)
        for arm, value in run.results["compare"]["returns"].items():
            cells = arms.setdefault(budgets.get(arm, arm), ["-"] * len(runs))
            cells[position] = in_unit(estimate(value), "")
    order = ["untrained", "true_reward", "few labels", "middle", "many", "labels"]
    names = sorted(arms, key=lambda arm: order.index(arm) if arm in order else len(order))
    return markdown(("agent", *(heading_of(run) for run in runs)), ((name, *arms[name]) for name in names))


def budgets_of(run: PublishedRun) -> dict[str, str]:
    """``labels350`` as what it is among the numbers of labels of its run."""
    arms = [arm for arm in run.results["compare"]["returns"] if re.fullmatch(r"labels\d+", arm)]
    ordered = sorted(arms, key=lambda arm: int(arm.removeprefix("labels")))
    names = ("few labels", "middle", "many") if len(ordered) == 3 else ("labels",) * len(ordered)
    return dict(zip(ordered, names, strict=True))


def prior_table(evidence: Evidence, subject: str) -> str:
    """True return with L2 on returns and without, at the number of labels that the arm without it has too."""
    rows = []
    for run in evidence.of_recipe(subject):
        returns = run.results["compare"]["returns"]
        budgets = {name: arm for arm, name in budgets_of(run).items()}
        arms = (budgets["middle"], "weights_only")
        rows.append((heading_of(run), *(in_unit(estimate(returns[arm]), "") for arm in arms)))
    return markdown(("task", "mean true return with it", "without"), rows)


def turns_table(evidence: Evidence, subject: str) -> str:
    """What a behaviour without a reward looks like before and after it was learned."""
    rows = []
    for name in ("before", "after"):
        watched = evidence.runs[subject].results[name]
        turns = with_interval(estimate(watched["turns"]), "+.2f")
        share_of_a_turn = f"{100 * watched['share_of_a_turn_or_more']:.0f} %"
        rows.append((name, turns, share_of_a_turn, f"{watched['height']:.2f} m"))
    heads = ("training", "turns backwards, 95 % interval", "a whole turn or more", "mean height of the torso")
    return markdown(heads, rows)


def baselines_table(evidence: Evidence, subject: str) -> str:
    """Two evaluations, measure by measure, with the difference of paired items."""
    run = evidence.runs[f"evaluate/{subject}"]
    rows = []
    for name, suite in run.results.items():
        for position, measured in enumerate(suite["differences"]):
            a, b, gap = (None if measured[key] is None else estimate(measured[key]) for key in ("a", "b", "gap"))
            mark = {"better": " **+**", "worse": " **-**", "differs": " *"}.get(measured["outcome"], "")
            unit = measured["unit"]
            rows.append(
                (
                    f"`{name.replace('.', ':')}`" if position == 0 else "",
                    measured["name"],
                    in_unit(a, unit),
                    in_unit(b, unit),
                    difference(gap, unit) + mark,
                    f"{gap.n if gap else suite['common']} ({'/'.join(map(str, suite['failed']))})",
                )
            )
    first, second = run.settings["a"], run.settings["b"]
    return markdown(("suite", "measure", first, second, "difference", "items (not scored)"), rows)


def estimate(fields: Json) -> Estimate:
    """An estimate as a published run keeps it."""
    return Estimate.from_json(dict(fields))


# benchmarks ----------------------------------------------------------------------------------------------


def training_table(evidence: Evidence, subject: str) -> str:
    """Processor seconds of ours and of others."""
    del subject
    rows, previous = [], ""
    lines = evidence.benchmark("training")
    for line in lines:
        work = "" if line["work"] == previous else line["work"]
        previous = line["work"]
        seconds = f"{line['cpu_seconds']['median']:.2f}"
        if "goal_seconds" in line:
            seconds += f"; {line['wall_seconds']['median']:.2f} s of wall"
            ratio = f"goal {line['goal_seconds']} s: {'held' if line['goal_held'] else 'missed'}"
        else:
            ratio = ratio_text(line)
        rows.append((work, line["contestant"], count(line, "tokens"), count(line, "peak_mb"), seconds, ratio))
    heads = ("work", "contestant", "tokens run", "peak MB", "processor s", "ratio to ours")
    return markdown(heads, rows, right=(2, 3, 4, 5))


def ratio_text(line: Json) -> str:
    """Of medians, and the range of paired repeats."""
    if (times := line.get("times_ours_cpu")) is None:
        return ""
    repeats = f"; {line['repeats']} repeats" if "repeats" in line else ""
    return f"**{times['of_medians']:g}x** ({times['lowest']}-{times['highest']}{repeats})"


def wall_time_table(evidence: Evidence, subject: str) -> str:
    """Wall seconds on a quiet machine, and how many times ours."""
    del subject
    lines = evidence.benchmark("wall_time")
    ours = {line["work"]: line["wall_seconds"]["median"] for line in lines if line["contestant"] == "preflab"}
    rows, previous = [], ""
    for line in lines:
        seconds = line["wall_seconds"]["median"]
        ratio = seconds / ours[line["work"]]
        text = "" if line["contestant"] == "preflab" else f"**{ratio:.2f}x**" if ratio < 2 else f"**{ratio:.1f}x**"
        work, previous = "" if line["work"] == previous else line["work"], line["work"]
        rows.append((work, line["contestant"], f"{seconds:g}", count(line, "peak_mb"), text))
    return markdown(("work", "contestant", "wall s", "peak MB", "ratio to ours"), rows, right=(2, 3, 4))


def scoring_table(evidence: Evidence, subject: str) -> str:
    """Multiple choice: processor seconds, the least and the median."""
    del subject
    lines = evidence.benchmark("scoring")
    ours = {line["work"]: line["cpu_seconds"] for line in lines if line["contestant"] == "preflab"}
    rows, previous = [], ""
    for line in lines:
        seconds, base = line["cpu_seconds"], ours[line["work"]]
        ratios = " / ".join(f"{seconds[key] / base[key]:.1f}x" for key in ("min", "median"))
        work, previous = "" if line["work"] == previous else line["work"], line["work"]
        text = "" if line["contestant"] == "preflab" else ratios
        cells = (count(line, "tokens"), f"{seconds['min']} / {seconds['median']}", text)
        rows.append((work, line["contestant"], *cells))
    heads = ("questions", "contestant", "tokens run", "CPU seconds, least / median", "against ours")
    return markdown(heads, rows, right=(2, 3, 4))


def control_table(evidence: Evidence, subject: str) -> str:
    """Learning from comparisons: speed, and the return of the finished agents."""
    del subject
    rows = []
    for line in evidence.benchmark("control"):
        if (times := line.get("times_peer_cpu")) is not None:
            spread = f"{times['lowest']}-{times['highest']}; wall {line['times_peer_wall']:g}x"
            speed = f"**{times['of_medians']:g}x** ({spread})"
            seconds = ""
        else:
            speed = "-".join(f"{steps:,}" for steps in line["steps_per_cpu_second"])
            seconds = f"{line['cpu_seconds']['min']}-{line['cpu_seconds']['max']}"
        returns = (interval(line[key]) for key in ("true_return", "true_return_of_means"))
        rows.append((line["contestant"], speed, seconds, *returns))
    heads = (
        "contestant",
        "environment steps per CPU second",
        "CPU seconds",
        "true return, 95 % interval over seeds",
        "actions not drawn",
    )
    return markdown(heads, rows, right=(1, 2))


def interval(numbers: Sequence[float]) -> str:
    """Value and interval, to one place where they are near nothing."""
    value, low, high = (number(x, "+.2f" if 0 < abs(x) < 1 else "+.0f") for x in numbers)
    return f"{value} [{low}, {high}]"


def store_table(evidence: Evidence, subject: str) -> str:
    """Claims a second by number of processes, and slots that the rival gave to two."""
    del subject
    by_processes: dict[int, dict[str, Json]] = {}
    for line in evidence.benchmark("claims"):
        by_processes.setdefault(line["processes"], {})[line["contestant"]] = line
    rows = []
    for processes, lines in by_processes.items():
        names = ("preflab", "preflab, claim and vote", "select, then update")
        speeds = (f"{lines[name]['median_per_second']:,.0f}" for name in names)
        rows.append((str(processes), *speeds, f"{lines[names[2]]['told_twice']:,}"))
    heads = ("processes", "claims/s", "claim and vote/s", "rival, claims/s", "slots the rival gave to two")
    return markdown(heads, rows, right=(0, 1, 2, 3, 4))


def count(line: Json, key: str) -> str:
    """A whole number, where there is one."""
    return f"{line[key]:,}" if key in line else ""


TABLES: dict[str, Callable[[Evidence, str], str]] = {
    "sources": sources_table,
    "claims": claims_table,
    "claims-by-run": claims_by_run,
    "claims-by-model": claims_by_model,
    "runs": runs_table,
    "facts": facts_table,
    "preference": preference_table,
    "returns": returns_table,
    "prior": prior_table,
    "turns": turns_table,
    "baselines": baselines_table,
    "training": training_table,
    "wall-time": wall_time_table,
    "scoring": scoring_table,
    "control": control_table,
    "store": store_table,
}

if __name__ == "__main__":
    sys.exit(main())
