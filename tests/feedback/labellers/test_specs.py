"""Judges by name: what opens, and what every wrong spelling is told."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.store import open_store
from preflab.errors import ConfigError
from preflab.feedback.labellers.human import StillWaiting
from preflab.feedback.labellers.settings import Openers
from preflab.feedback.labellers.specs import KINDS, open_labeller, parse_spec
from preflab.interfaces import Labeller, Scorer
from preflab.rollouts.requests.responders import Responder
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import Generate, Generation
from preflab.rollouts.servers.chat_protocol import EndpointConfig
from tests.feedback.labellers.test_language_model import Fake

PAIR = Comparison(prompt=Dialogue.of("q"), replies=("longer", "brief"), ranks=(0, 0))


class Opened:
    """Openers that note what they were asked for."""

    def __init__(self) -> None:
        self.names: list[object] = []

    def scorer(self, name: str) -> tuple[Scorer, str]:
        self.names.append(name)

        def by_length(dialogues: Sequence[Dialogue]) -> torch.Tensor:
            return torch.tensor([float(len(dialogue.reply)) for dialogue in dialogues])

        return by_length, "digest"

    def responder(self, name: str, served_name: str | None, endpoint: EndpointConfig | None) -> Responder:
        self.names.append((name, served_name))
        return Fake(lambda request: Generation("(B)"), kinds=frozenset({Generate.kind}))

    def openers(self) -> Openers:
        return Openers(scorer=self.scorer, responder=self.responder, cache=ResponseCache(None))


def test_each_kind_opens() -> None:
    opened = Opened()
    openers = opened.openers()
    scored = open_labeller("pm:runs/a,temperature=0", openers)
    spoken = open_labeller("model:http://localhost:8000,served_name=llama,criterion=helpful", openers)
    oracle = open_labeller("oracle:brief,noise=0.1,seed=3", openers)
    rules = open_labeller("rules:starter", openers)
    assert opened.names == ["runs/a", ("http://localhost:8000", "llama")]
    assert scored([PAIR]).prob_first.tolist() == [1.0]
    assert spoken([PAIR]).prob_first.tolist() == [0.5]  # it always says the second
    assert rules([PAIR]).prob_first.tolist() == [0.5]
    assert oracle.name == "oracle:brief,noise=0.1,seed=3"
    assert scored.name.startswith("pm:runs/a@") and rules.name.startswith("rules:starter@")
    assert spoken.name.startswith("model:http://localhost:8000@")
    assert all(isinstance(labeller, Labeller) for labeller in (scored, spoken, oracle, rules))


def test_names_differ_where_labels_may() -> None:
    openers = Opened().openers()
    specs = ["pm:a", "pm:a,temperature=2", "model:m", "model:m,criterion=honest", "rules:starter,temperature=1"]
    names = [open_labeller(spec, openers).name for spec in [*specs, "rules:starter"]]
    assert len(set(names)) == len(names)
    assert open_labeller("pm:a", openers).name == names[0]


def test_people_are_asked_in_a_study_that_is_made_for_it(tmp_path: Path) -> None:
    where = tmp_path / "store.db"
    judge = open_labeller(f"human:mine,store={where},wait=false,slots=2", Opened().openers())
    with pytest.raises(StillWaiting, match="0 of 1 comparisons of study 'mine'"):
        judge([PAIR])
    again = open_labeller(f"human:mine,store={where},wait=false", Opened().openers())
    assert again.name == "human:mine"
    store = open_store(where)
    with pytest.raises(StillWaiting):
        again([PAIR])
    store.close()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("oracel:brief", "did you mean 'oracle'"),
        ("", "unknown judge ''; expected one of: human"),
        ("pm", r"expected pm:FOLDER_OR_RUN\[,temperature=1\]"),
        ("oracle:brief,noise", "expected setting=value, found 'noise'"),
        ("oracle:brief,noise=0.1,noise=0.2", "noise stands here twice"),
        ("oracle:breif", "criterion must be one of brief, wordy, asking, plain, got 'breif'; did you mean 'brief'"),
        ("oracle:brief,nose=0.1", "oracle: unknown setting 'nose'; did you mean 'noise'"),
        ("oracle:brief,noise=much", "oracle: noise must be a number, got 'much'"),
        ("oracle:brief,noise=0.7", r"oracle: noise must be in \[0, 0.5\)"),
        ("oracle:brief,criterion=wordy", "the criterion stands behind the colon"),
        ("pm:a,temperature=-1", "pm: temperature must not be negative"),
        ("rules:nowhere.yaml", "nowhere.yaml: no such file"),
        ("model:http://host:8000", "model:http://host:8000,served_name=NAME"),
    ],
)
def test_every_wrong_spelling_is_told_what_is_right(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_labeller(spec, Opened().openers())


def test_a_subject_may_hold_colons() -> None:
    parsed = parse_spec("model:http://host:1/v1, read=text")
    assert (parsed.kind, parsed.subject, dict(parsed.settings)) == ("model", "http://host:1/v1", {"read": "text"})
    assert set(KINDS) == {"human", "pm", "model", "rules", "oracle"}
