"""CrowS-Pairs: likelihoods of whole sentences, in words of our own."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import ItemResult, run_items
from preflab.evals.core.suite import columns_of
from preflab.evals.suites.bias.crows_pairs import SUITE, load
from preflab.rollouts.requests.types import OptionLogprobs, OptionScores, Request, Response

ROWS = [
    {"id": "a", "sent_more": "Tea drinkers are slow.", "sent_less": "Drinkers of coffee are slow.",
     "stereo_antistereo": "stereo", "bias_type": "drinks"},
    {"id": "b", "sent_more": "People who prefer tea are late.", "sent_less": "Coffee drinkers are late.",
     "stereo_antistereo": "antistereo", "bias_type": "drinks"},
    {"id": "c", "sent_more": "Knitters nap.", "sent_less": "Climbers nap.", "stereo_antistereo": "stereo",
     "bias_type": "hobbies"},
]  # fmt: skip


class Counting:
    """Each word costs a nat."""

    name = digest = "counting"
    kinds = frozenset({"choose"})

    def respond(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """Log-likelihood is minus the words, less a little for each letter."""
        for i, ask in enumerate(asks):
            assert isinstance(ask, OptionLogprobs)
            assert ask.prompt == ""
            words = [len(option.split()) for option in ask.options]
            yield i, OptionScores(tuple(-float(n) for n in words), tuple(words))


def told(folder: Path, way: str) -> list[ItemResult]:
    """All rows asked."""
    (folder / "crows_pairs.jsonl").write_text("".join(json.dumps(own) + "\n" for own in ROWS), "utf-8")
    return run_items(SUITE.variant(way), load(DataSource(folder=folder)).items, {"policy": Counting()})


def test_shares_and_distances(tmp_path: Path) -> None:
    """4 words against 5: preferred by 1 nat; 6 against 4: not, by 2; 2 against 2 is no preference and not scored."""
    own = told(tmp_path, "likelihood")
    assert [one.failed for one in own] == [None, None, "both sentences are equally likely"]
    columns = columns_of([one.outcome for one in own if one.outcome is not None])
    values = {measure.name: measure.value(columns) for measure in SUITE.measures}
    assert values == {"prefers stereotype": 0.5, "distance": 1.5}
    assert columns["direction"].tolist() == ["stereotype", "against a stereotype"]


def test_per_token_takes_lengths_out(tmp_path: Path) -> None:
    """A nat a word makes all sentences equal."""
    assert {one.failed for one in told(tmp_path, "per-token")} == {"both sentences are equally likely"}


def test_bad_rows_are_refused(tmp_path: Path) -> None:
    """Equal sentences and a direction that is none."""
    bad = [ROWS[0] | {"id": "d", "sent_less": ROWS[0]["sent_more"]}, ROWS[0] | {"id": "e", "stereo_antistereo": "x"}]
    (tmp_path / "crows_pairs.jsonl").write_text("".join(json.dumps(own) + "\n" for own in [*ROWS, *bad]), "utf-8")
    found = load(DataSource(folder=tmp_path))
    assert len(found.items) == 3
    assert sum(found.refused.values()) == 2


def test_the_published_csv(tmp_path: Path) -> None:
    """Its first column is a number without a name."""
    head = ",sent_more,sent_less,stereo_antistereo,bias_type,annotations,anon_writer,anon_annotators"
    line = '0,"Tea, they say, is slow.",Coffee is slow.,stereo,drinks,[],a0,[]'
    (tmp_path / "crows_pairs_anonymized.csv").write_text(f"{head}\n{line}\n", "utf-8")
    (item,) = load(DataSource(folder=tmp_path)).items
    assert (item.id, item.data.more) == ("0", "Tea, they say, is slow.")


def test_our_sample_file(shared: Path) -> None:
    """1,188 pairs of nine kinds."""
    found = load(DataSource(folder=shared / "data" / "bias"))
    assert (len(found.items), len({own.data.kind for own in found.items})) == (1188, 9)


@pytest.mark.parametrize("way", ["likelihood", "per-token"])
def test_a_small_model_gives_the_same_as_the_whole_sentence(tmp_path: Path, way: str) -> None:
    """An empty prompt: the start token alone goes before, and the score is that of all tokens behind it."""
    import torch

    from preflab.models.load import load_language_model
    from preflab.models.roles import Trunk
    from preflab.rollouts.encoder import Encoder
    from preflab.rollouts.requests.responders import LocalPolicy

    model = load_language_model("tiny")
    encoder = Encoder(model.tokenizer, max_tokens=model.context_tokens)
    policy = LocalPolicy(Trunk(model, None).reference(), encoder, name="tiny", weights=model.sha256)
    (tmp_path / "crows_pairs.jsonl").write_text(json.dumps(ROWS[0]) + "\n", "utf-8")
    (own,) = run_items(SUITE.variant(way), load(DataSource(folder=tmp_path)).items, {"policy": policy})
    expected = []
    for text in (ROWS[0]["sent_more"], ROWS[0]["sent_less"]):
        ids = encoder.plain("") + tuple(t for t in encoder.plain(text) if t not in encoder.plain(""))
        with torch.inference_mode():
            logits = model.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        total = sum(float(logits[k, t]) for k, t in enumerate(ids[1:]))
        expected.append(total if way == "likelihood" else total / (len(ids) - 1))
    assert own.outcome is not None
    assert own.outcome["difference"] == pytest.approx(expected[0] - expected[1], abs=1e-3)
