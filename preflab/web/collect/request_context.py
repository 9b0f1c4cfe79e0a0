"""One request, with who asks: what a page's function is handed, and what it may answer."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from preflab.data.store import people
from preflab.errors import PreflabError
from preflab.web.collect.render import page
from preflab.web.collect.security import from_program
from preflab.web.collect.site import Site


class Refused(PreflabError):
    """The request cannot be granted; ``status`` is HTTP's, the message is for the person."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class RequestContext:
    """A request, read and checked."""

    request: Request
    site: Site
    form: Mapping[str, str]
    person: str | None
    """Pseudonym; None for a stranger."""
    token: people.Token | None
    """What let the person in: a session or an API token."""
    tie: str
    """What forms are tied to: the session's secret, or a stranger's cookie."""
    new_cookies: dict[str, str] = field(default_factory=dict)

    @property
    def study(self) -> str:
        """The study in the address."""
        return str(self.request.path_params["study"])

    @property
    def who(self) -> str:
        """The pseudonym of somebody who must be known."""
        if self.person is None:
            raise Refused(403, "please log in, or open your link again")
        return self.person

    def number(self, name: str) -> int:
        """A number in the address."""
        return int(self.request.path_params[name])

    def field(self, name: str) -> str:
        """A field of the form that must be there."""
        found = self.form.get(name, "")
        if not found:
            raise Refused(422, f"the form lacks {name}; please go back and try again")
        return found

    def key(self) -> str:
        """The idempotency key that the page made."""
        return self.field("key")

    @property
    def client_address(self) -> str:
        """The network address that asks: for the limiter alone, which knows only a hash of it."""
        return self.request.client.host if self.request.client else "?"

    def slow_down(self, name: str, *, cost: float = 1.0) -> None:
        """Limit guesses; ``cost`` 0 only looks whether there were too many.

        Raises:
            Refused: there were.
        """
        key, logins = self.site.mask(name), self.site.logins
        if not logins.allows(key, cost):
            raise Refused(429, f"too many attempts; please wait {logins.wait_seconds(key)} s")

    def role(self, study: str) -> str | None:
        """What the person may do in a study; a token may not do more than it was issued for."""
        if self.person is None:
            return None
        role = people.role_in(self.site.store, self.person, study)
        token = self.token
        if role is None or token is None or token.kind != "api":
            return role
        if token.study not in (people.EVERY, study):
            return None
        return min(role, token.role, key=people.RANK.__getitem__)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page with what every page needs."""
        common = {
            "csrf": self.site.form_token(self.tie),
            "root": self.site.config.root_path,
            "person": self.person,
            "new_key": new_key,
            "notice": values.pop("notice", ""),
        }
        return page(template, status, **common, **values)

    def go(self, path: str) -> Response:
        """Send the browser to another page of the site."""
        return RedirectResponse(self.site.config.root_path + path, 303)

    @property
    def wants_json(self) -> bool:
        """Whether a program asks."""
        return from_program(self.request.scope)

    def link(self, path: str) -> str:
        """A whole address to hand to somebody. Behind a proxy we may be asked over http and reached over https."""
        base = self.request.base_url
        return str(base.replace(scheme="https") if self.site.config.secure else base).rstrip("/") + path


def new_key() -> str:
    """An idempotency key for a form."""
    return secrets.token_urlsafe(18)


def address(study: str, *parts: object) -> str:
    """Path of a page of a study."""
    return "/".join(["", "s", quote(study), *(quote(str(part)) for part in parts)])
