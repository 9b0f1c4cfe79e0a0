"""Comparisons of a run in parts: nothing shared, nothing lost, the same in every process."""

from dataclasses import replace
from pathlib import Path

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError
from preflab.feedback.label_comparisons import label_comparisons, pairs_of
from preflab.feedback.labellers.oracle import OracleLabeller
from preflab.feedback.labellers.synthetic_annotator import SyntheticPreference
from preflab.models.tiny import CHAT_TEMPLATE
from preflab.recipes.common import comparison_parts
from preflab.recipes.common.comparison_parts import HELD_OUT, ComparisonParts, draw_subset
from preflab.recipes.common.configs import ComparisonDataConfig, ModelConfig
from preflab.recipes.common.model_roles import ModelRoles
from preflab.run import Run

SHARES = {"train": 0.7, HELD_OUT: 0.3}
TINY = ModelConfig(policy="tiny", precision="fp32")


def parts_of(run: Run, model: ModelConfig = TINY, **settings: int) -> ComparisonParts:
    data = replace(ComparisonDataConfig(max_comparisons=40), **settings)
    return ComparisonParts(run, data, ModelRoles(run, model), SHARES)


def test_parts_share_no_prompt_and_hold_what_was_drawn(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        parts = parts_of(run).parts
        assert sum(map(len, parts.values())) == 40 == run.recorded("data")["used"]
    prompts = [{comparison.prompt for comparison in parts[part]} for part in SHARES]
    assert not prompts[0] & prompts[1]


def test_the_same_seed_draws_and_splits_the_same(tmp_path: Path) -> None:
    drawn = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        with Run(tmp_path / name, {}, recipe="x", seed=seed, quiet=True) as run:
            drawn.append(parts_of(run).parts)
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_subset_keeps_its_order_and_all_is_all(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        assert draw_subset(range(5), None, run) == [0, 1, 2, 3, 4]
        subset = draw_subset(range(50), 7, run)
        assert subset == sorted(set(subset)) and len(subset) == 7


def test_a_transform_is_applied_after_the_split(tmp_path: Path) -> None:
    def turn_round(comparison: Comparison) -> Comparison:
        return replace(comparison, ranks=tuple(max(comparison.ranks) - rank for rank in comparison.ranks))

    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        plain, turned = parts_of(run), parts_of(run)
        turned.transform = turn_round
        for part in SHARES:
            expected = [turn_round(comparison) for comparison in plain.parts[part]]
            assert turned.parts[part] == expected


def test_the_description_counts_rows_pairs_and_tokens(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        comparisons = parts_of(run)
        described = comparisons.describe(evaluation_prompts=3)
        for part, encoded in comparisons.encoded.items():
            assert described.comparisons[part] == len(encoded.rows)
            assert described.tokens[part] == sum(map(len, encoded.rows))
            # A pair-by-pair trainer repeats the prompt, so it can only process more.
            assert described.tokens_pair_by_pair[part] >= described.tokens[part]
        assert described.evaluation_prompts == 3
        assert len(comparisons.held_out_prompts()) == len({c.prompt for c in comparisons.parts[HELD_OUT]})


def test_a_context_that_holds_nothing_names_the_setting(tmp_path: Path) -> None:
    with (
        Run(tmp_path / "run", {}, recipe="x", quiet=True) as run,
        pytest.raises(ConfigError, match=r"exceed 4 tokens \(first: .*; where they .* raise model\.max_context"),
    ):
        _ = parts_of(run, replace(TINY, max_context_tokens=4)).encoded


NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('No system!') }}{% endif %}" + CHAT_TEMPLATE


def parts_under(run: Run, template: str, comparisons: list[Comparison]) -> ComparisonParts:
    """Comparisons in one part, for the tiny model under another template."""
    parts = parts_of(run)
    parts.models.trunk.source.tokenizer.chat_template = template
    parts.parts = {"train": comparisons}
    return parts


def test_what_the_template_refuses_is_left_out_by_name_and_the_others_are_not(tmp_path: Path) -> None:
    plain = Comparison.chosen_rejected(Dialogue.of("hi"), "a", "b")
    system = Comparison.chosen_rejected(Dialogue.of("hi", system="s"), "a", "b")
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        parts = parts_under(run, NO_SYSTEM, [plain, system])
        assert parts.encoded["train"].comparisons == [plain]
        refused = "comparison 1: the chat template refuses this dialogue: No system!"
        assert run.recorded("counts")["train"]["refused"] == [refused]
    with (
        Run(tmp_path / "all", {}, recipe="x", quiet=True) as run,
        pytest.raises(ConfigError, match=r"can be used: 2 x the chat template .* No system! \(first: comparison 0\)"),
    ):
        _ = parts_under(run, NO_SYSTEM, [system, system]).encoded


# a judge -------------------------------------------------------------------------------------------------


def judged(run: Run, judge: str, unlabelled: tuple[str, ...] = ()) -> ComparisonParts:
    data = ComparisonDataConfig(max_comparisons=40, judge=judge)
    return ComparisonParts(run, data, ModelRoles(run, TINY), SHARES, unlabelled=unlabelled)


def test_every_part_has_the_labels_that_the_judge_gives_its_comparisons(tmp_path: Path) -> None:
    oracle = OracleLabeller(SyntheticPreference(criterion="brief", noise=0.0), name="oracle:brief")
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        before, after = parts_of(run).parts, judged(run, "oracle:brief")
        for part in SHARES:
            assert after.parts[part] == label_comparisons(before[part], oracle).comparisons != before[part]
            for comparison in after.parts[part]:
                ratings = [oracle.preference.rate(reply) for reply in comparison.replies]
                assert comparison.ranks == tuple(sum(other > rating for other in set(ratings)) for rating in ratings)


def test_the_result_counts_pairs_and_holds_the_judge_against_the_labels_before(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        before, after = parts_of(run).parts, judged(run, "oracle:brief")
        result = after.describe(evaluation_prompts=1).judge
        assert result is not None and result.agreement is not None
        assert result.judge == "oracle:brief" and (result.abstained, result.left_out) == ({}, {})
        clear = same = 0.0
        for part in SHARES:
            assert result.pairs[part] == len(pairs_of(before[part]))
            for comparison in before[part]:
                for old in comparison.pairs(ties=False):
                    lengths = len(comparison.replies[old.a]), len(comparison.replies[old.b])
                    clear += 1
                    same += 0.5 if lengths[0] == lengths[1] else float((lengths[0] < lengths[1]) == (old.prob_a > 0.5))
        assert result.agreement.n == clear
        assert result.agreement.value == pytest.approx(same / clear)
        assert result.agreement_by_part.keys() == SHARES.keys()
        assert run.recorded("judge")["spec"] == "oracle:brief"
        assert run.recorded("judge")["agreement"] == result.agreement.to_json()
        assert parts_of(run).describe(evaluation_prompts=1).judge is None


def test_labels_are_read_back_by_the_next_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        first = judged(run, "oracle:brief,noise=0.3").parts

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the judge was opened again")

    monkeypatch.setattr(comparison_parts, "open_judge", refuse)
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        assert judged(run, "oracle:brief,noise=0.3").parts == first
        with pytest.raises(AssertionError, match="opened again"):  # other pairs are not there yet
            _ = ComparisonParts(
                run, ComparisonDataConfig(max_comparisons=60, judge="oracle:brief"), ModelRoles(run, TINY), SHARES
            ).parts


def test_a_part_whose_prompts_alone_are_used_is_not_asked_about(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        before, after = parts_of(run).parts, judged(run, "oracle:brief", unlabelled=("train",))
        assert after.parts["train"] == before["train"]
        result = after.describe(evaluation_prompts=1).judge
        assert result is not None and result.pairs == {HELD_OUT: len(pairs_of(before[HELD_OUT]))}


def test_a_judge_without_a_winner_is_refused_with_its_reasons(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rule = "- id: r\n  category: form\n  goal: helpful\n  text: Say something.\n  check: {shorter_than: 1}\n"
    rules.write_text(rule)
    with (
        Run(tmp_path / "ties", {}, recipe="x", quiet=True) as run,
        pytest.raises(ConfigError, match="no reply better than another in part 'train': all its labels are ties"),
    ):
        _ = judged(run, f"rules:{rules}").parts
    barring = tmp_path / "barring.yaml"
    barring.write_text(rule.replace("1}", "100000}") + "  veto: true\n")  # every reply is barred
    with (
        Run(tmp_path / "barred", {}, recipe="x", quiet=True) as run,
        pytest.raises(ConfigError, match=r"in part 'train': \d+ x both are bad; \d+ x no pair of its replies"),
    ):
        _ = judged(run, f"rules:{barring}").parts
