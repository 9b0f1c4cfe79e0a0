"""Settings of ``evaluate`` that cannot be."""

from typing import Any

import pytest

from preflab.errors import ConfigError
from preflab.recipes.evaluate.config import SCALES, Config


@pytest.mark.parametrize(
    ("change", "message"),
    [({"limit": 0}, "limit must be at least 1, got 0"), ({"suites": ()}, "name at least one"),
     ({"max_context_tokens": 8}, "max_context_tokens must be at least 32")],
)  # fmt: skip
def test_settings_that_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(**change)


def test_a_servers_name_is_read_of_servers_alone() -> None:
    assert set(SCALES["default"]().unread()) == {"served_name", "endpoint", "judge_served_name", "judge_endpoint"}
    config = Config(policy="http://host:80", served_name="m", judge="https://judge", judge_served_name="j")
    assert config.unread() == {}
