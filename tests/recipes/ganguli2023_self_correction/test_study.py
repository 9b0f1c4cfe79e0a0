"""The design of a run: items, conditions, prompt settings, stored items."""

from dataclasses import replace
from pathlib import Path

from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import select_items
from preflab.evals.suites.bias.bbq import load as load_bbq
from preflab.recipes.ganguli2023_self_correction.config import smoke
from preflab.recipes.ganguli2023_self_correction.study import STARTER, Study


def test_items_of_bbq_are_spread_over_templates() -> None:
    """A limit of four takes one text; of eight a second template; a larger limit takes more beside the same."""
    items = load_bbq(DataSource(folder=STARTER)).items
    four, eight, whole = (select_items(items, n, 3) for n in (4, 8, len(items)))
    assert len({own.group for own in four}) == 1
    assert len({own.group for own in eight}) == 2
    assert eight[:4] == four
    assert whole[:8] == eight
    assert len(whole) == len(items) == 48


def test_conditions_and_prompt_settings_follow_the_config(tmp_path: Path) -> None:
    """The plain question is asked once; others in every paraphrase; match of pronouns alone."""
    config = replace(smoke(), conditions=("q", "if", "match"), paraphrases=(1, 2), cot_tokens=7)
    study = Study(config, tmp_path, seed=0)
    assert study.conditions("bbq") == [("q", 0), ("if", 1), ("if", 2)]
    assert ("match", 2) in study.conditions("winogender")
    assert (study.main_key("q"), study.main_key("if")) == ("q", "if.1")
    settings = study.prompt_settings(2, sampling=True)
    assert (settings.paraphrase, settings.cot_tokens, settings.sampling) == (2, 7, True)
    assert len(study.selected_items("admissions")) == 2


def test_what_was_not_asked_has_no_items(tmp_path: Path, finished: Path) -> None:
    """And what was asked is read from the run's folder."""
    empty = Study(smoke(), tmp_path, seed=0)
    (checkpoint,) = empty.checkpoints
    assert empty.records(checkpoint, "bbq", "q") == []
    assert empty.scored_items(checkpoint, "bbq", "q").ids == ()
    assert len(Study(smoke(), finished, seed=0).scored_items(checkpoint, "bbq", "q").ids) == 4
