"""The ways in: login, the first owner, invitations, personal links; and the page that one comes home to."""

from starlette.responses import PlainTextResponse, Response

from preflab.data.store import people
from preflab.data.store.studies import find_study, list_studies
from preflab.errors import DataError, NotThere
from preflab.feedback.study import StudyDefinition
from preflab.web.collect.passwords import hashed, matches
from preflab.web.collect.request_context import RequestContext, address


def health(ask: RequestContext) -> Response:
    """Whether the store answers."""
    list_studies(ask.site.store)
    return PlainTextResponse("ok\n")


def _let_in(ask: RequestContext, person: str, to: str = "/") -> Response:
    """A new session; whatever cookie the browser had before is worthless from here on."""
    if ask.token is not None:
        people.revoke(ask.site.store, ask.token.hash, actor=person)
    days = ask.site.config.session_days
    secret = people.issue_token(ask.site.store, "session", who=person, days=days)
    ask.new_cookies[ask.site.config.cookie] = secret
    ask.new_cookies[ask.site.config.form_cookie] = ""
    return ask.go(to)


def login_form(ask: RequestContext) -> Response:
    """Name and password, for owners and reviewers."""
    return ask.page("login.html.j2")


def login(ask: RequestContext) -> Response:
    """Check name and password; both wrong and right ones take equally long."""
    name = ask.form.get("name", "").strip()[:120]
    ask.slow_down(ask.client_address, cost=0.0)
    ask.slow_down(f"name {name}")  # before the look: many at once must not get more tries
    found = people.find_person(ask.site.store, name=name) if name else None
    if not matches(ask.form.get("password", ""), found.password if found else None) or found is None:
        ask.slow_down(ask.client_address)
        return ask.page("login.html.j2", 403, notice="Name and password do not go together.")
    ask.site.logins.give_back(ask.site.mask(f"name {name}"))
    return _let_in(ask, found.id)


def begin_form(ask: RequestContext) -> Response:
    """The first owner, by the secret that the server printed once."""
    return ask.page("begin.html.j2")


def begin(ask: RequestContext) -> Response:
    """Make the first owner."""
    ask.slow_down(ask.client_address)
    secret, name = ask.field("secret").strip(), _name(ask)
    if people.find_token(ask.site.store, secret, "bootstrap") is None:  # before any work is done for it
        raise NotThere("this secret is not the one that the server printed last, or it was used already")
    person, _ = people.use_invite(ask.site.store, secret, name=name, password=hashed(ask.form.get("password", "")))
    return _let_in(ask, person)


def _name(ask: RequestContext) -> str:
    name = ask.form.get("name", "").strip()
    if not 1 <= len(name) <= 120 or any(ord(character) < 32 for character in name):
        raise DataError("a name has 1 to 120 characters, on one line", field="name")
    return name


def _invitation(ask: RequestContext) -> people.Token:
    ask.slow_down(ask.client_address, cost=0.0)
    found = people.find_token(ask.site.store, ask.request.path_params["secret"], "invite")
    if found is None:
        ask.slow_down(ask.client_address)
        raise NotThere("this invitation is not known, has expired, was revoked or has been used up")
    return found


def join_form(ask: RequestContext) -> Response:
    """What the invitation is for; the person takes it up by a press of the button, not by following the link."""
    found = _invitation(ask)
    study = None
    if found.study != people.EVERY:
        study = StudyDefinition.from_mapping(find_study(ask.site.store, found.study).definition)
    return ask.page("join.html.j2", role=found.role, study=study, known=ask.person is not None)


def join(ask: RequestContext) -> Response:
    """Take up the invitation, as a new person or as oneself."""
    found = _invitation(ask)
    secret = ask.request.path_params["secret"]
    if ask.person is not None:
        people.use_invite(ask.site.store, secret, who=ask.person)
        return ask.go(address(found.study) if found.study != people.EVERY else "/")
    if found.role == "annotator":
        person, _ = people.use_invite(ask.site.store, secret)
    else:
        password = hashed(ask.form.get("password", ""))
        person, _ = people.use_invite(ask.site.store, secret, name=_name(ask), password=password)
    return _let_in(ask, person, address(found.study) if found.study != people.EVERY else "/")


def come_back_form(ask: RequestContext) -> Response:
    """A personal link: a button, so that a mail program that opens links lets nobody in."""
    return ask.page("come_back.html.j2")


def come_back(ask: RequestContext) -> Response:
    """Log in by a personal link."""
    ask.slow_down(ask.client_address, cost=0.0)
    secret = ask.request.path_params["secret"]
    found = people.find_token(ask.site.store, secret, "return")
    if found is None or found.person is None:
        ask.slow_down(ask.client_address)
        raise NotThere("this personal link is not known, has expired or was replaced by a newer one")
    return _let_in(ask, found.person)


def logout(ask: RequestContext) -> Response:
    """End the session."""
    if ask.token is not None:
        people.revoke(ask.site.store, ask.token.hash, actor=ask.who)
    ask.new_cookies[ask.site.config.cookie] = ""
    return ask.go("/login")


def home(ask: RequestContext) -> Response:
    """The studies that one takes part in."""
    own = {member.study: member for member in people.memberships(ask.site.store, ask.who)}
    every = people.EVERY in own
    rows = []
    for study in list_studies(ask.site.store):
        role = ask.role(study.name)
        if role is not None and (every or study.name in own):
            title = study.definition.get("title") or study.name
            rows.append({"name": study.name, "title": title, "state": study.state, "role": role})
    return ask.page("home.html.j2", studies=rows, may_make=ask.role(people.EVERY) == "owner" and every)
