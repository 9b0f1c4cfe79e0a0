"""Shared by all tests: one thread (the models are tiny, and two would only wait for each other) and no hub."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.killing import Nursery

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real research data beside the repository; tests that use it skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the research data in ../shared, which is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def nursery() -> "Iterator[Nursery]":
    """Processes to kill, one at a time."""
    from tests.killing import Nursery

    own = Nursery()
    yield own
    own.close()
