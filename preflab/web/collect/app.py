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
from preflab.web.collect.render import STATIC, render_page
from preflab.web.collect.request_context import RequestContext, RequestRefused
from preflab.web.collect.routes import PAGES, Access, Page
from preflab.web.collect.security import (
    SAFE_METHODS,
    BodyLimit,
    SecurityHeaders,
    bearer_token,
    is_cross_origin,
    set_security_headers,
    wants_json,
)
from preflab.web.collect.site import Site, SiteConfig

log = logging.getLogger("preflab.collect")
_MOST_FIELDS = 2000


def create_app(store: Store, config: SiteConfig | None = None) -> Starlette:
    """The site as an ASGI application."""
    site = Site(store, config or SiteConfig())
    by_path: dict[str, list[Page]] = {}
    for page in PAGES:
        by_path.setdefault(page.path, []).append(page)
    routes: list[Any] = [
        Route(path, _gate(site, pages), methods=[page.method for page in pages]) for path, pages in by_path.items()
    ]
    routes.append(Mount("/static", StaticFiles(directory=STATIC), name="static"))
    hosts = [host.split(":")[0] if not host.startswith("[") else host for host in site.config.hosts]
    middleware = [
        Middleware(SecurityHeaders, secure=site.config.secure),
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        Middleware(BodyLimit, max_bytes=site.config.max_body_bytes),
    ]
    handlers: dict[Any, Any] = {HTTPException: _http_error, Exception: _internal_error}
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)
    app.router.redirect_slashes = False  # an address is in the table or it is not
    app.state.site = site
    return app


def _gate(site: Site, pages: list[Page]) -> Callable[[Request], Awaitable[Response]]:
    """What stands before every page: who sends the request, whether they may, whether the form is one of ours."""
    by_method = {page.method: page for page in pages}

    async def respond(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        page = by_method[method]  # type: ignore[index]  # the router lets in no other
        try:
            form = await _form(request) if method not in SAFE_METHODS else {}
            return await run_in_threadpool(_respond, site, page, request, form)
        except HTTPException:
            raise
        except Exception as error:  # here, so that the response still gets its headers
            return await _internal_error(request, error)

    return respond


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


def _respond(site: Site, page: Page, request: Request, form: dict[str, str]) -> Response:
    context = _identify(site, request, form)
    try:
        _check_rate(context)
        _check_token(context, page)
        _check_form(context)
        redirect = _check_role(context, page.access)
        response = redirect or page.handler(context)
    except PreflabError as error:
        response = _error_response(context, error)
    for name, value in context.new_cookies.items():
        _set_cookie(site, response, name, value)
    return response


def _identify(site: Site, request: Request, form: dict[str, str]) -> RequestContext:
    """Who sends the request: a program by its token, a person by the session's cookie, or a stranger."""
    bearer = bearer_token(request.headers)
    if bearer is not None:
        token = people.find_token(site.store, bearer, "api")
        return RequestContext(request, site, form, token.person if token else None, token, "")
    secret = request.cookies.get(site.config.cookie, "")
    session = people.find_token(site.store, secret, "session")
    if session is not None:
        return RequestContext(request, site, form, session.person, session, secret)
    binding = request.cookies.get(site.config.form_cookie, "")
    context = RequestContext(request, site, form, None, None, binding)
    if not 20 <= len(binding) <= 100:
        context.csrf_binding = context.new_cookies[site.config.form_cookie] = secrets.token_urlsafe(24)
    return context


def _set_cookie(site: Site, response: Response, name: str, value: str) -> None:
    secure, path = site.config.secure, site.config.root_path or "/"
    if value:
        max_age = round(site.config.session_days * 86_400)
        response.set_cookie(name, value, max_age=max_age, path=path, secure=secure, httponly=True, samesite="lax")
    else:
        response.delete_cookie(name, path=path, secure=secure, httponly=True, samesite="lax")


def rate_limit_key(context: RequestContext) -> str:
    """What requests are counted by: the session or token, for strangers the address."""
    if context.token is not None:
        return context.token.hash
    return context.site.mask(context.client_address)


def _check_rate(context: RequestContext) -> None:
    key, limiter = rate_limit_key(context), context.site.request_limiter
    if not limiter.allows(key):
        raise RequestRefused(429, f"too many requests; please wait {limiter.wait_seconds(key)} s")


def _check_token(context: RequestContext, page: Page) -> None:
    """A request with a token comes from a program: the token must be good, and the page one for programs."""
    if bearer_token(context.request.headers) is None:
        return
    if context.token is None or context.token.kind != "api":
        raise RequestRefused(401, "this token is not known, has expired or was revoked")
    if not page.accepts_token:
        raise RequestRefused(403, "an API token is for /api and for exports; log in for this page")


def _check_form(context: RequestContext) -> None:
    """A form must come from one of our pages, in the browser that we gave it to. Programs with a token send none."""
    request = context.request
    if request.method in SAFE_METHODS or (context.token is not None and context.token.kind == "api"):
        return
    scheme = "https" if context.site.config.secure else request.url.scheme
    if is_cross_origin(request.headers, scheme, request.headers.get("host", "")):
        raise RequestRefused(403, "this form did not come from this site; open the page here and try again")
    csrf = context.form.get("csrf", "") or request.headers.get("x-csrf-token", "")
    if not secrets.compare_digest(csrf.encode(), context.site.csrf_token(context.csrf_binding).encode()):
        raise RequestRefused(403, "this form is too old, or cookies are off; open the page again and try once more")


def _check_role(context: RequestContext, access: Access) -> Response | None:
    """Refuse those who may not; strangers with a browser are sent to the login."""
    if access == "anyone":
        return None
    if context.person is None:
        if context.request.method in SAFE_METHODS and not context.wants_json:
            return RedirectResponse(f"{context.site.config.root_path}/login", 303)
        raise RequestRefused(401, "please log in, or open your link again; a session may have ended")
    if access == "person":
        return None
    study = people.EVERY if access == "site owner" else context.study
    required = "owner" if access == "site owner" else access
    role = context.role_in(study)
    if role is None or people.RANK[role] < people.RANK[required]:
        audience = "owners of the site" if access == "site owner" else f"the {required}s of the study"
        raise RequestRefused(403, f"this page is for {audience}")
    return None


# errors ----------------------------------------------------------------------------------------------------


def http_status(error: Exception) -> int:
    """HTTP's number for one of our errors."""
    if isinstance(error, RequestRefused):
        return error.status
    statuses: list[tuple[type[Exception], int]] = [
        (NotThere, 404),
        (VideoDamaged, 500),
        (LeaseLost, 409),
        (Conflict, 409),
        (DataError, 422),
    ]
    for kind, status in statuses:
        if isinstance(error, kind):
            return status
    return 409 if isinstance(error, StoreError) else 422


def _error_response(context: RequestContext, error: Exception) -> Response:
    status, text = http_status(error), _error_text(error)
    if context.wants_json:
        return JSONResponse({"error": text}, status)
    return context.render("error.html.j2", status, number=status, message=text)


def _error_text(error: Exception) -> str:
    """The message of an error, for a person to read."""
    if isinstance(error, DataError) and error.path is None and error.field is not None:
        return f"{error.field.replace('_', ' ')}: {error.message}"
    return str(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {404: "There is no such page.", 405: "This page does not take that kind of request."}
    text = texts.get(error.status_code, error.detail)
    return _error_page(request, error.status_code, text, dict(error.headers or {}))


async def _internal_error(request: Request, error: Exception) -> Response:
    route = request.scope.get("route")  # not the address itself: there may be an invitation in it
    log.error("%s %s failed", request.method, getattr(route, "path", "(no page)"), exc_info=error)
    text = "Something went wrong on our side. What you sent before is kept; please try again in a moment."
    return _error_page(request, 500, text, {})


def _error_page(request: Request, status: int, text: str, headers: dict[str, str]) -> Response:
    config = request.app.state.site.config
    if wants_json(request.scope):
        response: Response = JSONResponse({"error": text}, status)
    else:
        values = {"root": config.root_path, "person": None, "csrf": "", "notice": ""}
        response = render_page("error.html.j2", status, number=status, message=text, **values)
    response.headers.update(headers)
    set_security_headers(response.headers, secure=config.secure)  # what fails outside the middleware goes past it
    return response
