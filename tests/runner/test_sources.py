"""The registry of sources: every claim once, under the verdict that carries it."""

import re
from pathlib import Path

import pytest

from preflab.errors import ConfigError
from preflab.runner.catalogue import recipes
from preflab.runner.sources import Claim, claim_of, select_claims, source_of_recipe, sources

ROOT = Path(__file__).parents[2]


def test_there_are_fourteen_numbered_sources_with_claims_of_their_own() -> None:
    assert [s.number for s in sources() if s.number] == [f"{n:02d}" for n in range(1, 15)]
    assert all(len(s.claims) >= 4 for s in sources())
    assert all((ROOT / s.page).exists() for s in sources())
    pairs = [(s.key, c.id) for s in sources() for c in s.claims]
    carried = [(c.recipe, c.id) for s in sources() for c in s.claims if c.recipe]
    assert len(set(pairs)) == len(pairs) and len(set(carried)) == len(carried)


def test_every_recipe_that_is_named_exists_and_every_recipe_but_the_tool_has_a_source() -> None:
    named = {r for s in sources() for r in s.all_recipes}
    assert named <= recipes().keys()
    assert {name for name in recipes() if source_of_recipe(name) is None} == {"evaluate"}
    for source in sources():
        for claim in source.claims:
            assert bool(claim.recipe) == bool(claim.verdict), claim.id
            re.compile(claim.verdict)


@pytest.mark.parametrize(
    ("recipe", "words", "stage", "claim_id", "of"),
    [
        ("align", "picks the better of two unseen replies", "preference", "accuracy", ""),
        ("align", "picks the better of two unseen replies", "preference_judge", "second_accuracy", ""),
        ("align", "RLOO wins over the base by the second model", "measure", "rl_wins", ""),
        ("align", "best-of-n wins over the base by the second model", "measure", "best_of_n_wins", ""),
        ("christiano2017_mujoco", "700 labels give at least the return of 350", "compare", "budget_middle", ""),
        ("christiano2017_mujoco", "1400 labels give at least the return of 700", "compare", "budget_most", ""),
        ("ganguli2023_self_correction", "a-1: BBQ: asked for bias, s_AMB rises", "compare", "bbq_inverted", "a-1"),
        ("ganguli2023_self_correction", "BBQ: asked for bias, s_AMB rises", "compare", "bbq_inverted", ""),
    ],
)
def test_a_verdict_is_known_by_its_words_its_stage_and_the_settings(
    recipe: str, words: str, stage: str, claim_id: str, of: str
) -> None:
    match = claim_of(recipe, words, stage, {"labels": 700})
    assert match is not None
    assert (match[0].id, match[1]) == (claim_id, of)


def test_what_no_source_claims_is_no_claim() -> None:
    assert (
        claim_of("christiano2017_mujoco", "5600 labels give at least the return of 2800", "compare", {"labels": 700})
        is None
    )
    assert claim_of("align", "the moon is round", "measure", {}) is None
    assert Claim("x", "not run").match("anything", "", {}) is None


@pytest.mark.parametrize("name", ["06", "6", "bai2022", "Bai"])
def test_a_source_is_selected_by_number_or_author(name: str) -> None:
    keys = {source.key for source, _ in select_claims(name)}
    assert "06" in keys and keys <= {"06", "08"}


def test_a_recipe_selects_its_claims_in_every_source_by_its_earlier_name_too() -> None:
    assert {source.key for source, _ in select_claims("align")} == {"04", "06"}
    assert [c.id for _, c in select_claims("dpo")] == [c.id for _, c in select_claims("rafailov2023_dpo")]


def test_an_unknown_source_is_refused_with_what_is_near() -> None:
    with pytest.raises(ConfigError, match=r"unknown source 'cristiano'; did you mean 'christiano'"):
        list(select_claims("cristiano"))
    with pytest.raises(ConfigError, match="known are 01, 02"):
        list(select_claims("99999"))
