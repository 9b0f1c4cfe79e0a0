"""Another network than a causal one of transformers can stand under roles: here one that adds up embeddings."""

import copy
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from preflab.data.rows import Row, collate
from preflab.models.backends.backbone import Backbone
from preflab.models.backends.shared_layers import LayerSplit
from preflab.models.heads import token_logprobs
from preflab.models.role_weights import FullCopies
from preflab.models.row_attention.attention import DeviceBatch, Layout, Rows, to_device
from preflab.models.row_attention.row_support import LogitShape

VOCABULARY, HIDDEN = 11, 5


class Sums(nn.Module):
    """An embedding and an output layer."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.embedding = nn.Parameter(torch.randn(VOCABULARY, HIDDEN, generator=generator))
        self.output = nn.Parameter(torch.randn(VOCABULARY, HIDDEN, generator=generator))


class SumBackbone:
    """A token's hidden state is the sum of its own embedding and of those of all tokens before it on its path."""

    hidden_size = HIDDEN
    depth = 1
    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, model: Sums) -> None:
        self.model: Any = model

    @property
    def adaptable_layers(self) -> list[str]:
        return []

    @property
    def logit_shape(self) -> LogitShape:
        return {"softcap": None, "scale": 1.0}

    @property
    def output_weight(self) -> Float[Tensor, "vocab hidden"]:
        weight: Tensor = self.model.output
        return weight

    def to_device(self, rows: Rows) -> DeviceBatch:
        return to_device(rows, self.device)

    def hidden(self, batch: DeviceBatch) -> Float[Tensor, "1 token hidden"]:
        layout: Layout = batch.mask.preflab_layout  # type: ignore[attr-defined]
        start, end = layout.subtree_start, layout.subtree_end
        row = torch.repeat_interleave(torch.arange(len(layout.lengths)), torch.tensor(layout.lengths))
        sees = (start[None] <= start[:, None]) & (start[:, None] < end[None]) & (row[:, None] == row[None])
        sees &= torch.ones_like(sees).tril()
        return (sees.float() @ self.model.embedding[batch.ids[0]])[None]

    def split_below(self, top_layers: int) -> LayerSplit | None:
        del top_layers
        return None

    def trainable_copy(self) -> "SumBackbone":
        return SumBackbone(copy.deepcopy(self.model).requires_grad_(True))

    def shard(self) -> None:
        raise AssertionError("one process shards nothing")


ROWS = [Row.of([1, 2], [3, 4], [5]), Row.of([6], [7, 8], [9, 10, 3])]


def logprobs(backbone: Backbone) -> Tensor:
    batch = backbone.to_device(collate(ROWS))
    hidden = backbone.hidden(batch)[0][batch.predict_at]
    return token_logprobs(hidden, batch.targets, backbone.output_weight, **backbone.logit_shape)[0]


def test_it_is_a_backbone() -> None:
    assert isinstance(SumBackbone(Sums()), Backbone)


PROPERTIES = ["hidden_size", "depth", "device", "dtype", "adaptable_layers", "output_weight", "logit_shape"]
METHODS = ["to_device", "hidden", "split_below", "trainable_copy", "shard"]


@pytest.mark.parametrize("member", [*PROPERTIES, *METHODS])
def test_what_lacks_any_part_is_none(member: str) -> None:
    members = {name: value for name, value in vars(SumBackbone).items() if name != member}
    assert not isinstance(type("Part", (), members)(Sums()), Backbone)


def test_log_probabilities_follow_from_paths_alone() -> None:
    model = Sums()
    expected = []
    for row in ROWS:
        for reply in row.replies:
            path = list(row.segments[0])
            for token in row.segments[reply]:
                logits = model.output @ model.embedding[path].sum(dim=0)
                expected.append(logits.log_softmax(-1)[token])
                path.append(token)
    torch.testing.assert_close(logprobs(SumBackbone(model)), torch.stack(expected), rtol=1e-5, atol=1e-5)


def test_roles_on_it_are_copies_that_train_apart() -> None:
    model = Sums().requires_grad_(False)
    weights = FullCopies(SumBackbone(model))
    weights.add("policy", None)
    with torch.no_grad():
        weights.parameters("policy")["output"].mul_(2.0)
    weights.add("second", "policy")
    with weights.activate(None) as reference, weights.activate("policy") as policy, weights.activate("second") as third:
        torch.testing.assert_close(policy.output_weight, 2 * reference.output_weight)
        assert torch.equal(third.output_weight, policy.output_weight)
        assert not torch.allclose(logprobs(policy), logprobs(reference))
        logprobs(policy).sum().backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is not None for weight in weights.parameters("policy").values())
    assert all(weight.grad is None for weight in (*weights.parameters("second").values(), *model.parameters()))
    assert not any(weight.requires_grad for weight in weights.merged_model("policy").parameters())
