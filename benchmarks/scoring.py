"""Multiple choice by log-probability against lm-evaluation-harness: BBQ's form and MMLU's.

``bbq``: a context, a question, three answers written out. ``mmlu``: whole subjects, five answered questions before each
question, one letter to score. Both sides get the same texts and tokenize them themselves; log-probabilities must agree
to 1e-4 an option before any time is taken. lm-eval runs as shipped (one sequence a batch) and at the batch size that is
fastest here. Tokens are counted where they go through the models.

Needs an environment with preflab's needs and lm-eval. Without data, questions of made-up words stand in.

    python -m benchmarks.scoring --bbq bbq_official_six_categories.jsonl.gz --mmlu knowledge
"""

import argparse
import copy
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import nn

from benchmarks.common import arguments, prepare, race, report, say
from preflab.data.sources.files import read_records
from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.capabilities import mmlu
from preflab.models.load import LanguageModel, load_language_model
from preflab.models.roles import Trunk
from preflab.models.row_attention.row_support import body_of
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.requests.responders import LocalPolicy
from preflab.rollouts.requests.types import OptionLogprobs, OptionScores

OURS = "preflab"
TOLERANCE = 1e-4
"""Nats by which the log-probability of an option may differ."""


@dataclass(frozen=True)
class Question:
    """Plain text, and what may follow it."""

    text: str
    options: tuple[str, ...]


def bbq_form(path: str | None, n: int, *, seed: int) -> list[Question]:
    """``n`` questions, whole blocks of four that share a context and its longer version, blocks drawn by the seed."""
    if path is None:
        blocks = [_made_up_block(Random(f"{seed}/{k}")) for k in range(-(-n // 4))]
        return [question for block in blocks for question in block][:n]
    found: dict[tuple[str, str], list[Question]] = {}
    for record in (one.record for one in read_records(Path(path))):
        text = f"{record['context']}\n\nQuestion: {record['question']}\nAnswer:"
        options = tuple(f" {record[name]}" for name in ("ans0", "ans1", "ans2"))
        block = (str(record["category"]), str(int(record["id"].rsplit("-", 1)[-1].rsplit("/", 1)[-1]) // 4))
        found.setdefault(block, []).append(Question(text, options))
    blocks = list(found.values())
    Random(seed).shuffle(blocks)
    return [question for block in blocks for question in block][:n]


def _made_up_block(draw: Random) -> list[Question]:
    """Four questions as BBQ's blocks have them: a short and a longer context, two questions each."""
    words = [
        "".join(draw.choice("aeiou") + draw.choice("klmnrst") for _ in range(draw.randint(1, 3))) for _ in range(90)
    ]
    people = [" ".join(words[k : k + 3]) for k in (0, 3, 6)]
    short = " ".join(words[10:40])
    contexts = [short, f"{short} {' '.join(words[40:70])}"]
    asked = [" ".join(words[70:79]), " ".join(words[79:88])]
    options = tuple(f" {person}" for person in people)
    return [Question(f"{context}\n\nQuestion: {own}?\nAnswer:", options) for context in contexts for own in asked]


def mmlu_form(folder: str | None, n: int, *, subjects: int, seed: int) -> list[Question]:
    """``n`` five-shot questions of ``subjects`` subjects drawn by the seed, evenly."""
    letters = tuple(f" {letter}" for letter in "ABCD")
    by_subject: dict[str, list[Question]] = {}
    if folder is None:
        draw = Random(seed)
        for s in range(subjects):
            shots = "".join(_made_up_block(draw)[1].text + f" {draw.choice('ABCD')}\n\n" for _ in range(5))
            asked = [_made_up_block(draw)[0].text for _ in range(-(-n // subjects))]
            by_subject[str(s)] = [Question(shots + one, letters) for one in asked]
    else:
        for item in mmlu.SUITE.load(DataSource(folder=Path(folder))).items:
            if len(item.data.shots) == 5:
                own = by_subject.setdefault(item.data.subject, [])
                own.append(Question(item.data.text(5), letters))
    names = sorted(by_subject)
    Random(seed).shuffle(names)
    each = -(-n // subjects)
    return [question for name in names[:subjects] for question in by_subject[name][:each]][:n]


class Tokens:
    """Tokens that go through a model's body, padding included."""

    def __init__(self, model: nn.Module) -> None:
        self.count = 0
        body_of(model).register_forward_pre_hook(self._add, with_kwargs=True)

    def _add(self, module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        self.count += int((kwargs["inputs_embeds"][..., 0] if ids is None else ids).numel())


Scores = list[tuple[float, ...]]


def ours(source: LanguageModel, questions: Sequence[Question]) -> Callable[[], tuple[Scores, int]]:
    """Everything that an evaluation does: tokenize, share prefixes, score."""
    role = Trunk(source, None).reference()
    tokens = Tokens(source.model)
    encoder = Encoder(source.tokenizer, max_tokens=source.context_tokens)

    def run() -> tuple[Scores, int]:
        before = tokens.count
        policy = LocalPolicy(role, encoder, name="raced", weights=source.sha256)
        asks = [OptionLogprobs(prompt=question.text, options=question.options) for question in questions]
        found = dict(policy.respond(asks))
        chosen = [found[i] for i in range(len(asks))]
        if not all(isinstance(own, OptionScores) for own in chosen):
            raise SystemExit("a question was not answered")
        return [own.logprobs for own in chosen if isinstance(own, OptionScores)], tokens.count - before

    return run


def lm_eval(source: LanguageModel, questions: Sequence[Question], *, batch: int) -> Callable[[], tuple[Scores, int]]:
    """lm-eval's own model class over a copy of the weights."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    model = copy.deepcopy(source.model)
    model.set_attn_implementation("sdpa")
    tokens = Tokens(model)
    peer = HFLM(pretrained=model, tokenizer=source.tokenizer, batch_size=batch, device="cpu")

    def run() -> tuple[Scores, int]:
        before = tokens.count
        pairs = [(question.text, option) for question in questions for option in question.options]
        requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
        flat = iter([float(logprob) for logprob, _ in peer.loglikelihood(requests, disable_tqdm=True)])
        return [tuple(next(flat) for _ in question.options) for question in questions], tokens.count - before

    return run


def largest_gap(a: Scores, b: Scores) -> float:
    """Nats between the two sides' log-probabilities of one option, at most."""
    return max(abs(x - y) for own, other in zip(a, b, strict=True) for x, y in zip(own, other, strict=True))


def timed(run: Callable[[], tuple[Scores, int]]) -> Callable[[], Callable[[], Mapping[str, float]]]:
    """A contestant as ``race`` wants it."""
    return lambda: lambda: {"tokens": float(run()[1])}


def one(form: str, questions: Sequence[Question], source: LanguageModel, options: argparse.Namespace) -> None:
    """Check, tune, race, report one form."""
    own = ours(source, questions)
    peers = {batch: lm_eval(source, questions, batch=batch) for batch in dict.fromkeys([1, *options.lm_eval_batches])}
    scores, _ = own()
    theirs, _ = peers[1]()
    gap = largest_gap(scores, theirs)
    if not gap <= TOLERANCE:
        raise SystemExit(f"{form}: log-probabilities differ by {gap:.2e} nats: no race")
    best = 1
    if len(peers) > 1:
        tries = race({str(batch): timed(run) for batch, run in peers.items()}, repeats=1)
        seconds = {batch: tries[str(batch)].cpu[0] for batch in peers}
        best = min(seconds, key=lambda batch: seconds[batch])
        say(tuning=f"{form}: sequences a batch of lm-eval -> processor seconds", seconds=seconds)
    contestants = {"lm-eval as shipped": timed(peers[1])}
    if best != 1:
        contestants[f"lm-eval, {best} a batch"] = timed(peers[best])
    contestants[OURS] = timed(own)
    timings = race(contestants, repeats=options.repeats)
    for name, timing in timings.items():
        report(
            f"scoring {form}",
            timings,
            ours=OURS,
            only=name,
            questions=len(questions),
            continuations=sum(len(question.options) for question in questions),
            shape=options.shape,
            dtype=options.dtype,
            threads=torch.get_num_threads(),
            items_per_second=round(len(questions) / min(timing.wall), 3),
            items_per_cpu_second=round(len(questions) / min(timing.cpu), 3),
            largest_gap_nats=gap,
            versions={"lm-eval": version("lm-eval"), "torch": torch.__version__},
        )


def main() -> None:
    """The forms that were asked for."""
    parser = arguments(__doc__.splitlines()[0] if __doc__ else "", shape="smollm2")
    parser.add_argument("--forms", nargs="+", default=["bbq", "mmlu"], choices=["bbq", "mmlu"])
    parser.add_argument("--bbq", help="a file of BBQ with our fields; else made-up words")
    parser.add_argument("--mmlu", help="a folder with mmlu_test* and mmlu_dev*; else made-up words")
    parser.add_argument("--questions", type=int, default=48, help="of each form")
    parser.add_argument("--subjects", type=int, default=2, help="of MMLU, from which the questions are drawn")
    parser.add_argument("--lm-eval-batches", type=int, nargs="*", default=[4, 8, 16, 32], help="to tune the peer")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    prepare(options)
    source = load_language_model(options.shape, precision=options.dtype, device=options.device)
    if "bbq" in options.forms:
        one("bbq", bbq_form(options.bbq, options.questions, seed=options.seed), source, options)
    if "mmlu" in options.forms:
        found = mmlu_form(options.mmlu, options.questions, subjects=options.subjects, seed=options.seed)
        one("mmlu", found, source, options)


if __name__ == "__main__":
    main()
