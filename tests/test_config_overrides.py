"""Overrides reach the setting they name with the type it has, or say what is wrong."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from preflab.config_overrides import apply_overrides, load_yaml, parse_assignments, setting_names
from preflab.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    steps: int = 3
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps must be at least 1, got {self.steps}")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str = "a"
    format: str | None = None
    full: bool = False
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    judges: dict[str, str] = field(default_factory=dict)
    sizes: tuple[int, ...] = ()
    ppo: Inner = field(default_factory=Inner)
    second: Inner | None = None


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("name", "3", "3"),  # text stays text
        ("name", "no", "no"),  # although YAML would say False
        ("format", "null", None),
        ("format", "hh", "hh"),
        ("full", "true", True),
        ("full", True, True),
        ("precision", "bf16", "bf16"),
        ("sizes", "[1, 2]", (1, 2)),
        ("judges", "{harm: pm}", {"harm": "pm"}),
    ],
)
def test_a_value_takes_the_type_of_its_setting(key: str, given: object, expected: object) -> None:
    assert getattr(apply_overrides(Outer(), {key: given}), key) == expected


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("steps", "12", 12),
        ("learning_rate", "4e-4", 4e-4),  # YAML 1.1 reads this as text
        ("learning_rate", 1, 1.0),
        ("betas", [0.8, 1], (0.8, 1.0)),
        ("limit", "~", None),
        ("limit", "2", 2.0),
    ],
)
def test_dotted_keys_and_nested_mappings_reach_the_same_setting(key: str, given: object, expected: object) -> None:
    dotted = apply_overrides(Outer(), {f"ppo.{key}": given})
    assert dotted == apply_overrides(Outer(), {"ppo": {key: given}})
    assert getattr(dotted.ppo, key) == expected
    assert type(getattr(dotted.ppo, key)) is type(expected)


def test_overrides_join_and_the_later_one_wins() -> None:
    found = apply_overrides(Outer(), {"ppo": {"steps": 5, "limit": 1.0}, "ppo.steps": "7"})
    assert found.ppo == Inner(steps=7, limit=1.0)


def test_a_nested_config_that_was_none_begins_at_its_defaults() -> None:
    assert apply_overrides(Outer(), {"second.steps": "9"}).second == Inner(steps=9)
    assert apply_overrides(Outer(second=Inner()), {"second": None}).second is None


def test_nothing_given_changes_nothing() -> None:
    assert apply_overrides(Outer(), {}) == Outer()


@pytest.mark.parametrize(
    ("key", "suggested"),
    [
        ("nme", "'name'"),
        ("ppo.stepz", "'ppo.steps'"),
        ("learning_rate", "'ppo.learning_rate'"),
        ("stpes", "'ppo.steps'"),
    ],
)
def test_an_unknown_key_is_refused_with_what_is_near(key: str, suggested: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown setting '{key}'; did you mean .*{suggested}"):
        apply_overrides(Outer(), {key: "1"})


def test_an_unknown_key_without_neighbours_lists_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"'ppo\.qqqqq'; known here: steps, learning_rate, betas, limit"):
        apply_overrides(Outer(), {"ppo.qqqqq": "1"})
    with pytest.raises(ConfigError, match=r"'name\.x': name is text and has nothing inside"):
        apply_overrides(Outer(), {"name.x": "1"})


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("ppo.steps", "many", "ppo.steps must be a whole number, got 'many'"),
        ("ppo.steps", True, "ppo.steps must be a whole number, got True"),
        ("ppo.steps", 1.5, "ppo.steps must be a whole number, got 1.5"),
        ("ppo.learning_rate", "nan", "ppo.learning_rate must be a number, got 'nan'"),
        ("ppo.limit", "x", "ppo.limit must be a number or null, got 'x'"),
        ("ppo.betas", [0.9], r"ppo.betas must be a list of 2 values, got \[0.9\]"),
        ("full", "maybe", "full must be true or false, got 'maybe'"),
        ("name", 3, "name must be text, got 3"),
        ("precision", "bf61", "precision must be one of auto, bf16, fp32, got 'bf61'; did you mean 'bf16'"),
        ("ppo", "3", "ppo must be a mapping with steps, learning_rate, betas, limit, got '3'"),
        ("ppo.steps", "0", "ppo: steps must be at least 1, got 0"),  # the config's own rule
    ],
)
def test_a_wrong_value_names_key_type_and_value(key: str, given: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        apply_overrides(Outer(), {key: given})


def test_every_setting_has_a_dotted_name() -> None:
    names = list(setting_names(Outer()))
    assert {"name", "ppo", "ppo.steps", "ppo.betas"} <= set(names)
    assert len(names) == len(set(names)) == 8 + 4  # second is None: nothing inside to name


def test_assignments_are_split_at_the_first_equals_sign() -> None:
    assert parse_assignments(["a.b=c=d", "x= 1"]) == {"a.b": "c=d", "x": "1"}
    assert parse_assignments(["a=1", "b=2", "a=3"]) == {"b": "2", "a": "3"}
    for wrong in ("novalue", "=3"):
        with pytest.raises(ConfigError, match="expected key=value"):
            parse_assignments([wrong])


def test_yaml_holds_settings(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: b\nppo:\n  steps: 4\n  learning_rate: 2e-4\n")
    assert apply_overrides(Outer(), load_yaml(file)) == Outer(name="b", ppo=Inner(steps=4, learning_rate=2e-4))
    file.write_text("# nothing\n")
    assert load_yaml(file) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1\n", r"a\.yaml:3: "),
        ("a: 1\nb: 2\na: 3\n", r"a\.yaml:3: 'a' stands here a second time"),
        ("p:\n  x: 1\n  x: 2\n", r"a\.yaml:3: 'x' stands here a second time"),
        ("1: 2\n", r"a\.yaml:1: 1 is no name of a setting"),
        ("? [1]\n: 2\n", r"a\.yaml:1: \[1\] is no name of a setting"),
        ("- 1\n", r"a\.yaml:1: expected settings as 'key: value' lines, found a list"),
        ("a: !!python/object:os.system {}\n", r"a\.yaml:1: could not determine a constructor"),
    ],
)
def test_broken_yaml_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_yaml(file)


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        load_yaml(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"b\.yaml: cannot be read"):
        load_yaml(tmp_path / "b.yaml")
