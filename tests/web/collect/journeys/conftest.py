"""One browser for each file of journeys; a site and windows of its own for each journey."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.web.collect.journeys.lab import Lab, Visit

pytest.importorskip("playwright.sync_api", reason="needs playwright (extra dev)")
pytest.importorskip("starlette", reason="needs the extra web")


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Debian's chromium, headless. For a file and no longer: its event loop would be in the way of other tests."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium")
    if found is None:
        pytest.skip("needs chromium on PATH (Debian's package of that name)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def lab(tmp_path: Path, request: pytest.FixtureRequest) -> "Iterator[Lab]":
    """A site of its own, with a clock that the test can turn on; ``indirect`` parameters are its settings."""
    from preflab.web.collect.site import SiteConfig
    from tests.web.collect.journeys.lab import running

    with running(tmp_path, SiteConfig(**getattr(request, "param", {}))) as found:
        yield found


@pytest.fixture
def visit(browser: "Browser", lab: "Lab") -> "Iterator[Visit]":
    """Windows on the site. Whatever a browser complained of that the test did not announce fails it."""
    from tests.web.collect.journeys.lab import Visit, Witness

    found = Visit(browser, lab, Witness(lab.url))
    yield found
    found.close()
    assert found.witness.complaints() == []


@pytest.fixture(scope="session")
def tiny_policy() -> None:
    """The random model that answers in these tests, loaded before anybody waits for it."""
    from preflab.rollouts.servers.chat_backends import open_chat_backend
    from preflab.rollouts.servers.policy_spec import PolicySpec

    open_chat_backend(PolicySpec(name="warm", model="tiny"))
