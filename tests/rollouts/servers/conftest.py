"""A server that behaves like vLLM, a policy, and an engine between them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from preflab.models.roles import Role
from preflab.rollouts.servers.vllm import VLLMEngine
from tests.fake_vllm import FakeVLLM
from tests.rollouts.servers.vllm_parts import QUICK, encoder, stir, trunk


@pytest.fixture
def fake() -> Iterator[FakeVLLM]:
    fake = FakeVLLM()
    yield fake
    fake.stop()


@pytest.fixture
def policy() -> Role:
    return stir(trunk().add_role("policy"), seed=1)


@pytest.fixture
def engine(fake: FakeVLLM, tmp_path: Path) -> Iterator[VLLMEngine]:
    engine = VLLMEngine(fake.url, encoder(), tmp_path / "weights", QUICK)
    yield engine
    engine.close()
