"""Annotators that are programs: they use the collection site over HTTP as a browser does, by its pages and forms.

Cookies are kept, hidden fields are sent back, redirects are followed; nothing is known of the site but what its pages
say. What they like is known (`preflab.feedback.labellers.synthetic_annotator`).
"""

import threading
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import httpx2

from preflab.feedback.labellers.synthetic_annotator import SyntheticPreference

FOLLOW_UP = "Thanks. Could you put that in another way?"
HELLO = "Hello, what can you help me with?"


@dataclass
class Form:
    """A form of a page: where it goes, and what it holds before anybody fills it in."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    """Values of the radio buttons of each name."""


@dataclass
class Page(HTMLParser):
    """What an annotator sees of a page."""

    html: str
    url: str
    status: int
    forms: list[Form] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    topic: str = ""
    turns: int = 0
    """Messages of one's own."""
    busy: bool = False
    codes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._where: list[str] = []
        self._form: Form | None = None
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Forms with their fields; places where text is wanted."""
        own = {name: value or "" for name, value in attrs}
        classes = own.get("class", "").split()
        self.busy = self.busy or own.get("aria-busy") == "true"
        if tag == "form":
            self._form = Form(urljoin(self.url, own.get("action", "")), own.get("method", "get"))
            self.forms.append(self._form)
        elif self._form is not None and tag in ("input", "textarea", "select") and "name" in own:
            if own.get("type") == "radio":
                self._form.choices.setdefault(own["name"], []).append(own["value"])
            elif own.get("type") != "checkbox":
                self._form.fields[own["name"]] = own.get("value", "")
        elif tag == "li" and "reply" in classes:
            self.replies.append("")
        elif tag == "article" and "user" in classes:
            self.turns += 1
        if tag in ("bdi", "code", "li", "p"):
            self._where.append("topic" if tag == "p" and "topic" in classes else tag)

    def handle_endtag(self, tag: str) -> None:
        """Out of a form or a place."""
        if tag == "form":
            self._form = None
        if tag in ("bdi", "code", "li", "p") and self._where:
            self._where.pop()

    def handle_data(self, data: str) -> None:
        """Texts of replies, the suggestion, codes."""
        if self._where[-1:] == ["code"]:
            self.codes.append(data)
        if self._where[-1:] != ["bdi"]:
            return
        if "topic" in self._where:
            self.topic += data
        elif "li" in self._where and self.replies:
            self.replies[-1] += data

    def form(self, part: str) -> Form | None:
        """The form whose address ends in, or contains, ``/part``."""
        return next((found for found in self.forms if f"/{part}" in found.action), None)


class Browser:
    """One person's: cookies, pages, forms."""

    def __init__(self, base: str, *, patience_seconds: float = 60.0) -> None:
        self.base, self.patience_seconds = base, patience_seconds
        self.client = httpx2.Client(base_url=base, follow_redirects=True, timeout=30.0)

    def close(self) -> None:
        """Close the window."""
        self.client.close()

    def get(self, path: str) -> Page:
        """Open a page."""
        return self._page(self._sent("GET", path, None))

    def submit(self, form: Form, **filled: Any) -> Page:
        """Fill in a form and send it, as the page it stands on would."""
        data = {**form.fields, **{name: str(value) for name, value in filled.items()}}
        return self._page(self._sent("POST", form.action, data))

    def _sent(self, method: str, path: str, data: dict[str, str] | None) -> httpx2.Response:
        """The answer. While the server is away the same request is sent again, as a person presses the button again."""
        until = time.monotonic() + self.patience_seconds
        while True:
            try:
                return self.client.request(method, path, data=data, headers={"Origin": self.base} if data else None)
            except httpx2.TransportError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def _page(self, answer: httpx2.Response) -> Page:
        return Page(answer.text, str(answer.url), answer.status_code)


class Owner:
    """The first owner of a site."""

    def __init__(self, base: str, secret: str) -> None:
        self.browser = Browser(base)
        form = self.browser.get("/begin").form("begin")
        assert form is not None
        page = self.browser.submit(form, secret=secret, name="owner", password="a long enough password")
        assert page.status == 200, page.html

    def invitation(self, study: str, *, uses: int) -> str:
        """A link for annotators."""
        form = self.browser.get(f"/s/{study}/manage").form("invite")
        assert form is not None
        page = self.browser.submit(form, role="annotator", uses=uses, days=1)
        return next(code for code in page.codes if "/join/" in code)


@dataclass
class Annotator:
    """Somebody who talks and chooses by a known preference, until told to stop."""

    base: str
    study: str
    known: SyntheticPreference
    who: str
    turns: int = 2
    pause_seconds: float = 0.1
    choices: int = 0
    """Those that the site acknowledged."""
    sent: int = 0
    """Requests."""
    faults: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def work(self, invitation: str) -> None:
        """Join, agree, and judge whatever there is to judge."""
        browser = Browser(self.base)
        try:
            page = browser.get(invitation)
            page = browser.submit(page.forms[-1])
            consent = page.form("consent")
            assert consent is not None, page.html
            page = browser.submit(consent, agree=1, warned=1)
            while not self.stopped.is_set():
                page = self._step(browser, page)
        except Exception as error:
            self.faults.append(f"{self.who}: {error!r}")
        finally:
            browser.close()

    def _step(self, browser: Browser, page: Page) -> Page:
        """Whatever the page asks for next."""
        self.sent += 1
        if page.status >= 500:
            self.faults.append(f"{self.who}: {page.status} at {page.url}")
        vote, say = page.form("vote/"), page.form("say")
        end = next((form for form in page.forms if "finish" in form.fields), None)
        if vote is not None and len(page.replies) == 2:
            scale = [int(value) for value in vote.choices["scale"]]
            after = browser.submit(vote, scale=self.known.to_scale(*page.replies, scale, annotator=self.who))
            self.choices += after.status == 200
            return after
        if say is not None and (end is None or page.turns < self.turns):
            return browser.submit(say, message=FOLLOW_UP if page.turns else page.topic or HELLO)
        again = page.form("again")
        if again is not None or page.busy:
            self.stopped.wait(self.pause_seconds)
            return browser.submit(again) if again is not None else browser.get(page.url)
        if end is not None:
            return browser.submit(end, success=0)
        self.stopped.wait(5 * self.pause_seconds)  # nothing to do: the next round may bring something
        return browser.get(f"/s/{self.study}/next")


def at_work(annotators: list[Annotator], invitation: str) -> list[threading.Thread]:
    """Each in a thread of its own."""
    threads = [threading.Thread(target=own.work, args=(invitation,), daemon=True) for own in annotators]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    return threads
