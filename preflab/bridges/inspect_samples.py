"""A suite's results in the form of Inspect's log: plain values, no Inspect needed.

One sample an item: the conversation as messages, a score for each column of the outcome, all requests and responses
(log-probabilities, ratings, the judge's words) in the metadata. An item that could not be scored has no value (nan,
which Inspect leaves out of every mean) and the reason, never a zero.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError
from preflab.evals.core.items import Item
from preflab.evals.core.suite import Variant
from preflab.rollouts.requests.llm_judge import transcript

Line = Mapping[str, Any]
"""One item of ``items/<suite>.jsonl``, as ``evals.core.runner.ItemResult.to_json`` writes it."""


def sample_of(line: Line, *, model: str, columns: Sequence[str] = ()) -> dict[str, Any]:
    """One line as the fields of an ``EvalSample``.

    Args:
        model    who answered as the policy.
        columns  numbers that other items' outcomes have: scores without a value where this item has none at all.

    Raises:
        DataError: the line is not one of an evaluation.
    """
    try:
        exchanges = [exchange for round_ in line["rounds"] for exchange in round_]
        first = exchanges[0]["ask"] if exchanges else {"prompt": ""}
        texts = [_answer(exchange) for exchange in exchanges]
        messages = _messages(exchanges, texts)
        last_of_policy = next(
            (n for n in reversed(range(len(exchanges))) if _role(exchanges[n]) == "policy"), len(exchanges) - 1
        )
        sample = {
            "id": line["id"],
            "epoch": 1,
            "input": _prompt(first["prompt"]),
            "target": "",
            "messages": messages,
            "output": _output(exchanges[last_of_policy]["answer"], texts[last_of_policy], model)
            if exchanges
            else {"model": model, "choices": []},
            "scores": _scores(line, exchanges, columns),
            "metadata": _metadata(line, exchanges),
        }
        choices = [exchange["ask"]["options"] for exchange in exchanges if exchange["ask"]["kind"] == "choose"]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"no line of an evaluation's items: {line!r:.200}") from error
    return sample | ({"choices": [option.strip() for option in choices[0]]} if choices else {})


def shown_question(variant: Variant, item: Item) -> str:
    """What the first request of an item says: a live task shows it in place of the item's id."""
    plan = variant.plan(item)
    try:
        requests = next(plan)
    except StopIteration:
        return item.id
    plan.close()
    prompt = requests[0].prompt if requests else item.id
    if not isinstance(prompt, Dialogue):
        return prompt
    return prompt.messages[0].text if len(prompt.messages) == 1 else transcript(prompt)


def shown_target(item: Item) -> str:
    """The right answer of an item, where it is a text, an option or a yes or no; empty where there is none."""
    answer, options = getattr(item.data, "answer", None), getattr(item.data, "options", ())
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(options):
        return str(options[answer])
    if isinstance(is_yes := getattr(item.data, "yes", None), bool):
        return "yes" if is_yes else "no"
    return answer if isinstance(answer, str) else ""


def number_columns(lines: Sequence[Line]) -> list[str]:
    """Names of the numbers in the outcomes, in order."""
    named = (name for line in lines for name, v in (line.get("outcome") or {}).items() if _is_number(v))
    return list(dict.fromkeys(named))


def results_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A suite's summary (``results/<suite>.json``) as the fields of ``EvalResults``.

    A measure over some of the items only is a metric named ``measure[column=value]``. One that is undefined is left
    out, and named in the metadata.
    """
    metrics: dict[str, Any] = {}
    undefined = []
    for measure in summary.get("measures", ()):
        name = measure["name"] + (f"[{measure['column']}={measure['value']}]" if measure.get("column") else "")
        estimate = measure.get("estimate")
        if estimate is None:
            undefined.append(name)
            continue
        facts = {key: estimate.get(key) for key in ("low", "high", "n", "clusters", "level")}
        facts |= {key: measure[key] for key in ("unit", "better", "how") if measure.get(key)}
        metrics[name] = {"name": name, "value": estimate["value"], "metadata": facts}
    scored = int(summary.get("scored", 0))
    items = int(summary.get("items", scored))
    score = {
        "name": "preflab",
        "scorer": "preflab",
        "scored_samples": scored,
        "unscored_samples": items - scored,
        "metrics": metrics,
    }
    counts = {
        key: summary[key] for key in ("failed", "groups", "shortened_prompts", "unfinished_replies") if key in summary
    }
    return {
        "total_samples": items,
        "completed_samples": items,
        "scores": [score],
        "metadata": counts | ({"undefined": undefined} if undefined else {}),
    }


def log_of(
    lines: Sequence[Line],
    summary: Mapping[str, Any],
    *,
    model: str,
    created: str,
    packages: Mapping[str, str],
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A suite's items and summary as the fields of an ``EvalLog``.

    Args:
        created   when it was measured, ISO 8601 with a time zone.
        packages  name -> version of what measured it.
        settings  of the run, for the metadata.
    """
    suite = str(summary["suite"])
    columns = number_columns(lines)
    variant = summary.get("way", "")
    # Inspect wants ids of a run, a task and an evaluation; the same export has the same ones.
    digest = hashlib.sha256(json.dumps([suite, variant, model, created, len(lines)]).encode()).hexdigest()
    spec = {
        "eval_id": digest[:22],
        "run_id": digest[22:44],
        "task_id": digest[:22],
        "created": created,
        "task": f"preflab/{suite}",
        "task_display_name": summary.get("title", suite),
        "task_args": {"variant": variant},
        "dataset": {"name": suite, "samples": len(lines), "sample_ids": [line["id"] for line in lines]},
        "model": model,
        "config": {},
        "packages": dict(packages),
        "metadata": {"settings": dict(settings)} if settings else {},
        "scorers": [{"name": "preflab"}],
    }
    return {
        "version": 2,
        "status": "success",
        "eval": spec,
        "plan": {"name": variant or "plan", "steps": [{"solver": f"preflab/{suite}", "params": {"variant": variant}}]},
        "results": results_of({"items": len(lines), **summary}),
        "stats": {"started_at": created, "completed_at": created},
        "samples": [sample_of(line, model=model, columns=columns) for line in lines],
    }


# parts of a sample ---------------------------------------------------------------------------------------------


def _role(exchange: Mapping[str, Any]) -> str:
    """The role that was asked; what is at its default is not in the file."""
    return str(exchange["ask"].get("whom", "pm" if exchange["ask"]["kind"] == "rate" else "policy"))


def _prompt(prompt: Any) -> Any:
    """A text as it is, a dialogue as messages."""
    return prompt if isinstance(prompt, str) else [_message(**message) for message in prompt]


def _message(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content} | ({"metadata": more} if more else {})


def _answer(exchange: Mapping[str, Any]) -> str:
    """An answer in words: what was said, the likeliest option, the reply that scored highest."""
    request, response = exchange["ask"], exchange["answer"]
    lead = str(request.get("lead", ""))
    if response["kind"] == "spoken":
        return lead + str(response["text"])
    if response["kind"] == "failed":
        return ""
    numbers = response["logprobs" if response["kind"] == "chosen" else "scores"]
    best = max(range(len(numbers)), key=numbers.__getitem__)
    return lead + str(request["options"][best]) if response["kind"] == "chosen" else str(request["replies"][best])


def _messages(exchanges: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[dict[str, Any]]:
    """All that was asked, one conversation; what goes on from what stands there already does not repeat it."""
    messages: list[dict[str, Any]] = []
    before: list[tuple[str, str]] = []
    for n, (exchange, text) in enumerate(zip(exchanges, texts, strict=True)):
        prompt = exchange["ask"]["prompt"]
        turns = [("user", prompt)] if isinstance(prompt, str) else [(m["role"], m["content"]) for m in prompt]
        facts = {"ask": n, "whom": _role(exchange), "kind": exchange["ask"]["kind"]}
        shared = len(before) if turns[: len(before)] == before else 0
        messages += [_message(role, content, **facts) for role, content in turns[shared:]]
        messages.append(_message("assistant", text, **facts, **_numbers(exchange)))
        before = [*turns, ("assistant", text)]
    return messages


def _numbers(exchange: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer holds beside its words."""
    return {key: value for key, value in exchange["answer"].items() if key not in ("kind", "text")}


def _output(answer: Mapping[str, Any], text: str, model: str) -> dict[str, Any]:
    stopped = "max_tokens" if answer.get("finished") is False else "stop"
    choice = {"message": {"role": "assistant", "content": text, "model": model}, "stop_reason": stopped}
    return {"model": model, "choices": [choice]}


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _scores(line: Line, exchanges: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, Any]:
    """A score for each number or word of the outcome; values without a number where it could not be scored."""
    outcome = line.get("outcome")
    if outcome is not None:
        return {
            name: {"value": value} for name, value in outcome.items() if _is_number(value) or isinstance(value, str)
        }
    reason = str(line["failed"])
    code = "grader_failed" if _judge_error(exchanges) else reason
    nothing = {"value": float("nan"), "reason": code, "explanation": reason}
    return {name: dict(nothing) for name in columns or ("scored",)}


def _judge_error(exchanges: Sequence[Mapping[str, Any]]) -> str | None:
    """Why a judge or a preference model gave no answer; None where it did."""
    return next(iter(_judge_errors(exchanges)), None)


def _judge_errors(exchanges: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for exchange in exchanges:
        if _role(exchange) != "policy" and exchange["answer"]["kind"] == "failed":
            yield str(exchange["answer"]["reason"])


def _metadata(line: Line, exchanges: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    by_others = [exchange for exchange in exchanges if _role(exchange) != "policy"]
    metadata = {"group": line["group"], "outcome": line.get("outcome"), "asks": list(exchanges)}
    metadata |= {"judged": [_answer(exchange) for exchange in by_others]} if by_others else {}
    metadata |= {"judge_error": error} if (error := _judge_error(exchanges)) else {}
    return metadata | ({"unscorable": line["failed"]} if line.get("outcome") is None else {})
