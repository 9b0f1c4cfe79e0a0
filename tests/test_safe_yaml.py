"""YAML of people: plain values come out, everything else is refused with its line."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflab.errors import ConfigError
from preflab.safe_yaml import MOST_DEPTH, parse_yaml_value, read_yaml_value

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(codec="ascii", categories="L")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"k[a-z]{1,4}", fullmatch=True), inner),
    max_leaves=8,
)


@given(PLAIN)
def test_plain_values_are_those_of_the_library(value: object) -> None:
    import yaml

    text = yaml.safe_dump(value)
    assert parse_yaml_value(text, "x") == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"x:2: \*a is an alias, which is not allowed: write the value out"),
        ("[" * 10_000, f"x:1: nested more than {MOST_DEPTH} deep"),
        ("{a: " * 10_000, f"x:1: nested more than {MOST_DEPTH} deep"),
        ("a: " + "9" * 5_000, "x:1: a number of 5,000 digits; 400 at most"),
        ("a: 0x" + "f" * 5_000, "x:1: a number of 5,002 digits"),
        ("a: 2020-13-45", r"x: not YAML that can be read \(month must be in 1..12"),
        ("a: 1\na: 2\n", "x:2: 'a' stands here a second time"),
        ("a: !!python/object:os.system {}", "x:1: could not determine a constructor"),
        ("a: \x00", "x: not YAML"),
        ("a: [1", "x:1: "),
    ],
)
def test_what_is_refused_says_where_and_takes_no_time(text: str, message: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ConfigError, match=message):
        parse_yaml_value(text, "x")
    assert time.monotonic() - begun < 5


@given(st.text(max_size=60) | st.text(st.sampled_from("ab:-[]{}&*!?|>'\"#%@`,\n \t0123456789"), max_size=40))
def test_any_text_is_a_value_or_an_error_of_ours(text: str) -> None:
    try:
        parse_yaml_value(text, "x")
    except ConfigError as error:
        assert str(error).startswith("x")


def test_values_nested_as_deep_as_allowed_are_read() -> None:
    depth = MOST_DEPTH - 1
    value = parse_yaml_value("[" * depth + "]" * depth, "x")
    for _ in range(depth - 1):
        (value,) = value
    assert value == []


def test_a_file_is_read_with_its_mark_and_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml_value(tmp_path / "a.yaml", "rules") == {"a": 1}
    with pytest.raises(ConfigError, match=r"b\.yaml: no such file; expected rules"):
        read_yaml_value(tmp_path / "b.yaml", "rules")
    (tmp_path / "c.yaml").write_bytes("a: 1\n".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"c\.yaml: cannot be read .*; save it as UTF-8"):
        read_yaml_value(tmp_path / "c.yaml", "rules")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml_value(tmp_path, "rules")
