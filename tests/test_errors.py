"""Every error has its exit code, is the standard exception of its kind, and says where it happened."""

import inspect

import pytest

from preflab import errors
from preflab.errors import DataError, PreflabError, RecordRefused, StudyError

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PreflabError)]


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not PreflabError])
def test_an_error_is_also_the_standard_exception_and_has_an_exit_code(kind: type[PreflabError]) -> None:
    standard = {ValueError, RuntimeError, ConnectionError, LookupError}
    assert standard & set(kind.__mro__)
    assert 2 <= kind.exit_code <= 9


def test_kinds_that_a_script_tells_apart_have_codes_of_their_own() -> None:
    direct = [kind.exit_code for kind in ALL if PreflabError in kind.__bases__]
    assert len(direct) == len(set(direct))
    assert StudyError.exit_code == errors.ConfigError.exit_code


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({}, "no"),
        ({"field": "ranks"}, "[ranks]: no"),
        ({"path": "a.jsonl"}, "a.jsonl: no"),
        ({"path": "a.jsonl", "line": 3, "field": "ranks"}, "a.jsonl:3 [ranks]: no"),
    ],
)
def test_a_data_error_says_file_line_and_field(place: dict[str, object], message: str) -> None:
    assert str(DataError("no", **place)) == message  # type: ignore[arg-type]


def test_a_place_is_added_without_losing_kind_and_field() -> None:
    error = RecordRefused("a reply is empty", field="replies").with_location("b.jsonl", 7)
    assert type(error) is RecordRefused
    assert (error.message, error.field, error.line) == ("a reply is empty", "replies", 7)
    assert str(error) == "b.jsonl:7 [replies]: a reply is empty"
