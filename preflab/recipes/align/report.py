"""``report.html`` of the main job: one file without scripts or remote parts, for a newcomer and for an expert.

What is said follows from the files of the run folder alone, so that an interrupted run, or one that was told to stop
early, has a report too. The words stand in the template; here are the numbers, the choice of examples and the plots.
Replies are the output of a model: they are escaped, never markup.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from preflab.atomic_files import read_json
from preflab.conversion import to_json
from preflab.errors import RunError
from preflab.evals.metrics.reply_stats import reply_facts
from preflab.maths.statistics import Bin
from preflab.recipes.align.config import SCALES
from preflab.recipes.align.measure import JUDGES, preference_verdicts
from preflab.reporting.html import metric_series, repeat_command, truncate, write_page
from preflab.reporting.plots import Frame, Series, curve_plot, dot_plot, reliability_plot
from preflab.reporting.run_files import metric_lines, restore_estimates
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
NOT_ASKED = {
    "preference": {"best_of_n", "ppo", "measure", "suites"},
    "best-of-n": {"ppo", "measure", "suites"},
    "ppo": {"measure", "suites"},
}
"""Stages that a value of ``config.until`` leaves out."""
MODELS = ("first model", "second model")
COLLAPSE = 0.2
"""Share of the commonest reply above which the report warns."""
PER_STRATUM = 3
TEXT_BUDGET = 700_000
"""Characters of prompts and replies in the whole report."""

Json = dict[str, Any]


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    facts = read_facts(folder)
    return write_page(
        folder,
        Path(__file__).with_name("report.html.j2"),
        **facts,
        stages=STAGES,
        status=status(facts),
        examples=examples(facts["results"]),
        plots=plots(facts),
        command=command(facts),
        settings=flatten_settings(facts["config"]),
        ln2=math.log(2),
        collapse=COLLAPSE,
    )


def read_facts(folder: Path) -> Json:
    """Settings, record, metrics, finished results and verdicts of a run; estimates as `Estimate`."""
    whole = read_json(folder / "config.json")
    if whole.get("recipe") != "align":
        raise RunError(f"{folder} is a run of {whole.get('recipe')!r}; this report is of the recipe 'align'")
    paths = {name: folder / "results" / f"{name}.json" for name in STAGES}
    results: Json = {name: read_json(path) for name, path in paths.items() if path.exists()}
    verdicts: Json = {
        s: to_json(preference_verdicts(results[s])) for s in ("preference", "preference_judge") if s in results
    }
    if "measure" in results:
        verdicts["measure"] = results["measure"]["verdicts"]
        shown = [e["ppo"] for e in results["measure"]["examples"]]
        results["measure"]["facts"]["ppo_first"] = to_json(reply_facts(shown))
        results["measure"]["commonest"] = Counter(t.strip() for t in shown).most_common(1)[0][0]
    record = read_json(folder / "record.json")
    metrics: dict[str, list[Json]] = {"preference": [], "preference_judge": [], "ppo": []}
    for line in metric_lines(folder / "metrics.jsonl"):
        if all(line.get(key, 0) is not None for key in ("kl", "score")):  # a step that came to nan has no place
            metrics.setdefault(str(line.get("stage")), []).append(line)
    return {
        "name": folder.resolve().name,
        "config": whole["config"],
        "training": whole["config"][whole["config"].get("algorithm", "ppo")],
        "record": {"made_by": {}, "data": {}, "counts": {}, "model": {}} | record,
        "results": restore_estimates(results),
        "verdicts": restore_estimates(verdicts),
        "metrics": metrics,
    }


# what is shown -------------------------------------------------------------------------------------------


def status(facts: Json) -> Json:
    """How far the run got: in words, and for each missing stage the reason."""
    until = facts["config"]["until"]
    missing = {name: "was not reached" for name in STAGES if name not in facts["results"]}
    for name in missing.keys() & NOT_ASKED.get(until, set[str]()):
        missing[name] = f"was not asked for: the run was told to stop after {until!r}"
    unreached = [name for name, why in missing.items() if why == "was not reached"]
    if not unreached:
        text = f"The run is complete{f', up to where it was told to stop ({until})' if missing else ''}."
    else:
        at, steps = unreached[0], facts["metrics"].get(unreached[0], [])
        text = f"The run is not finished. It got as far as: {STAGES[at]}"
        text += f", {len(steps)} step{'s' * (len(steps) != 1)} logged." if steps else "."
        missing[at] = "has not finished" if steps else missing[at]
        text += " Start the same command again and it continues; this page then says more."
    return {"text": text, "finished": not unreached, "missing": missing}


def examples(results: Json) -> Json:
    """Replies side by side: where PPO gained most, around the median, where it lost most, and all others."""
    if "measure" not in results:
        return {"strata": [], "rest": [], "n": 0}
    listed = results["measure"]["examples"]
    most = max(300, min(3000, TEXT_BUDGET // (4 * max(1, len(listed)))))
    ready: list[Json] = []
    for i, one in enumerate(listed, start=1):
        turns = one["prompt"] if isinstance(one["prompt"], list) else [{"role": "user", "content": str(one["prompt"])}]
        prompt = turns[0]["content"] if len(turns) == 1 else "\n\n".join(f"{t['role']}: {t['content']}" for t in turns)
        texts = {who: truncate(one[who], most) for who in ("base", "best_of_n", "ppo")}
        gain = one["judge"]["ppo"] - one["judge"]["base"]
        ready.append({**one, **texts, "prompt": truncate(prompt, most), "number": i, "gain": gain})
    ready.sort(key=lambda e: -e["gain"])
    k = min(PER_STRATUM, len(ready) // 3)
    middle = (len(ready) - k) // 2
    cut = {"Where PPO gained most": 0, "Around the middle": middle, "Where PPO lost most": len(ready) - k}
    strata: list[Json] = [{"title": title, "examples": ready[at : at + k]} for title, at in cut.items()] if k else []
    shown = {e["number"] for stratum in strata for e in stratum["examples"]}
    return {"strata": strata, "rest": [e for e in ready if e["number"] not in shown], "n": len(ready)}


def command(facts: Json) -> str:
    """What to type to repeat the run: as recorded, otherwise the nearest scale and what differs from it."""
    return repeat_command("preflab align", SCALES, facts)


# plots ---------------------------------------------------------------------------------------------------


def plots(facts: Json) -> dict[str, Any]:
    """Every plot by name, as markup; an empty one where there is nothing to plot."""
    from markupsafe import Markup

    r, metrics = facts["results"], facts["metrics"]
    drawn = _preference_plots(r, metrics, facts["config"])
    if "best_of_n" in r:
        drawn |= _best_of_n_plots(r["best_of_n"]["curve"])
    drawn |= {f"ppo_{k}": v for k, v in _ppo_plots(metrics["ppo"], facts["training"]).items()}
    drawn["ppo_root_kl"] = _root_kl_plot(metrics["ppo"], r)
    if "measure" in r:
        drawn |= _win_plots(r["measure"])
    return {name: Markup(svg) for name, svg in drawn.items()}


def _preference_plots(r: Json, metrics: Mapping[str, list[Json]], config: Json) -> dict[str, str]:
    both = [r.get("preference"), r.get("preference_judge")]
    fitted = [result for result in both if result is not None]
    baselines = list(dict.fromkeys(name for result in fitted for name in result["baselines"]))
    categories = sorted({name for result in fitted for name in result["by_category"]})
    rows = [("preference model", [result and result["accuracy"] for result in both])]
    rows += [(name, [result and result["baselines"].get(name) for result in both]) for name in baselines]
    split = [(name, [result and result["by_category"].get(name) for result in both]) for name in categories]
    chance, label = ((0.5, "chance"),), "share of unseen pairs judged rightly"
    accuracy = Frame(name="accuracy", title="Accuracy and baselines", x_label=label, x_percent=True, vlines=chance)
    bins = {
        name: [Bin(**b) for b in result["calibration"]]
        for name, result in zip(MODELS, both, strict=True)
        if result is not None
    }
    curves = [(k, MODELS[k], metrics[stage]) for k, stage in enumerate(("preference", "preference_judge"))]
    passes = config["preference"]["epochs"]
    total = r["preference"]["steps"] if "preference" in r else 0
    ends = tuple((total * e / passes + 0.5, f"pass {e + 1}") for e in range(1, passes)) if total else ()
    loss = Frame(name="loss", title="Loss in training", x_label="step", y_label="nats per comparison",
                 hlines=((math.log(2), "knows nothing: ln 2"),), vlines=ends, integer_x=True)  # fmt: skip
    right = replace(loss, name="trainright", title="Accuracy in training", y_label="share of pairs", hlines=chance)
    reliable = Frame(name="reliability", title="Reliability", y_label="how often it was", height=3.4,
                     x_label="predicted probability that the first is better")  # fmt: skip
    trained = {
        key: [metric_series(name, own, key, colour=k) for k, name, own in curves] for key in ("loss", "accuracy")
    }
    return {
        "accuracy": dot_plot(rows, MODELS, accuracy),
        "categories": dot_plot(split, MODELS, replace(accuracy, name="categories", title="Accuracy by category")),
        "reliability": reliability_plot(bins, reliable),
        "loss": curve_plot(trained["loss"], loss),
        "training_accuracy": curve_plot(trained["accuracy"], right),
    }


def _best_of_n_plots(curve: list[Json]) -> dict[str, str]:
    n = [p["n"] for p in curve]
    series = [
        Series.from_estimates(f"judged by the {MODELS[k]}", n, [p[key] for p in curve], colour=k)
        for k, key in enumerate(("score", "judge_score"))
    ]
    frame = Frame(name="bon", title="Best-of-n: score by n", x_label="n, replies to choose from", x_powers_of_two=True,
                  y_label="score, nats (base = 0)", hlines=((0.0, "base policy"),))  # fmt: skip
    kl = replace(frame, name="bonkl", title="Best-of-n: KL by n", y_label="KL, nats per reply (at most)", hlines=())
    return {
        "best_of_n": curve_plot(series, frame),
        "best_of_n_kl": curve_plot([Series(label="KL", x=n, y=[p["kl"] for p in curve], colour=2)], kl),
    }


def _ppo_plots(steps: list[Json], config: Json) -> dict[str, str]:
    """Small multiples over the steps; bands are two standard errors, with replies taken as independent."""
    replies = config["prompts_per_step"] * config["samples_per_prompt"]
    error = [None if s.get("score_std") is None else s["score_std"] / math.sqrt(replies) for s in steps]
    limit = config["kl_limit"]
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
        name: curve_plot(series, Frame(name=f"ppo{name}", title=title, x_label="step", y_label=unit, hlines=across,
                                       integer_x=True, width=3.5, height=2.2))
        for name, (title, unit, series, across) in panels.items()
    }  # fmt: skip


def _root_kl_plot(steps: list[Json], r: Json) -> str:
    """Score against sqrt(KL), both measured from the base policy; best-of-n and the end of PPO on the same axes."""
    root, score = [math.sqrt(max(0.0, s["kl"])) for s in steps], [s["score"] for s in steps]  # PPO logs centred scores
    series = [Series(label="PPO steps (training prompts)", x=root, y=score, style="points")]
    if fit := r.get("measure", {}).get("root_kl_fit"):
        ends = [min(root), max(root)]
        line = [fit["intercept"] + fit["slope"] * x for x in ends]
        series.append(Series(label="straight line through them", x=ends, y=line, style="dashed", colour=-1))
    if "best_of_n" in r:
        curve = r["best_of_n"]["curve"]
        x = [math.sqrt(p["kl"]) for p in curve]
        own = [p["score"] for p in curve]
        series.append(Series.from_estimates("best-of-n (held-out)", x, own, style="both", colour=1))
    if "measure" in r:
        kl, gain = r["measure"]["kl"]["ppo"], r["measure"]["gain"]["ppo"]["pm"]
        at, low, high = ([math.sqrt(max(0.0, v))] if math.isfinite(v) else [None] for v in (kl.value, kl.low, kl.high))
        end = Series.from_estimates("PPO, final (held-out)", at, [gain], style="points", colour=2)
        series.append(replace(end, x_low=low, x_high=high))
    frame = Frame(name="rootkl", title="Score against the square root of KL", x_label="square root of KL, in root nats",
                  y_label="score by the first model, nats", height=3.4)  # fmt: skip
    return curve_plot(series, frame)


def _win_plots(measure: Json) -> dict[str, str]:
    wins, label = measure["win_rate"], "share of prompts on which the new reply wins"
    who = {f"best-of-{measure['n']}": wins["best_of_n"], "PPO": wins["ppo"]}
    rows = [(name, [own[judge] for judge in JUDGES]) for name, own in who.items()]
    by = [(name, [None, own]) for name, own in measure["win_rate_by_category"].items()]
    frame = Frame(name="wins", title="Win rates over the base policy", x_label=label, x_percent=True,
                  vlines=((0.5, "no change"),))  # fmt: skip
    own = replace(frame, name="winsby", title="Win rate of PPO by category, second model")
    judges = [f"judged by the {m}" for m in MODELS]
    return {"wins": dot_plot(rows, judges, frame), "wins_by_category": dot_plot(by, judges, own)}
