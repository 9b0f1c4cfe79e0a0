"""What is saved, loaded back through transformers alone."""

import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import PeftModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    CodeGenConfig,
    CodeGenForCausalLM,
    PreTrainedTokenizerFast,
    pipeline,
)

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row, collate
from preflab.errors import ModelError, RunError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import LanguageModel, load_language_model
from preflab.models.roles import Role, Trunk
from preflab.models.save import check_savable, save_adapter, save_policy, save_preference_model
from preflab.models.tiny import tiny_model, tiny_tokenizer
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.score import PreferenceScorer

STORIES = Path(__file__).parents[3] / "shared/data/models/stories260k"
PROMPTS = [Dialogue.of("say yes"), Dialogue.of("hi", "hello", "and now?", system="be kind")]
REPLIES = ["yes", "no, and that at some length"]


def like_smollm2() -> PreTrainedTokenizerFast:
    """The end of a turn is also the padding, as in SmolLM2-Instruct."""
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = "<|end|>"
    return tokenizer


def like_gpt2() -> PreTrainedTokenizerFast:
    """One special token, which ends texts; the padding can only be a word."""
    words = ["<|endoftext|>", "!", *sorted(set(pre_tokenizers.ByteLevel.alphabet()) - {"!"}), "Ġy"]
    raw = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=[("Ġ", "y")]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|endoftext|>", bos_token="<|endoftext|>")


SOURCES = {
    "tiny": tiny_tokenizer,
    "pad == eos": like_smollm2,
    "no pad": like_gpt2,
}


def make(source: str, adapters: AdapterConfig | None) -> tuple[Role, Encoder]:
    """A role whose adapter and head are not what they began as."""
    if source == "stories":
        model = load_language_model(str(STORIES), precision="fp32")
    else:
        model = LanguageModel(tiny_model(), SOURCES[source](), source, "", "")
    own = Trunk(model, adapters)
    own.add_role("other", head=True)
    role = own.add_role("r", head=True)
    generator = torch.Generator().manual_seed(0)
    role.load_state({k: w + 0.05 * torch.randn(w.shape, generator=generator) for k, w in role.state().items()})
    return role, Encoder(model.tokenizer, max_tokens=256)


CASES = [
    pytest.param(source, adapters, id=f"{source}, {'adapters' if adapters else 'full'}")
    for source in (*SOURCES, "stories")
    for adapters in (AdapterConfig(rank=2, alpha=4.0), None)
    if source in ("tiny", "stories") or adapters
]


def skip_without(source: str) -> None:
    if source == "stories" and not STORIES.is_dir():
        pytest.skip("the shared stories260k model is not beside the repository")


@pytest.mark.parametrize(("source", "adapters"), CASES)
def test_a_policy_gives_the_same_log_probabilities_elsewhere(
    source: str, adapters: AdapterConfig | None, tmp_path: Path
) -> None:
    skip_without(source)
    role, encoder = make(source, adapters)
    prompt, reply = encoder.prompt(PROMPTS[0]), encoder.reply(REPLIES[0])
    with torch.no_grad():
        expected, _ = role.logprobs(collate([Row.of(prompt, reply)]))
        save_policy(role, tmp_path / "policy")
        model, report = AutoModelForCausalLM.from_pretrained(tmp_path / "policy", output_loading_info=True)
        logits = model(torch.tensor([[*prompt, *reply]])).logits[0, len(prompt) - 1 : -1]
    assert not report["missing_keys"] and not report["unexpected_keys"]
    found = logits.log_softmax(-1).gather(-1, torch.tensor(reply)[:, None]).squeeze(-1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    again = Encoder(AutoTokenizer.from_pretrained(tmp_path / "policy"), max_tokens=256)
    assert (again.prompt(PROMPTS[1]), again.reply(REPLIES[1])) == (
        encoder.prompt(PROMPTS[1]),
        encoder.reply(REPLIES[1]),
    )


@pytest.mark.parametrize(("source", "adapters"), CASES)
def test_a_preference_model_gives_the_same_scores_elsewhere_alone_and_in_a_padded_batch(
    source: str, adapters: AdapterConfig | None, tmp_path: Path
) -> None:
    skip_without(source)
    role, encoder = make(source, adapters)
    rows = [Row.of(encoder.prompt(p), encoder.reply(r)) for p in PROMPTS for r in REPLIES]
    with torch.no_grad():
        expected = role.scores(collate(rows))
    save_preference_model(role, tmp_path / "pm", pad_id=encoder.pad_id)
    model: Any
    model, report = AutoModelForSequenceClassification.from_pretrained(tmp_path / "pm", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]  # no head made up at random
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "pm")
    assert model.config.pad_token_id == tokenizer.pad_token_id == encoder.pad_id
    assert tokenizer.pad_token_id not in encoder.stop_ids
    texts = [[t for s in row.segments for t in s] for row in rows]
    with torch.no_grad():
        alone = torch.cat([model(torch.tensor([t])).logits[0] for t in texts])
        padded = tokenizer.pad({"input_ids": texts}, return_tensors="pt", padding_side="right")
        assert padded["input_ids"].shape[1] > min(map(len, texts))
        together = model(**padded).logits[:, 0]
    torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 1e-3  # or anything would agree
    again = Encoder(tokenizer, max_tokens=256)  # the new padding token has not changed what text becomes
    hard = "wow! and yes, Ġ y! why"
    assert again.reply(hard) == encoder.reply(hard)


def test_the_text_form_of_a_dialogue_scores_alike_where_the_template_ends_with_the_turn(tmp_path: Path) -> None:
    """What a user of transformers does: the template, then the model."""
    role, encoder = make("pad == eos", AdapterConfig(rank=2, alpha=4.0))
    save_preference_model(role, tmp_path / "pm", pad_id=encoder.pad_id)
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "pm")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "pm")
    texts = [tokenizer.apply_chat_template(p.with_reply(r).to_json(), tokenize=False) for p in PROMPTS for r in REPLIES]
    rows = [Row.of(encoder.prompt(p), encoder.reply(r)) for p in PROMPTS for r in REPLIES]
    with torch.no_grad():
        found = model(**tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)).logits[:, 0]
        torch.testing.assert_close(found, role.scores(collate(rows)), rtol=1e-4, atol=1e-5)


def test_a_pipeline_without_its_function_gives_the_raw_scores(tmp_path: Path) -> None:
    """As docs/bring-your-own.md tells it; by default a pipeline shows the sigmoid of a score."""
    role, encoder = make("pad == eos", AdapterConfig(rank=2, alpha=4.0))
    save_preference_model(role, tmp_path / "pm", pad_id=encoder.pad_id)
    rate: Any = pipeline("text-classification", model=str(tmp_path / "pm"))
    texts = [
        rate.tokenizer.apply_chat_template(p.with_reply(r).to_json(), tokenize=False) for p in PROMPTS for r in REPLIES
    ]
    rows = [Row.of(encoder.prompt(p), encoder.reply(r)) for p in PROMPTS for r in REPLIES]
    with torch.no_grad():
        expected = role.scores(collate(rows))
    raw = [entry["score"] for entry in rate(texts, function_to_apply="none", add_special_tokens=False)]
    squashed = [entry["score"] for entry in rate(texts, add_special_tokens=False)]
    torch.testing.assert_close(torch.tensor(raw), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.tensor(squashed), expected.sigmoid(), rtol=1e-4, atol=1e-5)


def test_saving_changes_nothing_in_the_trunk(tmp_path: Path) -> None:
    role, encoder = make("pad == eos", AdapterConfig(rank=2, alpha=4.0))
    batch = collate([Row.of([5, 6], [7])])
    with torch.no_grad():
        before = role.scores(batch), role.trunk.reference().hidden(batch)
        save_policy(role, tmp_path / "policy")
        save_preference_model(role, tmp_path / "pm", pad_id=encoder.pad_id)
        assert torch.equal(role.scores(batch), before[0])
        assert torch.equal(role.trunk.reference().hidden(batch), before[1])
    assert role.trunk.source.tokenizer.pad_token == "<|end|>"
    assert role.trunk.model.config.pad_token_id == 0


@pytest.mark.parametrize("where", ["weights", "tokenizer", "swap"])
@pytest.mark.parametrize("kind", [OSError, "safetensors"])
def test_a_save_that_fails_leaves_the_old_folder_whole(
    where: str, kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    role, _ = make("tiny", AdapterConfig(rank=2, alpha=4.0))
    folder = save_policy(role, tmp_path / "policy")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    role.load_state({k: w + 1 for k, w in role.state().items()})
    error = SafetensorError("I/O error: no space left") if kind == "safetensors" else OSError(28, "No space left")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    with monkeypatch.context() as patched:
        if where == "swap":
            import os

            replace = os.replace
            patched.setattr(os, "replace", lambda a, b: fail() if str(a).endswith(".part") else replace(a, b))
        else:
            of = PreTrainedModel if where == "weights" else PreTrainedTokenizerBase
            patched.setattr(of, "save_pretrained", fail)
        with pytest.raises(RunError, match=r"cannot be saved.*[Nn]o space left"):
            save_policy(role, folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["policy"]
    save_policy(role, folder)  # and the next one goes through
    assert (folder / "model.safetensors").read_bytes() != before["model.safetensors"]
    assert [p.name for p in tmp_path.iterdir()] == ["policy"]


@pytest.mark.parametrize("adapters", [AdapterConfig(rank=2, alpha=4.0), None])
def test_a_role_that_is_only_a_head_is_saved_with_the_body_it_reads(
    adapters: AdapterConfig | None, tmp_path: Path
) -> None:
    role, encoder = make("tiny", adapters)
    value = role.trunk.add_head("value", on="r")
    row = [Row.of([5, 6], [7, 1])]
    save_preference_model(value, tmp_path / "v", pad_id=encoder.pad_id)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "v")
    with torch.no_grad():
        found = model(torch.tensor([[5, 6, 7, 1]])).logits[0]
        torch.testing.assert_close(found, role.scores(collate(row)), rtol=1e-4, atol=1e-5)


def test_there_is_nothing_to_save_of_the_reference(tmp_path: Path) -> None:
    role, _ = make("tiny", None)
    with pytest.raises(ModelError, match="nothing to save"):
        save_policy(role.trunk.reference(), tmp_path / "x")


def test_a_role_without_a_head_is_no_preference_model(tmp_path: Path) -> None:
    own = Trunk(load_language_model("tiny"), None)
    with pytest.raises(ModelError, match="no scalar head"):
        save_preference_model(own.add_role("r"), tmp_path / "x", pad_id=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("top_layers", [None, 1])
def test_an_adapter_gives_the_same_log_probabilities_through_peft(top_layers: int | None, tmp_path: Path) -> None:
    role, encoder = make("tiny", AdapterConfig(rank=2, alpha=6.0, top_layers=top_layers))
    prompt, reply = encoder.prompt(PROMPTS[0]), encoder.reply(REPLIES[0])
    save_adapter(role, tmp_path / "adapter")
    assert {p.name for p in (tmp_path / "adapter").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    elsewhere: Any = PeftModel.from_pretrained(tiny_model(), str(tmp_path / "adapter"))
    with torch.no_grad():
        expected, _ = role.logprobs(collate([Row.of(prompt, reply)]))
        logits = elsewhere(torch.tensor([[*prompt, *reply]])).logits[0, len(prompt) - 1 : -1]
        bare, _ = role.trunk.reference().logprobs(collate([Row.of(prompt, reply)]))
    found = logits.log_softmax(-1).gather(-1, torch.tensor(reply)[:, None]).squeeze(-1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (bare - expected).abs().max() > 1e-3  # or anything would agree
    first = (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes()
    save_adapter(role, tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes() == first


def test_what_has_no_adapter_of_its_own_is_not_saved_as_one(tmp_path: Path) -> None:
    role, _ = make("tiny", AdapterConfig(rank=2))
    whole, _ = make("tiny", None)
    for other in (role.trunk.reference(), role.trunk.add_head("value", on="r"), whole):
        with pytest.raises(ModelError, match="no adapter of its own"):
            save_adapter(other, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_what_would_stop_saving_is_found_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = load_language_model("tiny", precision="fp32")
    needed = 3 * 4 * sum(weight.numel() for weight in source.model.parameters())  # three models, four bytes a weight
    for free, fits in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        expected = nullcontext() if fits else pytest.raises(RunError, match=r"when they are saved, .* make room")
        with expected:
            check_savable(source, tmp_path, preference_models=1, policies=2)


def test_an_architecture_without_a_classifier_is_found_before_anything_is_trained(tmp_path: Path) -> None:
    source = load_language_model("tiny", precision="fp32")
    odd = CodeGenForCausalLM(CodeGenConfig(vocab_size=9, n_embd=8, n_layer=1, n_head=4, rotary_dim=2))
    check_savable(replace(source, model=odd), tmp_path, preference_models=0, policies=1)
    with pytest.raises(ModelError, match="no sequence classifier for CodeGenForCausalLM"):
        check_savable(replace(source, model=odd), tmp_path, preference_models=1, policies=0)


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}<|{{ m.role }}|>{% if loop.last and m.role == 'assistant' %}<think>\n\n</think>\n\n"
        "{% endif %}{{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}",
    ],
)
def test_other_libraries_score_as_here_where_a_template_adds_opens_or_trims(tmp_path: Path, template: str) -> None:
    source = load_language_model("tiny", precision="fp32")
    source.tokenizer.chat_template = template
    role = Trunk(source, None).add_role("pm", head=True)
    with torch.no_grad():
        role.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    own = Encoder(source.tokenizer, max_tokens=256)
    dialogues = [Dialogue.of("Name a fruit.", reply) for reply in ("An apple.", " \n A pear. \n", "")]
    scores = PreferenceScorer(role, own)(dialogues)
    folder = save_preference_model(role, tmp_path / "pm", pad_id=own.pad_id, chat_template=own.scoring_template)
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for dialogue, score in zip(dialogues, scores, strict=True):
        batch = tokenizer.apply_chat_template([dialogue.to_json()], return_dict=True, return_tensors="pt")
        torch.testing.assert_close(model(**batch).logits[0, 0], score, rtol=0, atol=1e-4)
