"""A saved preference model comes back as a role that scores as transformers' own classifier does."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from preflab.data.dialogue import Dialogue
from preflab.errors import ModelError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.preference_model import load_preference_model
from preflab.models.roles import Trunk
from preflab.models.save import save_policy, save_preference_model
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.score import PreferenceScorer

DIALOGUES = [
    Dialogue.of("Is the shop open?", "Yes, until six."),
    Dialogue.of("Is the shop open?", "No."),
    Dialogue.of("Hello", "Hello!", "Tell me a joke", "I know none, I am afraid."),
]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, torch.Tensor]:
    source = load_language_model("tiny")
    encoder = Encoder(source.tokenizer, max_tokens=256)
    role = Trunk(source, AdapterConfig(rank=4, alpha=8.0)).add_role("pm", head=True)
    with torch.no_grad():
        for weight in role.weights().values():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    folder = tmp_path / "pm"
    save_preference_model(role, folder, pad_id=encoder.pad_id, chat_template=encoder.scoring_template)
    return folder, PreferenceScorer(role, encoder)(DIALOGUES)


def test_it_scores_as_it_did_and_as_transformers_does(saved: tuple[Path, torch.Tensor]) -> None:
    folder, before = saved
    role = load_preference_model(str(folder))
    scores = PreferenceScorer(role, Encoder(role.trunk.source.tokenizer, max_tokens=256))(DIALOGUES)
    assert torch.allclose(scores, before, atol=1e-4)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for dialogue, score in zip(DIALOGUES, scores, strict=True):
        ids = tokenizer.apply_chat_template(dialogue.to_json(), return_tensors="pt", return_dict=True)
        with torch.no_grad():
            theirs = model(**ids).logits[0, 0]
        assert abs(float(theirs) - float(score)) < 1e-4
    assert len(set(scores.tolist())) == len(DIALOGUES)


def test_a_language_model_is_no_preference_model(tmp_path: Path) -> None:
    role = Trunk(load_language_model("tiny"), AdapterConfig(rank=4, alpha=8.0)).add_role("policy")
    save_policy(role, tmp_path / "policy")
    with pytest.raises(ModelError, match=r"(missing and would be random: score|one number)"):
        load_preference_model(str(tmp_path / "policy"))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded as a preference model"):
        load_preference_model(str(tmp_path))
