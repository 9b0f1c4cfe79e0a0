"""One's own account: password, personal link, and leaving for good."""

from starlette.responses import Response

from preflab.data.store import people
from preflab.errors import DataError
from preflab.web.collect.passwords import hashed, matches
from preflab.web.collect.request_context import RequestContext

LINK_DAYS = 90.0


def show(ask: RequestContext) -> Response:
    """Who one is here, and what can be done about it."""
    return _page(ask)


def _page(ask: RequestContext, *, link: str = "", notice: str = "") -> Response:
    found = people.find_person(ask.site.store, id=ask.who)
    own = people.memberships(ask.site.store, ask.who)
    name = found.name if found else None
    return ask.page("account.html.j2", name=name, members=own, link=link, notice=notice, days=round(LINK_DAYS))


def password(ask: RequestContext) -> Response:
    """Change the password; every session ends, this one too."""
    found = people.find_person(ask.site.store, id=ask.who)
    if found is None or found.name is None:
        raise DataError("you have no login name; use your personal link", field="password")
    guesses = f"password of {ask.who}"
    ask.slow_down(guesses)
    if not matches(ask.form.get("old", ""), found.password):
        raise DataError("the old password is not right", field="old")
    ask.site.logins.give_back(ask.site.mask(guesses))
    people.set_password(ask.site.store, ask.who, hashed(ask.form.get("password", "")))
    ask.new_cookies[ask.site.config.cookie] = ""
    return ask.go("/login")


def link(ask: RequestContext) -> Response:
    """A personal link for coming back on another day or device; an older one ends."""
    store = ask.site.store
    for old in people.tokens_of(store, people.EVERY, "return"):
        if old.person == ask.who and old.revoked is None:
            people.revoke(store, old.hash, actor=ask.who)
    secret = people.issue_token(store, "return", who=ask.who, days=LINK_DAYS, actor=ask.who)
    return _page(ask, link=ask.link(f"/return/{secret}"))


def erase(ask: RequestContext) -> Response:
    """Erase everything one wrote and judged; counts stay."""
    if ask.form.get("sure", "").strip().lower() != "erase":
        raise DataError("type the word erase to confirm", field="sure")
    people.erase_person(ask.site.store, ask.who, actor=ask.who)
    ask.new_cookies[ask.site.config.cookie] = ""
    return ask.page("erased.html.j2")
