"""Two halves of a trunk give the whole's numbers, the lower one is run once a batch, and odd bodies stay whole."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from preflab.data.rows import Row, RowBatch, collate
from preflab.models.adapters import AdapterConfig
from preflab.models.backends.shared_layers import find_split
from preflab.models.load import LanguageModel, load_language_model
from preflab.models.roles import Trunk
from preflab.models.row_attention.attention import to_device
from preflab.models.row_attention.row_support import body_of
from preflab.models.tiny import tiny_tokenizer


def batch() -> RowBatch:
    return collate([Row.of([5, 6, 7], [8, 9, 1], [10, 11, 12, 13, 1]), Row.of([5, 6], [8, 1])])


def trunk(top_layers: int | None) -> Trunk:
    return Trunk(load_language_model("tiny", precision="fp32"), AdapterConfig(rank=4, top_layers=top_layers))


def nudge(own: Trunk, role: str) -> None:
    with torch.no_grad():
        for weight in own.named_weights(role).values():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))


def test_roles_on_a_split_trunk_score_as_on_a_whole_one() -> None:
    """The same adapter weights, once with the lower layer shared and once without."""
    split, whole = trunk(1), trunk(1)
    assert split.shared_lower_layers is not None
    whole.shared_lower_layers = None
    for own in (split, whole):
        own.add_role("pm", head=True)
        nudge(own, "pm")
    rows = batch()
    for name in ("pm", None):
        a, b = (own.reference() if name is None else own_role(own, name) for own in (split, whole))
        torch.testing.assert_close(a.logprobs(rows)[0], b.logprobs(rows)[0], rtol=0, atol=0)
    pm_split, pm_whole = own_role(split, "pm"), own_role(whole, "pm")
    pm_split.scores(rows).sum().backward()
    pm_whole.scores(rows).sum().backward()
    for name, weight in pm_split.weights().items():
        torch.testing.assert_close(weight.grad, pm_whole.weights()[name].grad, rtol=0, atol=0)


def own_role(own: Trunk, name: str):  # type: ignore[no-untyped-def]
    from preflab.models.roles import Role

    return Role(own, name)


def test_the_lower_half_runs_once_for_all_roles_of_a_batch_and_again_for_the_next() -> None:
    own = trunk(1)
    policy, pm = own.add_role("policy"), own.add_role("pm", head=True)
    runs = []
    body_of(own.model).layers[0].register_forward_hook(lambda *_: runs.append(1))
    rows = batch()
    policy.logprobs(rows)
    own.reference().logprobs(rows)
    pm.scores(rows)
    assert len(runs) == 1
    policy.logprobs(batch())
    assert len(runs) == 2


def test_adapters_on_every_layer_leave_nothing_to_share() -> None:
    assert trunk(None).shared_lower_layers is None
    assert trunk(2).shared_lower_layers is None  # both of the two layers


@pytest.mark.parametrize("at", [0, 2, 5])
def test_a_cut_outside_the_layers_is_no_split(at: int) -> None:
    model = load_language_model("tiny", precision="fp32").model
    assert find_split(body_of(model), at, to_device(batch(), torch.device("cpu"))) is None


def test_a_body_that_adds_positions_to_its_embeddings_stays_whole() -> None:
    config = GPT2Config(vocab_size=261, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=1)
    source = LanguageModel(GPT2LMHeadModel(config).eval(), tiny_tokenizer(), "gpt2", "memory", "0")
    own = Trunk(source, AdapterConfig(rank=4, top_layers=1))
    assert own.shared_lower_layers is None
    own.add_role("pm", head=True)
    assert torch.isfinite(own_role(own, "pm").scores(batch())).all()


def test_a_body_whose_second_half_does_not_add_up_stays_whole() -> None:
    model = load_language_model("tiny", precision="fp32").model
    body = body_of(model)
    body.embed_tokens.register_forward_hook(lambda *_: None)
    body.layers[1].register_forward_pre_hook(lambda _, args: (args[0] * 1.0, *args[1:]))
    assert find_split(body, 1, to_device(batch(), torch.device("cpu"))) is not None  # harmless hooks are no obstacle
    plain = body.forward

    def scaled(*args: object, inputs_embeds: torch.Tensor | None = None, **kwargs: object) -> object:
        """As Gemma does: whatever comes in as embeddings is scaled."""
        return plain(*args, inputs_embeds=None if inputs_embeds is None else inputs_embeds * 2, **kwargs)

    body.forward = scaled
    assert find_split(body, 1, to_device(batch(), torch.device("cpu"))) is None


def test_a_role_that_is_only_a_head_starts_from_the_others_and_trains_nothing_else() -> None:
    own = trunk(1)
    pm = own.add_role("pm", head=True)
    value = own.add_head("value", on="pm")
    rows = batch()
    torch.testing.assert_close(value.values(rows), pm.values(rows), rtol=0, atol=0)
    assert set(value.weights()) == {"head.weight"}
    before = pm.state()
    value.values(rows).sum().backward()
    assert all(weight.grad is None for weight in pm.weights().values())
    with torch.no_grad():
        value.head.weight.add_(1.0)
    for name, weight in pm.state().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)
