"""Runs where lm-eval is installed: its own model class and ours over the same weights, request by request."""

import json
import logging
import sys
from pathlib import Path

import lm_eval
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from preflab.bridges.lm_eval import evaluate
from preflab.bridges.lm_eval_model import PolicyLM
from preflab.errors import ConfigError
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.recipes.evaluate import smoke
from preflab.recipes.evaluate.report import write_report
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.requests.responders import LocalPolicy
from preflab.run import Run

logging.disable(logging.WARNING)
folder = Path(sys.argv[1])
source = load_language_model("tiny", precision="fp32")
policy = LocalPolicy(
    Trunk(source, None).reference(),
    Encoder(source.tokenizer, max_tokens=source.context_tokens),
    name="tiny",
    weights=source.sha256,
)
ours = PolicyLM(policy)
own = HFLM(
    pretrained=load_language_model("tiny", precision="fp32").model,
    tokenizer=source.tokenizer,
    batch_size=2,
    device="cpu",
    max_length=source.context_tokens,
)

contexts = ["The sky over the sea is", "Two and two are ", "The sky over the land is\n", "", "x" * 1400]
options = [" blue", " blue and green", " four", "a", " "]
pairs = [(context, option) for context in contexts for option in options]
# one token that is surely the likeliest after each context
tops = ours.generate_until(
    [Instance("generate_until", {}, (c, {"max_gen_toks": 1}), i) for i, c in enumerate(contexts)]
)
pairs += [(context, top) for context, top in zip(contexts, tops, strict=True) if top]
requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
a, b = ours.loglikelihood(requests), own.loglikelihood(requests)
texts = [Instance("loglikelihood_rolling", {}, (text,), i) for i, text in enumerate(["One line.", "word " * 500])]
rolling = list(zip(ours.loglikelihood_rolling(texts), own.loglikelihood_rolling(texts), strict=True))
asked = [
    Instance("generate_until", {}, (text, {"until": ["e"], "max_gen_toks": 12, "do_sample": False}), i)
    for i, text in enumerate(["Say something", "A colour:", "And"])
]

data = folder / "colours.jsonl"
rows = [
    {"q": f"What colour is thing number {n}?", "options": ["red", "green", "blue"], "right": n % 3} for n in range(9)
]
data.write_text("".join(json.dumps(row) + "\n" for row in rows))
(folder / "colours.yaml").write_text(
    f"""task: colours
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{{{q}}}}\\nAnswer:"
doc_to_choice: "{{{{options}}}}"
doc_to_target: right
metric_list:
  - metric: acc
"""
)
run = folder / "run"
with Run(run, smoke(), recipe="evaluate", quiet=True) as opened:
    opened.record("model", name="tiny", digest=policy.digest)
    opened.record("counts", suites_passed_over={})
found = evaluate(policy, ["colours"], run=run, include_path=folder)
theirs = lm_eval.simple_evaluate(own, tasks=["colours"], task_manager=TaskManager(include_path=str(folder)))
try:
    evaluate("tiny", ["no_such_task"])
except ConfigError as error:
    unknown = str(error)
before = ours.scored_tokens
ours.loglikelihood(requests[:10])
print(
    json.dumps(
        {
            "largest_gap": max(abs(x - y) for (x, _), (y, _) in zip(a, b, strict=True)),
            "greedy_differ": sum(x != y for (_, x), (_, y) in zip(a, b, strict=True)),
            "greedy": sum(greedy for _, greedy in a),
            "largest_rolling_gap": max(abs(x - y) / max(1.0, abs(y) / 100) for x, y in rolling),
            "generated": ours.generate_until(asked),
            "generated_by_its_own": own.generate_until(asked),
            "tokens": ours.scored_tokens - before,
            "tokens_apart": sum(len(ours.tok_encode(c + o)) for c, o in pairs[:10]),
            "results": {m["name"]: m["estimate"]["value"] for m in found["measures"]},
            "results_by_its_own": theirs["results"]["colours"]["acc,none"],
            "kept": json.loads((run / "results" / "lm_eval.json").read_text()),
            "report": "colours acc" in write_report(run).read_text(),
            "unknown": unknown,
        }
    )
)
