"""One's own account: password, personal link, and leaving for good."""

from starlette.responses import Response

from preflab.data.store import people
from preflab.errors import DataError
from preflab.web.collect.passwords import hash_password, verify_password
from preflab.web.collect.request_context import RequestContext

LINK_DAYS = 90.0


def account_page(context: RequestContext) -> Response:
    """The person's pseudonym and name, and what can be done about the account."""
    return _render_account(context)


def _render_account(context: RequestContext, *, link: str = "") -> Response:
    person = people.find_person(context.site.store, id=context.pseudonym)
    name = person.name if person else None
    return context.render("account.html.j2", name=name, link=link, days=round(LINK_DAYS))


def change_password(context: RequestContext) -> Response:
    """Change the password; every session ends, this one too."""
    person = people.find_person(context.site.store, id=context.pseudonym)
    if person is None or person.name is None:
        raise DataError("you have no login name; use your personal link", field="password")
    guesses = f"password of {context.pseudonym}"
    context.throttle(guesses)
    if not verify_password(context.form.get("old", ""), person.password):
        raise DataError("the old password is not right", field="old")
    context.site.login_limiter.give_back(context.site.mask(guesses))
    people.set_password(context.site.store, context.pseudonym, hash_password(context.form.get("password", "")))
    context.new_cookies[context.site.config.cookie] = ""
    return context.redirect("/login")


def make_personal_link(context: RequestContext) -> Response:
    """A personal link for coming back on another day or device; an older one ends."""
    store = context.site.store
    for token in people.tokens_of(store, people.EVERY, "return"):
        if token.person == context.pseudonym and token.revoked is None:
            people.revoke(store, token.hash, actor=context.pseudonym)
    secret = people.issue_token(store, "return", pseudonym=context.pseudonym, days=LINK_DAYS, actor=context.pseudonym)
    return _render_account(context, link=context.absolute_url(f"/return/{secret}"))


def erase_account(context: RequestContext) -> Response:
    """Erase everything one wrote and judged; counts stay."""
    if context.form.get("sure", "").strip().lower() != "erase":
        raise DataError("type the word erase to confirm", field="sure")
    people.erase_person(context.site.store, context.pseudonym, actor=context.pseudonym)
    context.new_cookies[context.site.config.cookie] = ""
    return context.render("erased.html.j2")
