"""``preflab list``."""

import pytest

from preflab.cli import main


def test_list_names_recipes_formats_and_what_is_built_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for word in ("align ", "default, smoke, large", "ultrafeedback", "starter", "smollm2"):
        assert word in shown
