"""A site that runs, browsers that tell on it, and what owners and annotators do with their hands."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from preflab.data.store import people, studies
from preflab.data.store.judgements import Judgement, judgements_of
from preflab.data.store.open import Store, now_ms, open_store
from preflab.feedback.study import parse_study
from preflab.web.collect.server import issue_bootstrap_secret, serve_in_background
from preflab.web.collect.site import SiteConfig

PAIR = """
name: pair
protocol: rank
title: Which one is better?
items:
  - {prompt: First prompt, replies: [alpha, beta]}
  - {prompt: Second prompt, replies: [gamma, delta]}
"""
"""Two tasks, each for one person."""
PASSWORD = "correct horse battery"
WAIT_MS = 60_000  # a machine may be busy; what waits for nothing is not slower by it
expect.set_options(timeout=WAIT_MS)
OFFLINE = r"ERR_INTERNET_DISCONNECTED|ERR_FAILED|ERR_CONNECTION|htmx:(sendError|afterRequest)"
"""What a browser writes to its console when a test takes its connection away."""


class HandClock:
    """The time of day, until a test turns it on."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return now_ms() + self.ahead_ms

    def turn_on(self, *, minutes: float) -> None:
        self.ahead_ms += round(minutes * 60_000)


@dataclass
class Lab:
    """A store with a site before it."""

    store: Store
    clock: HandClock
    url: str

    def study(self, text: str) -> str:
        """A study made without a browser; its name."""
        file = parse_study(text)
        name = file.definition.name
        studies.create_study(self.store, name, file.definition.to_json(), actor="test")
        if file.items:
            studies.add_items(self.store, name, file.items, actor="test")
        return name

    def link(self, study: str, *, role: Any = "annotator", uses: int = 10) -> str:
        """An invitation made without a browser."""
        return (
            f"{self.url}/join/{people.issue_token(self.store, 'invite', study=study, role=role, uses=uses, days=1.0)}"
        )

    def judgements(self, study: str) -> list[Judgement]:
        """All that was handed in, practice too."""
        with self.store.reading() as connection:
            return list(judgements_of(connection, study))

    def answers(self, study: str, *statuses: str) -> list[dict[str, Any]]:
        """What the judgements of some statuses (``counted`` by default) say."""
        wanted = statuses or ("counted",)
        return [dict((found.payload or {})["answer"]) for found in self.judgements(study) if found.status in wanted]


@contextmanager
def running(folder: Path, site: SiteConfig | None = None) -> Iterator[Lab]:
    clock = HandClock()
    store = open_store(folder / "store.sqlite", clock=clock)
    try:
        with serve_in_background(store, site, reply_threads=1) as url:
            yield Lab(store, clock, url)
    finally:
        store.close()


@dataclass
class Witness:
    """What a browser saw that no page of ours may cause."""

    host: str
    seen: list[str] = field(default_factory=list)
    allowed: list[re.Pattern[str]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def allow(self, *patterns: str | re.Pattern[str]) -> None:
        """Console errors that the test itself brings about, such as a refusal that it provokes."""
        self.allowed += [re.compile(pattern) for pattern in patterns]

    def allow_status(self, *statuses: int) -> None:
        """Refusals that the test provokes: the browser writes each to its console."""
        self.allow(*(rf"status of {status}\b" for status in statuses))

    def note(self, text: str) -> None:
        self.seen.append(text)

    def watch(self, context: BrowserContext) -> None:
        context.on("console", lambda said: self.note(f"console {said.type}: {said.text}") if said.type in BAD else None)
        context.on("weberror", lambda error: self.note(f"uncaught: {error.error}"))
        context.on("dialog", self._dialog)
        context.on("request", self._request)

    def _dialog(self, dialog: Any) -> None:
        self.note(f"dialog: {dialog.type} {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        if not request.url.startswith((self.host, "data:", "about:")):
            self.note(f"request to elsewhere: {request.url}")

    def complaints(self) -> list[str]:
        return [text for text in self.seen if not any(pattern.search(text) for pattern in self.allowed)]


BAD = ("error", "warning")


@dataclass
class Visit:
    """Opens browser windows on one site, each a person of its own."""

    browser: Browser
    lab: Lab
    witness: Witness
    contexts: list[BrowserContext] = field(default_factory=list)

    def window(self, **settings: Any) -> Page:
        context = self.browser.new_context(base_url=self.lab.url, **settings)
        context.set_default_timeout(WAIT_MS)
        self.witness.watch(context)
        self.contexts.append(context)
        return context.new_page()

    def close(self) -> None:
        for context in self.contexts:
            context.close()


# owners -------------------------------------------------------------------------------------------------------


def become_owner(page: Page, lab: Lab) -> None:
    """Take up the secret that the server prints once."""
    page.goto("/begin")
    page.get_by_label("Secret").fill(issue_bootstrap_secret(lab.store) or "")
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()


def make_study(page: Page, text: str) -> str:
    """Make a study in the form; the link for ten annotators."""
    page.goto("/new")
    page.get_by_label("Definition").fill(text)
    page.get_by_role("button", name="Make the study").click()
    expect(page.get_by_role("heading", name="Manage")).to_be_visible()
    expect(page.get_by_text("Open, revision")).to_be_visible()
    page.get_by_label("People").fill("10")
    page.get_by_role("button", name="Make a link").click()
    return page.locator("code.link").inner_text()


def export(page: Page, study: str, format: str = "preflab_jsonl") -> str:
    """Download an export as the owner does, from the page of results."""
    page.goto(f"/s/{study}/results")
    with page.expect_download() as found:
        page.get_by_role("link", name=format, exact=True).click()
    return Path(found.value.path()).read_text(encoding="utf-8")


# annotators ---------------------------------------------------------------------------------------------------


def join(page: Page, link: str) -> None:
    """From the invitation to the first task: take part, agree, begin."""
    page.goto(link)
    page.get_by_role("button", name="Take part").click()
    page.get_by_role("checkbox", name="I agree").check()
    warned = page.get_by_role("checkbox", name="I have read the note")
    if warned.count():
        warned.check()
    page.get_by_role("button", name="Begin").click()
    expect(page).not_to_have_url(re.compile(r"/(join/.*|s/[^/]+)$"))


def pick(page: Page, key: int) -> None:
    """Choose a point of the scale, counted from the left from 1."""
    page.locator(".points label").nth(key - 1).click()


def send(page: Page) -> None:
    page.locator("form.judge button[data-key=Enter]").click()


def overflow(page: Page) -> float:
    """By how many pixels the page is wider than the screen."""
    return float(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
