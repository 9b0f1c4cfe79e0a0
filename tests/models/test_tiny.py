"""The tiny model: the same every time, and a tokenizer that loses nothing."""

import pytest
import torch

from preflab.models.load import weights_sha256
from preflab.models.tiny import tiny_model, tiny_tokenizer


def test_the_model_depends_on_its_seed_and_not_on_what_was_drawn_before() -> None:
    torch.manual_seed(1)
    first = weights_sha256(tiny_model())
    torch.randn(5)
    state = torch.get_rng_state()
    assert weights_sha256(tiny_model()) == first
    assert torch.equal(torch.get_rng_state(), state)  # nor does making it disturb anyone else's numbers
    assert weights_sha256(tiny_model(seed=1)) != first


def test_it_is_small_ready_to_sample_and_knows_its_vocabulary() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    assert sum(p.numel() for p in model.parameters()) < 40_000
    assert not model.training
    assert model.config.vocab_size == len(tokenizer) == 256 + 5
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1)


@pytest.mark.parametrize("text", ["plain", " two  blanks ", "émigré 🙂 日本", "\n\ttabs\r\n", ""])
def test_one_token_a_byte_and_back(text: str) -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(text.encode())
    assert tokenizer.decode(ids) == text


def test_the_template_closes_every_turn() -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    text = tiny_tokenizer().apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|system|>s<|end|><|user|>u<|end|><|assistant|>"
