"""A small site on a real SQLite file, asked in this process, and the browsers and programs that ask it."""

import atexit
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from preflab.data.store import people
from preflab.data.store.open import Store, open_store
from preflab.data.store.studies import add_items, create_study
from preflab.feedback.study import parse_study
from preflab.web.collect.app import create_app
from preflab.web.collect.security import HEADERS
from preflab.web.collect.site import SiteConfig

RANK = """
name: {name}
protocol: rank
title: Which is better?
slots: 3
gold_every: 5
items:
  - name: first
    prompt: How do I keep basil alive?
    replies: [Water it., Basil is a plant.]
    policies: [secret-1, secret-2]
  - name: second
    prompt: Why is the sky blue?
    replies: [Rayleigh., It is not.]
gold:
  - {{prompt: "7 times 8?", replies: ["56", "54"], best: 0}}
"""
CHAT = """
name: {name}
protocol: chat
title: Talk
slots: 3
policies:
  - {{name: secret-1, model: tiny, max_new_tokens: 4}}
  - {{name: secret-2, model: tiny, max_new_tokens: 5}}
items:
  - {{topic: bread}}
  - {{topic: rain}}
"""
PASSWORD = "correct horse battery"
FORM = re.compile(r'name="csrf" value="([0-9a-f]+)"')


@dataclass
class Clock:
    """Milliseconds, turned by hand."""

    now: int = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@dataclass
class Seconds:
    """A clock in seconds, turned by hand."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@cache
def _empty_store() -> Path:
    """A store as it is made, once for all tests: the migrations take longer than most of them."""
    folder = Path(tempfile.mkdtemp(prefix="preflab-lab-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    open_store(folder / "empty.db").close()
    return folder / "empty.db"


class Lab:
    """A site with a study ``red``, and as many visitors as one likes."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.clock = Clock()
        self.path = folder / "lab.db"
        shutil.copyfile(_empty_store(), self.path)
        self.store: Store = open_store(self.path, clock=self.clock)
        self.app = create_app(self.store, SiteConfig(**{"requests_per_second": 1e6, **settings}))
        self.site = self.app.state.site
        scheme = "https" if self.site.config.secure else "http"
        self.client = TestClient(
            self.app, base_url=f"{scheme}://localhost", raise_server_exceptions=False, follow_redirects=False
        )
        self.client.__enter__()

    def close(self) -> None:
        self.client.__exit__(None, None, None)
        self.store.close()

    def study(self, name: str, text: str = RANK) -> None:
        """Make a study."""
        file = parse_study(text.format(name=name))
        create_study(self.store, name, file.definition.to_json())
        add_items(self.store, name, file.items)

    def person(self, *roles: tuple[str, people.Role], name: str | None = None) -> str:
        """Somebody with roles in studies; ``*`` is the whole site."""
        from preflab.web.collect.passwords import hash_password

        who = people.new_person(self.store, name=name, password=hash_password(PASSWORD) if name else None)
        for study, role in roles:
            people.grant(self.store, who, study, role)
            if role == "annotator":
                people.consent(self.store, who, study, 1, "yes")
        return who

    def browser(self, who: str | None = None, *, days: float = 1.0) -> "Browser":
        """A browser, with a session of somebody where one is named."""
        found = Browser(self)
        if who is not None:
            found.cookies[self.site.config.cookie] = people.issue_token(self.store, "session", pseudonym=who, days=days)
        return found

    def program(self, who: str, study: str = "*", role: people.Role = "owner", *, days: float = 1.0) -> "Program":
        """A program with a token."""
        token = people.issue_token(self.store, "api", pseudonym=who, study=study, role=role, days=days)
        return Program(self, token)


def owner(lab: Lab) -> "Browser":
    """A browser of somebody who owns the site, under the name ``root``."""
    return lab.browser(lab.person(("*", "owner"), name="root"))


@dataclass
class Browser:
    """Cookies kept, forms sent with the token of a page, headers of every answer looked at."""

    lab: Lab
    cookies: dict[str, str] = field(default_factory=dict)
    last: Any = None

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        """One request, without following where it leads."""
        client = self.lab.client
        client.cookies.clear()
        sent = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        answer = client.request(method, path, headers={**sent, **(headers or {})}, **more)
        check_headers(answer, secure=self.lab.site.config.secure)
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                self.cookies.pop(name, None)
                if morsel.value and morsel["max-age"] != "0":
                    self.cookies[name] = morsel.value
        self.last = answer
        return answer

    def get(self, path: str, **more: Any) -> Any:
        """Open a page."""
        return self.ask("GET", path, **more)

    def token(self) -> str:
        """The form token of a page that this browser opens."""
        found = FORM.search(self.get("/account").text) or FORM.search(self.get("/login").text)
        assert found is not None
        return found.group(1)

    def post(self, path: str, headers: Mapping[str, str] | None = None, **form: str) -> Any:
        """Send a form as a browser would: with the page's token and its own origin."""
        form.setdefault("csrf", self.token())
        return self.ask("POST", path, {"origin": self.origin, **(headers or {})}, data=form)

    @property
    def origin(self) -> str:
        """Where our pages come from."""
        return str(self.lab.client.base_url).rstrip("/")


@dataclass
class Program:
    """Something that brings a token and no cookies."""

    lab: Lab
    token: str

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        """One request."""
        self.lab.client.cookies.clear()
        headers = {"authorization": f"Bearer {self.token}", **(headers or {})}
        answer = self.lab.client.request(method, path, headers=headers, **more)
        check_headers(answer, secure=self.lab.site.config.secure)
        return answer

    def get(self, path: str, **more: Any) -> Any:
        """Fetch."""
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> Any:
        """Send."""
        return self.ask("POST", path, **more)


def check_headers(answer: Any, *, secure: bool = False) -> None:
    """Every answer, whatever became of the request, carries every header; only files of ours are kept."""
    for name, value in HEADERS.items():
        if name != "Cache-Control":
            assert answer.headers.get_list(name) == [value], (name, answer.status_code, str(answer.url))
    static = "/static/" in answer.url.path and answer.status_code < 400
    assert answer.headers["cache-control"] == ("public, max-age=3600" if static else "no-store")
    assert ("strict-transport-security" in answer.headers) is secure
