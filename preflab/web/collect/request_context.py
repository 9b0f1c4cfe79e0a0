"""One request and who sends it: what a page's function is handed, and how it answers."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from preflab.data.store import people
from preflab.errors import PreflabError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.web.collect.render import render_page
from preflab.web.collect.security import wants_json
from preflab.web.collect.site import Site


class RequestRefused(PreflabError):
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
    csrf_binding: str
    """What forms are bound to: the session's secret, or a stranger's cookie."""
    new_cookies: dict[str, str] = field(default_factory=dict)

    @property
    def study(self) -> str:
        """Name of the study in the address."""
        return str(self.request.path_params["study"])

    def annotation_service(self) -> AnnotationService:
        """The service of the study in the address.

        Raises:
            NotThere: there is no such study.
        """
        return self.site.annotation_service(self.study)

    @property
    def pseudonym(self) -> str:
        """The pseudonym of somebody who must be logged in.

        Raises:
            RequestRefused: 403 for a stranger.
        """
        if self.person is None:
            raise RequestRefused(403, "please log in, or open your link again")
        return self.person

    def path_number(self, name: str) -> int:
        """A number in the address."""
        return int(self.request.path_params[name])

    def required_field(self, name: str) -> str:
        """A field of the form that must be there.

        Raises:
            RequestRefused: 422 where it is missing or empty.
        """
        text = self.form.get(name, "")
        if not text:
            raise RequestRefused(422, f"the form lacks {name}; please go back and try again")
        return text

    def idempotency_key(self) -> str:
        """The idempotency key that the page made: a form that is sent twice counts once."""
        return self.required_field("key")

    @property
    def client_address(self) -> str:
        """The network address of the client: for the limiter alone, which knows only a hash of it."""
        return self.request.client.host if self.request.client else "?"

    def throttle(self, name: str, *, cost: float = 1.0) -> None:
        """Limit guesses; ``cost`` 0 only looks whether there were too many.

        Raises:
            RequestRefused: 429 where there were.
        """
        key, limiter = self.site.mask(name), self.site.login_limiter
        if not limiter.allows(key, cost):
            raise RequestRefused(429, f"too many attempts; please wait {limiter.wait_seconds(key)} s")

    def role_in(self, study: str) -> people.Role | None:
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

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page from a template, with what every page needs."""
        common = {
            "csrf": self.site.csrf_token(self.csrf_binding),
            "root": self.site.config.root_path,
            "person": self.person,
            "new_key": new_key,
            "notice": values.pop("notice", ""),
        }
        return render_page(template, status, **common, **values)

    def redirect(self, path: str) -> Response:
        """Send the browser to another page of the site."""
        return RedirectResponse(self.site.config.root_path + path, 303)

    @property
    def wants_json(self) -> bool:
        """Whether to answer in JSON, as for a program."""
        return wants_json(self.request.scope)

    def absolute_url(self, path: str) -> str:
        """A whole URL to hand to somebody. Behind a proxy we may be reached over http where browsers use https."""
        base = self.request.base_url
        return str(base.replace(scheme="https") if self.site.config.secure else base).rstrip("/") + path


def new_key() -> str:
    """An idempotency key for a form."""
    return secrets.token_urlsafe(18)


def study_path(study: str, *parts: object) -> str:
    """Path of a page of a study."""
    return "/".join(["", "s", quote(study), *(quote(str(part)) for part in parts)])
