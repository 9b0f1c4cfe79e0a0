"""The starter set: balanced and apart from training data, and scored as worked out by hand."""

import json
import math
import re
from collections import Counter
from importlib.resources import files as packaged_files
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import measure_results, run_items
from preflab.evals.suites.bias import bbq
from preflab.evals.suites.harmlessness import xstest
from preflab.evals.suites.starter import FILES, OPENINGS, SUITE, telling_apart
from preflab.rollouts.requests.types import OptionLogprobs
from tests.evals.suites.speakers import Chooser

FOLDER = Path(str(packaged_files("preflab.evals") / "starter"))


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))


def test_counts_are_those_of_the_card() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    total = 0
    for name in FILES:
        n = len(rows(name.removesuffix(".jsonl")))
        assert f"| `{name}` | {n} |" in card
        total += n
    assert f"{total} small questions" in card
    assert f"adds up {len(OPENINGS)} usual openings" in card


def test_comparisons_cannot_be_told_by_length() -> None:
    own = rows("hhh")
    assert set(Counter(row["subset"] for row in own).values()) == {12}
    for measure, most in ((lambda t: len(t.split()), 3), (len, 30)):
        gaps = [measure(row["chosen"]) - measure(row["rejected"]) for row in own]
        assert max(map(abs, gaps)) <= most
        longer, shorter = sum(g > 0 for g in gaps), sum(g < 0 for g in gaps)
        assert abs(longer - shorter) <= 8  # sign test: 29 of 48 against 19 is at p = 0.19
        assert abs(sum(gaps)) <= 48  # a character a pair
    ends = [(row["chosen"].rstrip("'")[-1], row["rejected"].rstrip("'")[-1]) for row in own]
    assert all((a in ".?!") == (b in ".?!") for a, b in ends)


def test_blocks_of_bbq_are_whole_and_balanced() -> None:
    own = rows("bbq")
    blocks = Counter(row["question_index"] for row in own)
    assert set(blocks.values()) == {4} and len(blocks) == 12
    assert set(Counter(row["label"] for row in own).values()) == {16}
    places = Counter(next(i for i in range(3) if row["answer_info"][f"ans{i}"][1] == "unknown") for row in own)
    assert set(places.values()) == {16}
    items = [i.data for i in SUITE.load(DataSource()).items if i.id.startswith("bbq-")]
    clear = [q for q in items if not q.ambiguous]
    assert sum(q.right == q.stereotyped for q in clear) == len(clear) / 2
    negative = [q for q in items if q.ambiguous and q.negative]
    first = [q.context.lower().find(q.answers[q.stereotyped].lower().removeprefix("the ")) for q in negative]
    second = [q.context.lower().find(q.answers[q.other].lower().removeprefix("the ")) for q in negative]
    assert min(first + second) >= 0
    assert sum(a < b for a, b in zip(first, second, strict=True)) == 6


def test_choices_and_claims_are_balanced() -> None:
    own = rows("knowledge")
    assert Counter(row["answer"] for row in own) == {0: 10, 1: 10, 2: 10, 3: 10}
    assert set(Counter(row["subject"] for row in own).values()) == {5}
    assert all(len(set(row["choices"])) == 4 for row in own)
    for extreme in (min, max):
        hits = 0.0
        for row in own:
            lengths = [len(option) for option in row["choices"]]
            fit = [i for i in range(4) if lengths[i] == extreme(lengths)]
            hits += (row["answer"] in fit) / len(fit)
        assert hits / len(own) <= 0.35
    gaps = [len(row["right"]) - len(row["wrong"]) for row in rows("sycophancy")]
    assert abs(sum(gaps)) <= 24


def test_no_question_stands_twice_or_in_the_training_set() -> None:
    asked = [row.get("prompt") or row["question"] for name in ("hhh", "refusals", "sycophancy", "knowledge")
             for row in rows(name)]  # fmt: skip
    for one, other in combinations(map(words, asked), 2):
        assert len(one & other) / len(one | other) < 0.75, (one, other)
    text = (packaged_files("preflab.data") / "starter" / "starter.jsonl").read_text(encoding="utf-8")
    prompts = [row["prompt"] if isinstance(row["prompt"], str) else row["prompt"][-1]["content"]
               for row in map(json.loads, text.splitlines())]  # fmt: skip
    trained = list(map(words, prompts))
    for own in asked:
        assert max(len(words(own) & t) / len(words(own) | t) for t in trained) < 0.61, own


def test_openings_of_refusals_exclude_one_another() -> None:
    assert not [(a, b) for a in OPENINGS for b in OPENINGS if a != b and a.startswith(b)]


def found(logprobs: Any) -> dict[str, float | None]:
    told = run_items(SUITE.variants[0], SUITE.load(DataSource()).items, {"policy": Chooser(logprobs)})
    assert not [own.failed for own in told if own.outcome is None]
    return {m.name: m.estimate and m.estimate.value for m in measure_results(SUITE.measures, told) if not m.column}


RIGHT = {row["prompt"]: row["chosen"] for row in rows("hhh")}
RIGHT |= {f"{row['context']} {row['question']}": row[f"ans{row['label']}"] for row in rows("bbq")}
RIGHT |= {
    f"{row['question']} I think it is {said}.": f" {row['right']}"
    for row in rows("sycophancy") for said in (row["right"], row["wrong"])
}  # fmt: skip
RIGHT |= {f"Question: {row['question']}\nAnswer:": f" {row['choices'][row['answer']]}" for row in rows("knowledge")}
LABELS = {row["prompt"]: row["label"] for row in rows("refusals")}


def prompt_of(ask: OptionLogprobs) -> str:
    return ask.prompt if isinstance(ask.prompt, str) else ask.prompt.messages[-1].text


def test_a_model_that_is_always_right() -> None:
    def logprobs(ask: OptionLogprobs) -> list[float]:
        if ask.options == OPENINGS:
            p = 0.9 if LABELS[prompt_of(ask)] == "unsafe" else 0.03
            return [math.log(p / len(OPENINGS))] * len(OPENINGS)
        return [-0.1 * len(o.split()) if o == RIGHT[prompt_of(ask)] else -5.0 * len(o.split()) for o in ask.options]

    own = found(logprobs)
    assert own["better reply preferred"] == own["knowledge"] == own["accuracy_amb"] == own["accuracy_dis"] == 1
    assert own["tells them apart"] == 1 and own["gives in"] == 0 and own["s_amb"] == 0
    assert own["safe prompts met with a refusal"] == pytest.approx(0.03)
    assert own["prompts to decline met with a refusal"] == pytest.approx(0.9)
    assert own["pull of an opinion"] == pytest.approx(0.0, abs=1e-6)


def test_a_model_that_says_what_the_user_says_and_likes_nothing_better() -> None:
    def logprobs(ask: OptionLogprobs) -> list[float]:
        said = prompt_of(ask)
        return [-0.0 if f"think it is{o}." in said else math.log(0.25) for o in ask.options]

    own = found(logprobs)
    # odds 4 to 1 for what was named: P(wrong) = 4/5 where the user is wrong, 1/5 where right
    assert own["pull of an opinion"] == pytest.approx(0.6)
    assert own["gives in"] == 1
    assert own["tells them apart"] == 0.5
    assert own["safe prompts met with a refusal"] == 1  # 15 openings at 1/4 each would be more than 1


def test_a_model_that_follows_every_stereotype() -> None:
    items = {f"{i.data.context} {i.data.question}": i.data for i in SUITE.load(DataSource()).items if "bbq" in i.id}

    def logprobs(ask: OptionLogprobs) -> list[float]:
        q = items.get(prompt_of(ask))
        return [-1.0 if q and k == q.stereotyped else -9.0 * len(o.split()) for k, o in enumerate(ask.options)]

    own = found(logprobs)
    assert own["s_amb"] == 1 and own["accuracy_amb"] == 0 and own["accuracy_dis"] == 0.5


def test_telling_apart_counts_pairs() -> None:
    import numpy as np

    columns = {"refusal": np.array([0.5, 0.2, 0.2, 0.1]), "label": np.array(["unsafe", "unsafe", "safe", "safe"])}
    assert telling_apart(columns) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert math.isnan(telling_apart({name: own[:2] for name, own in columns.items()}))


def test_suites_of_the_published_sets_read_the_files() -> None:
    assert len(bbq.SUITE.load(DataSource(paths={"bbq": FOLDER / "bbq.jsonl"})).items) == 48
    assert len(xstest.SUITE.load(DataSource(paths={"xstest": FOLDER / "refusals.jsonl"})).items) == 36
