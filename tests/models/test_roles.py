"""Roles on one trunk: who shares what, who is left alone, which models are refused."""

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GraniteConfig,
    LlamaForCausalLM,
    PretrainedConfig,
)

from preflab.data.rows import Row, RowBatch, collate
from preflab.errors import ConfigError, ModelError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import LanguageModel, load_language_model
from preflab.models.roles import Role, Trunk
from preflab.models.tiny import tiny_model, tiny_tokenizer

LOW_RANK = AdapterConfig(rank=2, alpha=4.0)
SIZES = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def batch() -> RowBatch:
    return collate([Row.of([5, 6, 7], [8, 9], [10, 11, 12]), Row.of([20], [21])])


def mask() -> Tensor:
    """The batch's rows side by side: blocks on the diagonal, nothing between them."""
    return torch.block_diag(Row.of([5, 6, 7], [8, 9], [10, 11, 12]).mask(), Row.of([20], [21]).mask())[
        None, None
    ].bool()


def trunk(adapters: AdapterConfig | None = LOW_RANK, seed: int = 0) -> Trunk:
    return Trunk(load_language_model("tiny", precision="fp32"), adapters, seed=seed)


def random_model(config: PretrainedConfig) -> LanguageModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    return LanguageModel(model, tiny_tokenizer(), "random", "made in memory", "")


def train(role: Role, steps: int = 2, rate: float = 0.5) -> None:
    optimiser = torch.optim.SGD(role.weights().values(), lr=rate)
    for _ in range(steps):
        total = -role.logprobs(batch())[0].sum()
        if "head.weight" in role.weights():
            total = total + role.scores(batch()).square().sum()
        total.backward()
        optimiser.step()
        optimiser.zero_grad()


def numbers(role: Role) -> Tensor:
    with torch.no_grad():
        return torch.cat([role.hidden(batch()).flatten(), role.logprobs(batch())[0]])


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def learners(role: Role) -> set[str]:
    return {k for k, w in role.weights().items() if w.grad is not None}


# who is changed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapters", [LOW_RANK, None])
def test_training_one_role_leaves_the_others_and_the_reference_bit_for_bit(adapters: AdapterConfig | None) -> None:
    bare = load_language_model("tiny", precision="fp32")
    with torch.no_grad():
        out = bare.model.base_model(
            input_ids=batch().ids, position_ids=batch().positions, attention_mask=mask()
        ).last_hidden_state.flatten()
    own = trunk(adapters)
    trained, idle = own.add_role("trained", head=True), own.add_role("idle", head=True)
    reference = own.reference()
    assert torch.equal(numbers(reference)[: len(out)], out)
    before = numbers(reference), numbers(idle), idle.state(), numbers(trained), trained.state()
    train(trained)
    assert torch.equal(numbers(reference), before[0])
    assert torch.equal(numbers(idle), before[1])
    assert same(idle.state(), before[2])
    assert not torch.allclose(numbers(trained), before[3])
    assert not any(torch.equal(w, before[4][k]) for k, w in trained.state().items())
    assert reference.weights() == {}


@pytest.mark.parametrize("adapters", [LOW_RANK, None])
def test_a_new_role_begins_as_the_reference(adapters: AdapterConfig | None) -> None:
    own = trunk(adapters)
    assert torch.equal(numbers(own.add_role("fresh")), numbers(own.reference()))


@pytest.mark.parametrize("adapters", [LOW_RANK, None])
def test_no_gradient_is_lost_whatever_runs_between_forward_and_backward(adapters: AdapterConfig | None) -> None:
    """peft freezes the adapters it turns away from, and would drop their gradients without a word."""
    own = trunk(adapters)
    a, b = own.add_role("a", head=True), own.add_role("b", head=True)
    a.scores(batch()).sum().backward()
    alone = {k: w.grad.clone() for k, w in a.weights().items() if w.grad is not None}
    for w in a.weights().values():
        w.grad = None

    loss = a.scores(batch()).sum()
    with torch.no_grad():
        a.scores(batch())
    own.reference().logprobs(batch())
    (loss + b.scores(batch()).sum()).backward()
    assert learners(a) == alone.keys()
    assert learners(b) == learners(a)
    for key, w in a.weights().items():
        assert key not in alone or torch.equal(w.grad if w.grad is not None else w, alone[key])


def test_active_roles_may_be_nested_and_comes_back_to_the_outer_role() -> None:
    own = trunk()
    a, b = own.add_role("a"), own.add_role("b")
    train(a)
    train(b, steps=5)
    expected = numbers(a)
    for inner in (b, own.reference()):
        with own.activate("a"):
            numbers(inner)
            own.add_role(f"made_{inner.name}")
            with own.activate("a") as backbone, torch.no_grad():
                out = backbone.model.base_model(
                    input_ids=batch().ids, position_ids=batch().positions, attention_mask=mask()
                ).last_hidden_state.flatten()
            assert torch.equal(out, expected[: len(out)])
    with own.activate(None), own.activate("a"):
        assert torch.equal(numbers(a), expected)


def test_adapters_are_put_on_the_topmost_layers_only() -> None:
    own = Trunk(
        LanguageModel(tiny_model(layers=4), tiny_tokenizer(), "tiny", "", ""),
        AdapterConfig(rank=2, alpha=4.0, top_layers=1),
    )
    role = own.add_role("r")
    assert {k.split(".")[2] for k in role.weights()} == {"3"}
    seen = []
    own.model.base_model.layers[2].register_forward_hook(lambda m, i, o: seen.append(o))
    role.logprobs(batch())[0].sum().backward()
    assert not (seen[0][0] if isinstance(seen[0], tuple) else seen[0]).requires_grad  # backward stops below


@pytest.mark.parametrize("bad", [{"top_layers": 0}, {"top_layers": -1}, {"rank": 0}])
def test_no_layers_does_not_mean_all_layers(bad: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        AdapterConfig(**bad)


@pytest.mark.parametrize("adapters", [LOW_RANK, None])
def test_starting_from_a_role_copies_its_weights_and_its_head(adapters: AdapterConfig | None) -> None:
    own = trunk(adapters)
    pm = own.add_role("pm", head=True)
    train(pm)
    value, headless = own.add_role("value", head=True, start_from="pm"), own.add_role("body", start_from="pm")
    assert same(value.state(), pm.state())
    assert same(headless.state(), {k: w for k, w in pm.state().items() if k != "head.weight"})
    before = pm.state()
    train(value)
    assert same(pm.state(), before)


def test_a_head_is_never_random_where_one_was_to_be_copied() -> None:
    own = trunk()
    own.add_role("bare")
    with pytest.raises(ConfigError, match="no scalar head"):
        own.add_role("value", head=True, start_from="bare")
    assert own.names == ["bare"]  # nothing half made is left behind
    with pytest.raises(ModelError, match="'bare' has no scalar head"):
        Role(own, "bare").scores(batch())
    with pytest.raises(ModelError, match="'reference' has no scalar head"):
        own.reference().scores(batch())


def test_names_are_free_but_not_taken_twice() -> None:
    own = trunk()
    for name in ("layers", "values", "train", "weight", "lora_A"):  # names of modules, methods and peft's own
        assert len(own.add_role(name).weights()) == len(Role(own, "layers").weights())
    for name in ("layers", "a b", ""):
        with pytest.raises(ConfigError, match="taken or not a plain name"):
            own.add_role(name)
    with pytest.raises(ConfigError, match="no role 'nobody'"):
        own.add_role("x", start_from="nobody")


def test_a_model_with_adapters_makes_no_second_trunk() -> None:
    own = trunk()
    own.add_role("a")
    with pytest.raises(ModelError, match="carries adapters already"):
        Trunk(own.source, LOW_RANK)


@pytest.mark.parametrize("adapters", [LOW_RANK, None])
def test_fresh_weights_depend_on_seed_and_name_and_on_nothing_drawn_before(adapters: AdapterConfig | None) -> None:
    def fresh(seed: int, name: str, drawn: int) -> dict[str, Tensor]:
        torch.manual_seed(drawn)
        torch.randn(drawn + 1)
        return trunk(adapters, seed).add_role(name, head=True).state()

    first = fresh(3, "pm", 0)
    assert same(first, fresh(3, "pm", 7))
    for other in (fresh(4, "pm", 0), fresh(3, "value", 0)):
        assert not torch.equal(first["head.weight"], other["head.weight"])
    after = torch.initial_seed()
    trunk(adapters).add_role("x", head=True)
    assert torch.initial_seed() == after


@pytest.mark.parametrize("adapters", [LOW_RANK, None])
def test_a_role_that_is_only_a_head_begins_as_its_body_s_and_trains_nothing_else(
    adapters: AdapterConfig | None,
) -> None:
    own = trunk(adapters)
    pm = own.add_role("pm", head=True)
    train(pm)
    value = own.add_head("value", on="pm")
    assert torch.equal(value.values(batch()), pm.values(batch()))
    before, body = pm.scores(batch()).detach(), numbers(pm)
    value.values(batch()).sum().backward()
    assert value.weights().keys() == {"head.weight"} == learners(value)
    assert not any(w.grad is not None and w.grad.any() for w in pm.weights().values())
    with torch.no_grad():
        value.head.weight.add_(1.0)
    assert torch.equal(pm.scores(batch()).detach(), before)
    assert torch.equal(numbers(value), body)


@pytest.mark.parametrize("head", [True, False])
def test_adapters_on_the_top_give_the_same_numbers_whichever_roles_asked_before(head: bool) -> None:
    """What lies below the adapters is shared between the roles that read one batch."""
    own = trunk(AdapterConfig(rank=2, alpha=4.0, top_layers=1))
    a, b = own.add_role("a", head=head), own.add_role("b", head=head)
    train(a)
    one, other = batch(), collate([Row.of([9, 8], [7])])
    with torch.no_grad():
        expected = {r.name: r.hidden(batch()) for r in (a, b, own.reference())}
        assert not torch.allclose(expected["a"], expected["b"])
        for role in (a, own.reference(), b, a):
            assert torch.equal(role.hidden(one), expected[role.name])
            role.hidden(other)
        whole = own.model.base_model(input_ids=one.ids, position_ids=one.positions, attention_mask=mask())
        assert torch.equal(whole.last_hidden_state.flatten(0, 1), expected["a"])  # the last to play


# state ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapters", [LOW_RANK, None])
def test_a_state_comes_back_and_is_a_copy(adapters: AdapterConfig | None) -> None:
    role = trunk(adapters).add_role("r", head=True)
    train(role)
    kept, expected = role.state(), numbers(role)
    train(role)
    role.load_state(kept)
    assert torch.equal(numbers(role), expected)
    fresh = trunk(adapters).add_role("other", head=True)
    fresh.load_state(kept)
    assert torch.equal(numbers(fresh), expected)


@pytest.mark.parametrize("fault", ["missing head", "missing body", "unknown", "shape"])
def test_a_state_that_does_not_fit_is_refused_whole(fault: str) -> None:
    role = trunk().add_role("r", head=True)
    before = role.state()
    state = {k: w + 1 for k, w in before.items()}
    last = sorted(k for k in state if k != "head.weight")[-1]
    if fault == "missing head":
        del state["head.weight"]
    elif fault == "missing body":
        del state[last]
    elif fault == "unknown":
        state["stranger"] = torch.zeros(1)
    else:
        state["head.weight"] = torch.zeros(1, 3)
    with pytest.raises(ModelError, match=r"missing|unknown|shape \(1, 3\), expected"):
        role.load_state(state)
    assert same(role.state(), before)


# families ------------------------------------------------------------------------------------------------


FAMILIES = {
    "gpt2": GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=32),
    "gemma3": Gemma3TextConfig(
        **SIZES, num_key_value_heads=1, head_dim=8, intermediate_size=32, final_logit_softcapping=3.0,
        sliding_window=32, query_pre_attn_scalar=8, initializer_range=0.3,
    ),
    "granite": GraniteConfig(**SIZES, num_key_value_heads=1, intermediate_size=32, logits_scaling=4.0),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("adapters", [LOW_RANK, None])
def test_other_families_pass_the_check_train_and_agree_with_their_own_logits(
    family: str, adapters: AdapterConfig | None
) -> None:
    source = random_model(FAMILIES[family])
    with torch.no_grad():
        own = source.model(input_ids=torch.tensor([[5, 6, 7, 8, 9]])).logits[0].log_softmax(-1)
    expected = torch.stack([own[2, 8], own[3, 9]])
    role = Trunk(source, adapters).add_role("r", head=True)
    logp = role.logprobs(collate([Row.of([5, 6, 7], [10, 11], [8, 9])]))[0].detach()[2:]
    torch.testing.assert_close(logp, expected, rtol=1e-4, atol=1e-4)
    before = float(role.logprobs(batch())[0].detach().sum())
    train(role, rate=0.003)
    assert float(role.logprobs(batch())[0].detach().sum()) > before


def test_a_bf16_trunk_keeps_adapters_and_heads_in_full_precision() -> None:
    model: LlamaForCausalLM = tiny_model().to(torch.bfloat16)
    for adapters in (LOW_RANK, None):
        own = Trunk(LanguageModel(model, tiny_tokenizer(), "x", "", ""), adapters)
        role = own.add_role("r", head=True)
        assert {w.dtype for w in role.weights().values()} == {torch.float32}
        train(role)
        assert role.scores(batch()).dtype == torch.float32
        assert role.logprobs(batch())[0].dtype == torch.float32
        model = tiny_model().to(torch.bfloat16)


def test_the_embedding_gives_the_hidden_size() -> None:
    assert trunk().hidden_size == 32
    assert isinstance(trunk().add_role("r", head=True).head, nn.Module)
