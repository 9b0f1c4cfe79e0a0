"""BLEU by hand, and against sacrebleu where an interpreter with it is named."""

import json
import math
import os
import random
import subprocess

import pytest

from preflab.evals.metrics.bleu import bleu, international_tokens, self_bleu

PYTHON = os.environ.get("PREFLAB_LM_EVAL_PYTHON", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's 1,000.5 km!", "It ' s 1,000.5 km !"),
        ("(a-b)", "( a - b )"),
        ("in 1999.", "in 1999."),  # as in the original script: a stop behind a number stays with it
        ("5$ + x", "5 $ + x"),
        ("...", "... "),  # pairs are taken from the left, and only with another kind of character
        ("", ""),
    ],
)
def test_tokens(text: str, expected: str) -> None:
    if text != "...":
        assert international_tokens(text) == expected.split()
    else:
        assert "".join(international_tokens(text)) == "..."


def test_by_hand() -> None:
    """a b c d e against a b c d f: 4/5, 3/4, 2/3, 1/2; their product is 1/5, no shortness."""
    assert bleu("a b c d e", ["a b c d f"]) == pytest.approx(100 * 0.2**0.25)


def test_orders_without_a_match_count_as_halves_of_one() -> None:
    """a x b y against a b: 2/4, then 1/2 of 1/3, 1/4 of 1/2, 1/8 of 1/1; the nearest length is 2, no shortness."""
    assert bleu("a x b y", ["a b"]) == pytest.approx(100 * (2 / 4 / 2 / 3 / 4 / 2 / 8) ** 0.25)


def test_short_texts_pay_and_too_short_ones_have_nothing() -> None:
    assert bleu("a b c d", ["a b c d e"]) == pytest.approx(100 * math.exp(1 - 5 / 4))
    assert bleu("a b c", ["a b c"]) == 0.0
    assert bleu("x y z w", ["a b c d"]) == 0.0
    assert bleu("", ["a"]) == 0.0


def test_a_gram_counts_as_often_as_in_one_reference_and_the_nearest_length_is_taken() -> None:
    """the the the the: "the" stands twice in one reference, so 2/4; of length 3 and 5 the shorter is taken."""
    found = bleu("the the the the", ["the one the", "a b c d e"])
    assert found == pytest.approx(100 * (2 / 4 / (2 * 3) / (4 * 2) / 8) ** 0.25)


SCRIPT = """
import json, sys, sacrebleu
for text, refs in json.load(sys.stdin):
    print(sacrebleu.corpus_bleu([text], [[r] for r in refs], smooth_method="exp", smooth_value=0.0, force=False,
                                lowercase=False, tokenize="intl", use_effective_order=False).score)
"""


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason="set PREFLAB_LM_EVAL_PYTHON to a python that has sacrebleu")
def test_equal_to_sacrebleu() -> None:
    rng = random.Random(0)
    pieces = [
        "the",
        "cat",
        "sat",
        "3.5",
        "1,000",
        "it's",
        "(so)",
        "U.S.",
        "£5",
        "a+b",
        "end.",
        "«ja»",
        "...",
        "?!",
        "x",
    ]
    jobs = []
    for _ in range(400):
        texts = [" ".join(rng.choices(pieces, k=rng.randint(0, 14))) for _ in range(rng.randint(2, 4))]
        jobs.append((texts[0], [t or "x" for t in texts[1:]]))
    ran = subprocess.run([PYTHON, "-c", SCRIPT], input=json.dumps(jobs), capture_output=True, text=True, check=True)
    theirs = [float(line) for line in ran.stdout.split()]
    assert [bleu(text, references) for text, references in jobs] == pytest.approx(theirs, abs=1e-9)


def test_self_bleu_by_hand() -> None:
    """Three texts: two alike (100 each), the third without a word of theirs (0)."""
    assert self_bleu(["a b c d", "a b c d", "w x y z"]) == pytest.approx(200 / 3)
    assert self_bleu(["a b c d", "a b c d"]) == pytest.approx(100)
    assert self_bleu(["a b", "a b"]) == pytest.approx(100)  # judged by the orders that it has
    assert self_bleu(["", ""]) == 0
    assert math.isnan(self_bleu(["a"]))


def test_self_bleu_is_the_mean_against_all_others() -> None:
    rng = random.Random(1)
    for _ in range(20):
        texts = [" ".join(rng.choices("abcde", k=rng.randint(0, 9))) for _ in range(rng.randint(2, 7))]
        each = [bleu(t, [*texts[:i], *texts[i + 1 :]], effective_order=True) for i, t in enumerate(texts)]
        assert self_bleu(texts) == pytest.approx(sum(each) / len(each))


SELF = """
import json, sys
from sacrebleu.metrics import BLEU
one = BLEU(tokenize="intl", effective_order=True)
for texts in json.load(sys.stdin):
    each = [one.sentence_score(t, texts[:i] + texts[i + 1:]).score for i, t in enumerate(texts)]
    print(sum(each) / len(each))
"""


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason="set PREFLAB_LM_EVAL_PYTHON to a python that has sacrebleu")
def test_self_bleu_is_equal_to_sacrebleu() -> None:
    rng, words = random.Random(2), ["the", "cat", "sat", "on", "3.5", "mats.", "it's", "(so)", "x"]
    jobs = [[" ".join(rng.choices(words, k=rng.randint(1, 14))) for _ in range(rng.randint(2, 6))] for _ in range(80)]
    ran = subprocess.run([PYTHON, "-c", SELF], input=json.dumps(jobs), capture_output=True, text=True, check=True)
    assert [self_bleu(texts) for texts in jobs] == pytest.approx(list(map(float, ran.stdout.split())), abs=1e-9)
