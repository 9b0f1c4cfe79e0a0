"""``preflab eval``, ``compare`` and ``export`` on one small evaluation."""

from pathlib import Path

import pytest

from preflab.cli import main
from tests.cli.commands import preflab


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs of the smallest evaluation."""
    folder = tmp_path_factory.mktemp("evaluated")
    for name in ("a", "b"):
        done = preflab("eval", "--scale", "smoke", "--limit", "6", "--name", name, "--quiet", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "starter" in done.stdout
    return folder


def test_suites_are_listed_with_their_variants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--list"]) == 0
    shown = capsys.readouterr().out
    assert "starter " in shown and ":logprob" in shown and "(default)" in shown


def test_two_runs_are_compared_as_a_table_and_as_json(evaluated: Path) -> None:
    table = preflab("compare", "a", "b", cwd=evaluated)
    assert table.returncode == 0, table.stderr
    assert "b against a, on the items that both scored" in table.stdout
    assert (evaluated / table.stdout.splitlines()[-1]).is_file()
    assert '"suites"' in preflab("compare", "a", "b", "--json", cwd=evaluated).stdout


def test_a_missing_run_and_a_missing_program_are_refused(evaluated: Path) -> None:
    assert preflab("compare", "a", "c", cwd=evaluated).returncode == 5
    refused = preflab("export", "inspekt", "a", cwd=evaluated)
    assert refused.returncode == 2
    assert "unknown command 'inspekt'; did you mean 'inspect'?" in refused.stderr
