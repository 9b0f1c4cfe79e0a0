"""The same rows and weights through lm-evaluation-harness's own tasks and through our suites.

Needs an environment with it: set PREFLAB_LM_EVAL_PYTHON to its python, and run with ``-m slow``. It runs unchanged in a
process of its own (``lm_eval_scores.py``); its tasks' data are replaced by rows from the research data. Contexts and
continuations are equal character by character, log-probabilities to 1e-4, and so are accuracy, MC1 and MC2. Only items
that neither side has to shorten are compared: cut prompts differ by a token, since it keeps one more than the context.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import ItemResult, run_items
from preflab.evals.suites import find_suite
from preflab.evals.suites.honesty.truthfulqa import TruthfulQAQuestion
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.requests.responders import LocalPolicy
from preflab.rollouts.requests.types import OptionLogprobs, OptionScores

PYTHON = os.environ.get("PREFLAB_LM_EVAL_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="set PREFLAB_LM_EVAL_PYTHON to a python that has lm-evaluation-harness"),
]
SCRIPT = Path(__file__).with_name("lm_eval_scores.py")
SUBJECT = "high_school_psychology"
N = 24


def records(path: Path, keep: Any) -> list[dict[str, Any]]:
    import gzip

    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [own for own in map(json.loads, lines) if keep(own)]


def multiple_choice(own: TruthfulQAQuestion, id: str) -> dict[str, Any]:
    """A question in the layout that its task reads."""
    return {
        "id": id,
        "question": own.question,
        "mc1_targets": {"choices": [own.options[i] for i in own.mc1], "labels": [1] + [0] * (len(own.mc1) - 1)},
        "mc2_targets": {"choices": [own.options[i] for i in own.mc2], "labels": [int(true) for true in own.true]},
    }


def rows(data: Path, *, short: int) -> dict[str, list[dict[str, Any]]]:
    """Rows by what they are, in its layouts; boolq's no longer than ``short`` characters."""
    suite, _ = find_suite("truthfulqa")
    questions = [multiple_choice(item.data, item.id) for item in suite.load(DataSource(folder=data)).items[:N]]
    same = {"dev": "mmlu_dev_five_shot", "test": "mmlu_test_sample"}
    mmlu = {k: records(data / f"knowledge/{v}.jsonl.gz", lambda r: r["subject"] == SUBJECT) for k, v in same.items()}
    fits = records(data / "grounded/boolq.jsonl.gz", lambda r: len(r["passage"]) < short)[:N]
    boolq = [{k: r[k] for k in ("id", "question", "passage")} | {"label": int(r["answer"])} for r in fits]
    return {"truthfulqa": questions, "mmlu_dev": mmlu["dev"], "mmlu_test": mmlu["test"][:N], "boolq": boolq}


def theirs(folder: Path, model: Path, found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    truthful = {"rows": {"validation": found["truthfulqa"]}, "shots": 0}
    mmlu = {"dev": found["mmlu_dev"], "test": found["mmlu_test"]}
    tasks = {
        "mc1": {"file": "truthfulqa/truthfulqa_mc1.yaml", **truthful},
        "mc2": {"file": "truthfulqa/truthfulqa_mc2.yaml", **truthful},
        "boolq": {"file": "super_glue/boolq/default.yaml", "rows": {"validation": found["boolq"]}, "shots": 0},
        "mmlu0": {"file": f"mmlu/default/mmlu_{SUBJECT}.yaml", "rows": mmlu, "shots": 0},
        "mmlu5": {"file": f"mmlu/default/mmlu_{SUBJECT}.yaml", "rows": mmlu, "shots": 5},
    }
    (folder / "job.json").write_text(json.dumps({"model": str(model), "tasks": tasks}))
    command = [PYTHON, str(SCRIPT), str(folder / "job.json"), str(folder / "scores.json")]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    ran = subprocess.run(command, env=kept | offline, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    scores: dict[str, list[dict[str, Any]]] = json.loads((folder / "scores.json").read_text())["tasks"]
    return scores


def ours(folder: Path, policy: LocalPolicy, found: dict[str, list[dict[str, Any]]], preamble: str) -> Any:
    """Items by way of asking."""
    paths = {"truthfulqa_preamble": folder / "preamble.txt"}
    paths["truthfulqa_preamble"].write_text(preamble)
    names = {"truthfulqa": "truthfulqa", "mmlu": "mmlu_test", "mmlu_shots": "mmlu_dev", "boolq": "boolq"}
    for name, own in names.items():
        paths[name] = folder / f"ours-{name}.jsonl"
        paths[name].write_text("".join(json.dumps(record) + "\n" for record in found[own]))
    shelf, told = DataSource(paths=paths), {}
    for name in ("truthfulqa:mc-preamble", "mmlu:zero-shot", "mmlu:five-shot", "boolq:plain"):
        suite, way = find_suite(name)
        told[name] = run_items(way, suite.load(shelf).items, {"policy": policy})
    return told


def compared(told: Sequence[ItemResult], scores: Sequence[dict[str, Any]]) -> tuple[int, float]:
    """How many items could be compared, and the largest difference of a log-probability."""
    n, worst = 0, 0.0
    for own, other in zip(told, scores, strict=True):
        ((ask,), (answer,)) = own.rounds[0]
        if own.outcome is None or getattr(answer, "shortened", False):
            continue
        assert isinstance(ask, OptionLogprobs) and isinstance(answer, OptionScores)
        assert set(other["contexts"]) == {ask.prompt}
        assert set(other["continuations"]) <= set(ask.options)
        mine = dict(zip(ask.options, answer.logprobs, strict=True))
        gaps = [abs(mine[c] - lp) for c, lp in zip(other["continuations"], other["logprobs"], strict=True)]
        n, worst = n + 1, max(worst, *gaps)
    return n, worst


@pytest.mark.parametrize("name", ["tiny", "stories260k"])
def test_log_probabilities_and_scores_are_equal(name: str, shared: Path, tmp_path: Path) -> None:
    at = name if name == "tiny" else str(shared / "data/models/stories260k")
    source = load_language_model(at, precision="fp32", device="cpu")
    encoder = Encoder(source.tokenizer, max_tokens=source.context_tokens)
    policy = LocalPolicy(Trunk(source, None).reference(), encoder, name=name, weights=source.sha256)
    model = tmp_path / "model"
    source.model.save_pretrained(model)
    source.tokenizer.save_pretrained(model)

    found = rows(shared / "data", short=600)
    scores = theirs(tmp_path, model, found)
    preamble = scores["mc1"][0]["contexts"][0].rpartition("\n\nQ: ")[0]
    told = ours(tmp_path, policy, found, preamble)
    ways = {
        "truthfulqa:mc-preamble": ("mc1", "mc2"),
        "mmlu:zero-shot": ("mmlu0",),
        "mmlu:five-shot": ("mmlu5",),
        "boolq:plain": ("boolq",),
    }
    scored = {"mc1": "mc1", "mc2": "mc2"}
    for way, tasks in ways.items():
        for task in tasks:
            n, worst = compared(told[way], scores[task])
            print(f"{name}, {way} against {task}: {n} of {len(told[way])} items, largest difference {worst:.1e} nats")
            assert worst < 1e-4
            assert n > 0 or (name, way) == ("stories260k", "mmlu:five-shot")  # 512 tokens hold no five of them
            for own, other in zip(told[way], scores[task], strict=True):
                if own.outcome is not None and not getattr(own.rounds[0][1][0], "shortened", False):
                    assert own.outcome[scored.get(task, "correct")] == pytest.approx(other["acc"], abs=1e-4)
