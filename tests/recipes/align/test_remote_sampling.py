"""The main job with its replies drawn on a server: the whole road, and a server that goes away in the middle."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from preflab.cli import main
from tests.fake_vllm import FakeVLLM

SMOKE = ["align", "--scale", "smoke", "--max-comparisons", "24"]
IMPATIENT = ["--set", "vllm.server.retries=1", "--set", "vllm.server.backoff_seconds=0.01"]


@pytest.fixture
def fake() -> Iterator[FakeVLLM]:
    fake = FakeVLLM(max_len=1024)
    yield fake
    fake.stop()


def run(home: Path, name: str, fake: FakeVLLM, *more: str) -> int:
    where = ["--runs", str(home), "--name", name, "--set", f"sampler={fake.url}"]
    return main([*SMOKE, *where, *IMPATIENT, *more])


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Every logged number but the times."""
    lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if "seconds" not in k} for line in lines]


def test_a_server_that_is_gone_or_serves_something_else_is_found_before_anything_is_trained(
    fake: FakeVLLM, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "other", fake, "--set", "vllm.model=other") == 7
    assert "wrong model; expected it to serve 'other'" in capsys.readouterr().err
    fake.stop()
    assert run(tmp_path, "gone", fake) == 7
    assert "nothing answers there" in capsys.readouterr().err
    for name in ("other", "gone"):
        assert not list((tmp_path / name / "results").glob("*.json"))
    assert run(tmp_path, "short", fake, "--until", "preference") == 0  # which samples nothing
    assert list((tmp_path / "short" / "results").glob("*.json"))
    fake.start()


def test_a_run_whose_server_goes_away_says_so_and_goes_on_where_it_stood(
    fake: FakeVLLM, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "unbroken", fake) == 0
    unbroken = metrics(tmp_path / "unbroken")
    steps = [line for line in unbroken if line["stage"] == "ppo"]
    assert [(line["step"], line["version"], line["staleness"]) for line in steps] == [(1, 0, 0), (2, 1, 0), (3, 2, 0)]
    assert max(line["sampler_gap"] for line in steps) < 1e-4
    record = json.loads((tmp_path / "unbroken" / "record.json").read_text())
    assert record["samplers"] == dict.fromkeys(("base", "ppo", "policy"), fake.url)
    capsys.readouterr()

    def die(path: str, body: Any) -> None:
        second_step = path == "/v1/completions" and body["model"].startswith("policy-v000001-")
        if second_step and body["temperature"] == 1.0:  # and not the probe that follows a push
            fake.before = lambda path, body: None
            fake.stop()

    fake.before = die
    assert run(tmp_path, "broken", fake, "--until", "ppo") == 7
    said = capsys.readouterr().err
    assert f"{fake.url}: " in said and "nothing answers there" in said
    assert "A right server starts with: VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve" in said
    assert "Traceback" not in said
    assert metrics(tmp_path / "broken") == unbroken[: unbroken.index(steps[1])]

    fake.start()  # and it knows no adapter any more
    assert run(tmp_path, "broken", fake, "--until", "ppo") == 0
    assert metrics(tmp_path / "broken") == unbroken
