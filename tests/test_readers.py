"""Settings, studies and rules of any content: an error of our own tree, or what they say."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflab.config_overrides import apply_overrides, load_yaml, parse_assignments, setting_names
from preflab.errors import PreflabError
from preflab.evals.core.data_source import DataSource
from preflab.evals.suites import SUITES
from preflab.feedback.rules import load_rules
from preflab.feedback.study import StudyDefinition, parse_study
from preflab.recipes.align import SCALES
from preflab.recipes.ganguli2023_self_correction.checkpoints import parse_checkpoint

MANY = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)
SCALAR = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | WORD
NAMES = sorted(setting_names(SCALES["smoke"]()))
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3))
STUDY_FIELDS = [*sorted(StudyDefinition.__dataclass_fields__), "items", "gold", "practice", "protocol"]
STUDY: dict[str, Any] = {
    "name": "colours",
    "protocol": {"kind": "pair"},
    "items": [{"prompt": "Name a colour.", "replies": ["Red.", "Seven."]}],
}


@MANY
@given(name=st.sampled_from(NAMES), value=VALUE, as_text=WORD)
def test_any_value_of_a_setting_is_taken_or_refused(name: str, value: object, as_text: str) -> None:
    for overrides in ({name: value}, parse_assignments([f"{name}={as_text}"])):
        try:
            apply_overrides(SCALES["smoke"](), overrides)
        except PreflabError as error:
            assert str(error)


@MANY
@given(change=st.dictionaries(st.sampled_from(STUDY_FIELDS) | WORD, VALUE, max_size=3))
def test_any_study_is_read_or_refused(change: dict[str, object]) -> None:
    text = yaml.safe_dump({**STUDY, **change}, allow_unicode=True)
    try:
        study = parse_study(text)
    except PreflabError as error:
        assert str(error)
    else:
        assert study.definition.name


@MANY
@given(document=VALUE | st.lists(st.dictionaries(st.sampled_from(["id", "category", "goal", "text"]), SCALAR)))
def test_any_file_of_rules_and_of_settings_is_read_or_refused(document: object, tmp_path: Path) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    for read in (load_rules, load_yaml):
        try:
            read(path)
        except PreflabError as error:
            assert str(error).startswith(str(path))


@MANY
@given(text=WORD | st.from_regex(r"[a-z@=.0-9KMB]{1,20}", fullmatch=True))
def test_any_checkpoint_is_read_or_refused(text: str) -> None:
    try:
        assert parse_checkpoint(text).name
    except PreflabError as error:
        assert "checkpoint" in str(error)


RECORD_NAMES = (
    "prompt question context input id label category ans0 ans1 ans2 answer answers choices target text type passage "
    "subject sentence chosen rejected best_answer correct_answers incorrect_answers completion"
)


@pytest.mark.parametrize("name", sorted(SUITES))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=st.dictionaries(st.sampled_from(RECORD_NAMES.split()), VALUE, max_size=8))
def test_any_record_of_a_suite_is_an_item_or_an_error_of_ours(
    name: str, record: dict[str, Any], tmp_path: Path
) -> None:

    suite = SUITES[name]
    if not suite.files:
        pytest.skip("its items come with the package")
    path = tmp_path / "any.jsonl"
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    try:
        items = suite.load(DataSource(paths={name: path}))
    except PreflabError as error:
        assert str(error)
    else:
        assert items.items
