"""The grid of a step's replies: where tokens lie, which pass is kept, and the KL over the whole vocabulary."""

import pytest
import torch

from preflab.data.rows import Row
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.generate import Rollout
from preflab.training.policy_gradient.rollout_batch import (
    RolloutBatch,
    RolloutRoles,
    exact_kl_per_reply,
    forward_all_roles,
    grid_indices,
    rollout_metrics,
)

ROWS = [Row.of([3, 66, 4], [70, 71, 1], [80]), Row.of([3, 67, 68, 4], [90, 91])]


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    found = Trunk(load_language_model("tiny", precision="fp32"), AdapterConfig(rank=2))
    policy = found.add_role("policy")
    found.add_role("value", head=True)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in policy.weights().values():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return found


def measured(trunk: Trunk, max_tokens: int, **more: object) -> RolloutBatch:
    batch = [[Rollout(row.segments[0], row.segments[s], (-1.0,) * 9, True) for s in row.replies] for row in ROWS]
    batch = [[Rollout(r.prompt, r.tokens, (-1.0,) * len(r.tokens), True) for r in rs] for rs in batch]
    return forward_all_roles(
        batch,
        torch.tensor([1.0, 2.0, 6.0]),
        RolloutRoles(Role(trunk, "policy"), trunk.reference(), Role(trunk, "value")),
        max_tokens=max_tokens,
        **more,  # type: ignore[arg-type]
    )


def test_reply_tokens_lie_in_the_order_of_a_collated_batch() -> None:
    mask = torch.tensor([[True, True, True], [True, False, False], [True, True, False]])
    sample, token = grid_indices([1, 0], ROWS, [0, 2], mask)
    assert sample.tolist() == [2, 2, 0, 0, 0, 1]
    assert token.tolist() == [0, 1, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("max_tokens", "cache_policy", "kept"),
    [
        (52, True, True),  # 13 tokens, two graphs, half of 52
        (51, True, False),
        (26, False, True),  # the value model's alone
        (25, False, False),
    ],
)
def test_graphs_are_kept_only_if_together_they_fit_where_one_with_gradient_does(
    trunk: Trunk, max_tokens: int, cache_policy: bool, kept: bool
) -> None:
    found = measured(trunk, max_tokens, first_rows=[0, 1], cache_policy=cache_policy)
    assert (found.cached is not None) == kept
    if found.cached is not None:
        assert (found.cached.logp is not None) == cache_policy
        assert found.cached.values is not None
        assert found.cached.values.requires_grad
        torch.testing.assert_close(found.cached.values.detach(), found.values[found.item_indices([0, 1])])  # type: ignore[index]
    own = 13 * (3 - kept * (1 + cache_policy))  # what is kept counts as trained, not as measured
    assert found.measured_tokens == own
    assert not found.logp.requires_grad


def test_a_kept_pass_changes_no_number(trunk: Trunk) -> None:
    kept, plain = measured(trunk, 10_000, first_rows=[1], cache_policy=True), measured(trunk, 10_000)
    for name in ("logp", "ref_logp", "values", "entropy"):
        torch.testing.assert_close(getattr(kept, name), getattr(plain, name), rtol=1e-4, atol=1e-5)


def test_exact_kl_equals_a_sum_over_the_vocabulary_of_plain_forward_passes(trunk: Trunk) -> None:
    policy, wanted = Role(trunk, "policy"), []
    for row in ROWS:
        for s in row.replies:
            ids = torch.tensor([[*row.segments[0], *row.segments[s]]])
            logps = []
            for role in (policy, trunk.reference()):
                with trunk.activate(role.name) as backbone, torch.no_grad():
                    logps.append(
                        backbone.model(input_ids=ids, use_cache=False).logits[0].div(0.8).double().log_softmax(-1)
                    )
            at = slice(len(row.segments[0]) - 1, ids.shape[1] - 1)
            wanted.append(float((logps[0][at].exp() * (logps[0][at] - logps[1][at])).sum()))
    found = exact_kl_per_reply(policy, trunk.reference(), ROWS, temperature=0.8)
    assert found.tolist() == pytest.approx(wanted, rel=1e-4)
    assert min(wanted) > 0.001


def test_what_is_logged_of_a_batch_by_hand(trunk: Trunk) -> None:
    found = rollout_metrics(measured(trunk, 10_000))
    assert found["score"] == pytest.approx(3.0)
    assert found["score_std"] == pytest.approx((14 / 3) ** 0.5)  # 4 + 1 + 9 over 3
    assert found["reply_tokens"] == pytest.approx(2.0)
    assert found["sampled_tokens"] == 6.0
    assert found["ended_share"] == 1.0
