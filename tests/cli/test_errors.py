"""Errors that the user can act on are explained; others are left alone."""

import errno

import pytest

from preflab.cli.errors import complain, explain
from preflab.errors import ConfigError, RunError


def test_ours_stays_what_it_is_and_a_fault_is_nothing_to_explain() -> None:
    error = ConfigError("no")
    assert explain(error) is error
    assert explain(ZeroDivisionError()) is None
    assert explain(ModuleNotFoundError("x", name="no_extra_of_ours")) is None


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(errno.EDQUOT, "quota"), RunError, "the disk is full"),
        (PermissionError(13, "Permission denied", "runs"), RunError, "runs: Permission denied"),
        (
            ModuleNotFoundError("x", name="starlette.routing"),
            ConfigError,
            r"starlette is not installed.*preflab\[web\]",
        ),
        (ModuleNotFoundError("x", name="psycopg"), ConfigError, r"preflab\[postgres\]"),
    ],
)
def test_what_the_machine_lacks_is_named(error: Exception, kind: type[Exception], message: str) -> None:
    explained = explain(error)
    assert type(explained) is kind
    assert explained.__cause__ is error
    with pytest.raises(kind, match=message):
        raise explained


def test_the_process_that_complains_is_named_where_there_are_several(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    complain(ConfigError("no"))
    monkeypatch.setenv("RANK", "1")
    complain(ConfigError("no \x1b[2J"))
    assert capsys.readouterr().err == "error: no\nerror (rank 1): no \\x1b[2J\n"
