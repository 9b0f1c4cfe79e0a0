"""Models by name: those that cannot be opened say why before anything is loaded."""

from pathlib import Path

import pytest

from preflab.errors import ConfigError, ModelError
from preflab.recipes.common.open_models import (
    ModelLoading,
    has_preference_model,
    is_address,
    open_policy,
    open_scorer,
    run_named,
)
from preflab.rollouts.requests.responders import LocalPolicy, ServerPolicy


@pytest.fixture
def loading(tmp_path: Path) -> ModelLoading:
    """A folder of runs with one that exported nothing."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "config.json").write_text("{}")
    return ModelLoading(runs=str(tmp_path), max_context_tokens=64)


def test_a_model_in_this_process(loading: ModelLoading) -> None:
    policy = open_policy("tiny", loading)
    assert isinstance(policy, LocalPolicy)
    assert (policy.name, policy.encoder.max_tokens) == ("tiny", 64)


def test_a_server_must_be_named_and_gives_no_best_of_n(loading: ModelLoading) -> None:
    assert isinstance(open_policy("http://host:80", loading, served_name="m"), ServerPolicy)
    with pytest.raises(ConfigError, match="what the server calls the model"):
        open_policy("http://host:80", loading)
    with pytest.raises(ConfigError, match="not a server"):
        open_policy("http://host:80", loading, served_name="m", best_of=2)
    assert not is_address("host:80")


def test_best_of_n_needs_a_preference_model(loading: ModelLoading) -> None:
    with pytest.raises(ConfigError, match="needs a preference model"):
        open_policy("tiny", loading, best_of=2)


def test_a_run_without_a_preference_model(loading: ModelLoading) -> None:
    assert run_named("r", loading.runs) is not None
    assert run_named("gone", loading.runs) is None
    assert not has_preference_model("r", loading.runs)
    with pytest.raises(ModelError, match="has exported no preference model"):
        open_scorer("r", loading)
