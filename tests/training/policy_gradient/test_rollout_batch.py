"""The grid of a step's replies: where tokens lie, which pass is kept, and the KL over the whole vocabulary."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from preflab.data.rows import Row
from preflab.errors import DataError, TrainingStopped
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.generate import Rollout
from preflab.training.policy_gradient.rollout_batch import (
    RolloutBatch,
    RolloutRoles,
    check_rollouts,
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


def test_kl_is_logged_per_reply_with_its_error(trunk: Trunk) -> None:
    batch = measured(trunk, 10_000)
    assert batch.ref_logp is not None
    gap = (batch.logp - batch.ref_logp).double()
    per_reply = [float(gap[n, :length].sum()) for n, length in enumerate((3, 1, 2))]
    mean = sum(per_reply) / 3
    spread = (sum((kl - mean) ** 2 for kl in per_reply) / 3) ** 0.5
    found = rollout_metrics(batch)
    assert found["kl"] == pytest.approx(mean, rel=1e-4)
    assert found["kl_error"] == pytest.approx(spread / 3**0.5, rel=1e-4)
    assert found["sqrt_kl"] == pytest.approx(max(0.0, mean) ** 0.5, rel=1e-4)
    # k3 = exp(-d) - 1 + d with d = log p - log q, summed over a reply
    gaps = gap[batch.mask]
    assert found["kl_k3"] == pytest.approx(float(((-gaps).exp() - 1 + gaps).sum()) / 3, rel=1e-3)
    assert found["kl_k3"] >= 0
    assert found["sampler_gap"] == pytest.approx(float((batch.logp[batch.mask] + 1).abs().mean()), rel=1e-5)


@pytest.mark.parametrize("max_tokens", [1, 14, 10_000])
def test_how_rows_are_split_into_passes_changes_no_number(trunk: Trunk, max_tokens: int) -> None:
    found, expected = measured(trunk, max_tokens), measured(trunk, 10_000)
    for name in ("logp", "ref_logp", "values", "entropy"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-5)
    assert found.measured_tokens == expected.measured_tokens == 3 * 13
    assert not found.logp[~found.mask].any()  # nothing lies beside the replies


def test_rows_know_their_samples(trunk: Trunk) -> None:
    batch = measured(trunk, 10_000)
    assert batch.samples_per_row == [2, 1]
    assert batch.sample_indices([1, 0]) == [2, 0, 1]
    samples, tokens = batch.item_indices([0])
    assert list(zip(samples.tolist(), tokens.tolist(), strict=True)) == [(0, 0), (0, 1), (0, 2), (1, 0)]


# what an engine gave ---------------------------------------------------------------------------------------

PROMPT_TOKENS = [(3, 66, 4), (3, 67, 4)]


def replies(*versions: int) -> list[list[Rollout]]:
    """One reply to each prompt, of these versions of the weights."""
    return [
        [Rollout(prompt, (70, 1), (-1.0, -2.0), True, version=version)]
        for prompt, version in zip(PROMPT_TOKENS, versions, strict=True)
    ]


@pytest.mark.parametrize(("versions", "max_staleness", "oldest"), [((5, 5), 0, 0), ((5, 4), 1, 1), ((3, 5), 2, 2)])
def test_the_age_of_the_oldest_reply_is_told(versions: tuple[int, int], max_staleness: int, oldest: int) -> None:
    found = check_rollouts(replies(*versions), PROMPT_TOKENS, n=1, version=5, max_staleness=max_staleness)
    assert found == oldest


@pytest.mark.parametrize(("versions", "prompt"), [((5, 3), 1), ((3, 5), 0), ((6, 5), 0), ((5, 6), 1)])
def test_a_reply_that_is_too_old_or_from_the_future_ends_the_run(versions: tuple[int, int], prompt: int) -> None:
    with pytest.raises(TrainingStopped, match=f"a reply to prompt {prompt} was drawn with version {versions[prompt]}"):
        check_rollouts(replies(*versions), PROMPT_TOKENS, n=1, version=5, max_staleness=1)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda rs: rs[:1], r"the engine gave \[1\] replies; expected 1 to each of 2"),
        (lambda rs: [rs[0] * 2, rs[1]], r"the engine gave \[2, 1\] replies"),
        (lambda rs: rs[::-1], "another prompt than number 0; prompts must come back in order"),
        (lambda rs: [rs[0], [replace(rs[1][0], tokens=(), logprobs=())]], "prompt 1 has 0 tokens and 0"),
        (lambda rs: [rs[0], [replace(rs[1][0], logprobs=(-1.0,))]], "prompt 1 has 2 tokens and 1"),
    ],
)
def test_replies_that_were_not_asked_for_are_refused(
    change: Callable[[list[list[Rollout]]], list[list[Rollout]]], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        check_rollouts(change(replies(0, 0)), PROMPT_TOKENS, n=1, version=0, max_staleness=0)
