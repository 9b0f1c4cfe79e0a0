"""Security headers, the limit on bodies and the check of origins; their order stands in ``app.create_app``.

By hand, not from a package: policy and refusals of this site fit in one file, and tests look at every answer.
"""

from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # under no-referrer a form comes with ``Origin: null``
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def set_security_headers(headers: MutableHeaders, *, secure: bool) -> None:
    """Set the headers that every response carries."""
    for name, value in HEADERS.items():
        headers[name] = value
    if secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"


def bearer_token(headers: Headers) -> str | None:
    """The API token that a request brings; None without. What a proxy's own login adds (Basic) is none."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def wants_json(scope: Scope) -> bool:
    """Whether to answer in JSON: the request accepts it, brings an API token, or is for the API."""
    headers = Headers(scope=scope)
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    from_program = "application/json" in headers.get("accept", "") or bearer_token(headers) is not None
    return from_program or path.startswith("/api/")


class SecurityHeaders:
    """Headers on every response, errors too. Pages are not kept by browsers or proxies; static files are,
    and films by the browsers alone."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self.app, self.secure = app, secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding headers to what comes back."""

        # now: a mounted application moves the border between the two
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                cache_control = headers.get("Cache-Control") if message["status"] == 200 else None
                set_security_headers(headers, secure=self.secure)
                if cache_control is not None and cache_control.startswith("private, "):  # a film: it never changes
                    headers["Cache-Control"] = cache_control
                if path.startswith("/static/") and message["status"] < 400:
                    headers["Cache-Control"] = "public, max-age=3600"
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class BodyLimit:
    """Refuse requests that are too large, also those that do not say how large they are."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, counting what comes in."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or len(length) > 15 or int(length) > self.max_bytes:
            await self._refuse(scope, receive, send)
            return
        messages: list[Message] = []
        bytes_read = 0
        while True:  # the body is read whole before anything is done with it: forms are small
            message = await receive()
            messages.append(message)
            bytes_read += len(message.get("body", b""))
            if bytes_read > self.max_bytes:
                await self._refuse(scope, receive, send)
                return
            if message["type"] != "http.request" or not message.get("more_body", False):
                break
        replayed = iter(messages)

        async def replay() -> Any:
            return next(replayed, None) or await receive()

        await self.app(scope, replay, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = f"Too large: at most {self.max_bytes:,} bytes are taken. Nothing was kept; please shorten it."
        response = JSONResponse({"error": text}, 413) if wants_json(scope) else PlainTextResponse(text, 413)
        await response(scope, receive, send)


def is_cross_origin(headers: Headers, scheme: str, host: str) -> bool:
    """Whether a browser sent this request for a page of another site, or cannot say that it did not."""
    origin = headers.get("origin")
    if origin is not None:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return True
        return (parts.scheme, parts.netloc.lower()) != (scheme, host.lower())
    return headers.get("sec-fetch-site") != "same-origin"  # no browser of today leaves both out
