"""What is said where an optional library is missing."""

import sys

import pytest

from preflab.bridges.extras import import_extra
from preflab.errors import ConfigError


def test_what_is_there_is_imported() -> None:
    assert import_extra("json").dumps(1) == "1"


@pytest.mark.parametrize(("module", "extra"), [("inspect_ai.log", "inspect"), ("lm_eval", "lm-eval")])
def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, module: str, extra: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module.split(".")[0]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module.split(".")[0], None)
    with pytest.raises(ConfigError, match=rf"pip install 'preflab\[{extra}\]'"):
        import_extra(module)


def test_any_other_missing_module_is_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError):
        import_extra("preflab.no_such_part")
