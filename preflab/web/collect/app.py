"""The application: middleware, the table of pages, and the gate that every request goes through."""

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from preflab.data.store import people
from preflab.data.store.open import Store
from preflab.errors import Conflict, DataError, LeaseLost, NotThere, PreflabError, StoreError
from preflab.feedback.video_store import VideoDamaged
from preflab.web.collect.render import STATIC, page
from preflab.web.collect.request_context import Refused, RequestContext
from preflab.web.collect.routes import PAGES, Needs, Page
from preflab.web.collect.security import (
    SAFE_METHODS,
    BodyLimit,
    SecurityHeaders,
    bearer_of,
    comes_from_elsewhere,
    from_program,
    harden,
)
from preflab.web.collect.site import Site, SiteConfig

log = logging.getLogger("preflab.collect")
_MOST_FIELDS = 2000


def create_app(store: Store, config: SiteConfig | None = None) -> Starlette:
    """The site as an ASGI application."""
    site = Site(store, config or SiteConfig())
    by_path: dict[str, list[Page]] = {}
    for found in PAGES:
        by_path.setdefault(found.path, []).append(found)
    routes: list[Any] = [
        Route(path, _gate(site, pages), methods=[found.method for found in pages]) for path, pages in by_path.items()
    ]
    routes.append(Mount("/static", StaticFiles(directory=STATIC), name="static"))
    hosts = [host.split(":")[0] if not host.startswith("[") else host for host in site.config.hosts]
    middleware = [
        Middleware(SecurityHeaders, secure=site.config.secure),
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        Middleware(BodyLimit, max_bytes=site.config.max_body_bytes),
    ]
    handlers: dict[Any, Any] = {HTTPException: _http_error, Exception: _our_fault}
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)
    app.router.redirect_slashes = False  # an address is in the table or it is not
    app.state.site = site
    return app


def _gate(site: Site, pages: list[Page]) -> Callable[[Request], Awaitable[Response]]:
    """What stands before every page: who asks, whether they may, whether the form is one of ours."""
    by_method = {found.method: found for found in pages}

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        found = by_method[method]  # type: ignore[index]  # the router lets in no other
        try:
            form = await _form(request) if method not in SAFE_METHODS else {}
            return await run_in_threadpool(_answer, site, found, request, form)
        except HTTPException:
            raise
        except Exception as error:  # here, so that the answer still gets its headers
            return await _our_fault(request, error)

    return answer


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name; of JSON, the object itself stays in the body."""
    content = await request.body()  # it is small (`BodyLimit`), and pages of the API read it again
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        return {}
    if not kind.startswith("multipart/") and content.count(b"&") >= _MOST_FIELDS:
        raise HTTPException(422, f"a form has at most {_MOST_FIELDS:,} fields")
    try:
        async with request.form(max_files=0, max_fields=_MOST_FIELDS, max_part_size=2_000_000) as form:
            return {name: value for name, value in form.multi_items() if isinstance(value, str)}
    except HTTPException as error:
        raise HTTPException(422, f"the form could not be read: {error.detail}") from error


def _answer(site: Site, found: Page, request: Request, form: dict[str, str]) -> Response:
    ask = _identify(site, request, form)
    try:
        _check_rate(ask)
        _check_token(ask, found)
        _check_form(ask)
        refusal = _check_role(ask, found.needs)
        answer = refusal or found.answer(ask)
    except PreflabError as error:
        answer = _complaint(ask, error)
    for name, value in ask.new_cookies.items():
        _set_cookie(site, answer, name, value)
    return answer


def _identify(site: Site, request: Request, form: dict[str, str]) -> RequestContext:
    """Who asks: a program by its token, a person by the session's cookie, or a stranger."""
    bearer = bearer_of(request.headers)
    if bearer is not None:
        token = people.find_token(site.store, bearer, "api")
        return RequestContext(request, site, form, token.person if token else None, token, "")
    secret = request.cookies.get(site.config.cookie, "")
    session = people.find_token(site.store, secret, "session")
    if session is not None:
        return RequestContext(request, site, form, session.person, session, secret)
    tie = request.cookies.get(site.config.form_cookie, "")
    ask = RequestContext(request, site, form, None, None, tie)
    if not 20 <= len(tie) <= 100:
        ask.tie = ask.new_cookies[site.config.form_cookie] = secrets.token_urlsafe(24)
    return ask


def _set_cookie(site: Site, answer: Response, name: str, value: str) -> None:
    secure, path = site.config.secure, site.config.root_path or "/"
    if value:
        age = round(site.config.session_days * 86_400)
        answer.set_cookie(name, value, max_age=age, path=path, secure=secure, httponly=True, samesite="lax")
    else:
        answer.delete_cookie(name, path=path, secure=secure, httponly=True, samesite="lax")


def caller(ask: RequestContext) -> str:
    """Under what the limiter knows the one who asks."""
    if ask.token is not None:
        return ask.token.hash
    return ask.site.mask(ask.client_address)


def _check_rate(ask: RequestContext) -> None:
    who = caller(ask)
    if not ask.site.requests.allows(who):
        raise Refused(429, f"too many requests; please wait {ask.site.requests.wait_seconds(who)} s")


def _check_token(ask: RequestContext, found: Page) -> None:
    """Who brings a token is a program: it must be a good one, for a page that is for programs."""
    if bearer_of(ask.request.headers) is None:
        return
    if ask.token is None or ask.token.kind != "api":
        raise Refused(401, "this token is not known, has expired or was revoked")
    if not found.for_programs:
        raise Refused(403, "an API token is for /api and for exports; log in for this page")


def _check_form(ask: RequestContext) -> None:
    """A form must come from one of our pages, in the browser that we gave it to. Programs with a token send none."""
    request = ask.request
    if request.method in SAFE_METHODS or (ask.token is not None and ask.token.kind == "api"):
        return
    scheme = "https" if ask.site.config.secure else request.url.scheme
    if comes_from_elsewhere(request.headers, scheme, request.headers.get("host", "")):
        raise Refused(403, "this form did not come from this site; open the page here and try again")
    given = ask.form.get("csrf", "") or request.headers.get("x-csrf-token", "")
    if not secrets.compare_digest(given.encode(), ask.site.form_token(ask.tie).encode()):
        raise Refused(403, "this form is too old, or cookies are off; open the page again and try once more")


def _check_role(ask: RequestContext, needs: Needs) -> Response | None:
    """Whether the one who asks may; strangers are shown the way in."""
    if needs == "anyone":
        return None
    if ask.person is None:
        if ask.request.method in SAFE_METHODS and not ask.wants_json:
            return RedirectResponse(f"{ask.site.config.root_path}/login", 303)
        raise Refused(401, "please log in, or open your link again; a session may have ended")
    if needs == "person":
        return None
    study = people.EVERY if needs == "site owner" else ask.study
    wanted = "owner" if needs == "site owner" else needs
    role = ask.role(study)
    if role is None or people.RANK[role] < people.RANK[wanted]:
        raise Refused(
            403, f"this page is for {'owners of the site' if needs == 'site owner' else f'the {wanted}s of the study'}"
        )
    return None


# errors ----------------------------------------------------------------------------------------------------


def status_of(error: Exception) -> int:
    """HTTP's number for one of our errors."""
    if isinstance(error, Refused):
        return error.status
    kinds: list[tuple[type[Exception], int]] = [
        (NotThere, 404),
        (VideoDamaged, 500),
        (LeaseLost, 409),
        (Conflict, 409),
        (DataError, 422),
    ]
    for kind, status in kinds:
        if isinstance(error, kind):
            return status
    return 409 if isinstance(error, StoreError) else 422


def _complaint(ask: RequestContext, error: Exception) -> Response:
    status, text = status_of(error), _sentence(error)
    if ask.wants_json:
        return JSONResponse({"error": text}, status)
    return ask.page("error.html.j2", status, number=status, message=text)


def _sentence(error: Exception) -> str:
    """What an error says, as a person is told it."""
    if isinstance(error, DataError) and error.path is None and error.field is not None:
        return f"{error.field.replace('_', ' ')}: {error.message}"
    return str(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {404: "There is no such page.", 405: "This page does not take that kind of request."}
    text = texts.get(error.status_code, error.detail)
    return _bare(request, error.status_code, text, dict(error.headers or {}))


async def _our_fault(request: Request, error: Exception) -> Response:
    route = request.scope.get("route")  # not the address itself: there may be an invitation in it
    log.error("%s %s failed", request.method, getattr(route, "path", "(no page)"), exc_info=error)
    text = "Something went wrong on our side. What you sent before is kept; please try again in a moment."
    return _bare(request, 500, text, {})


def _bare(request: Request, status: int, text: str, headers: dict[str, str]) -> Response:
    config = request.app.state.site.config
    if from_program(request.scope):
        answer: Response = JSONResponse({"error": text}, status)
    else:
        values = {"root": config.root_path, "person": None, "csrf": "", "notice": ""}
        answer = page("error.html.j2", status, number=status, message=text, **values)
    answer.headers.update(headers)
    harden(answer.headers, secure=config.secure)  # what fails outside the middleware goes past it
    return answer
