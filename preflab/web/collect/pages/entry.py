"""The ways in: login, the first owner, invitations, personal links; and the page that one comes home to."""

from starlette.responses import PlainTextResponse, Response

from preflab.data.store import people
from preflab.data.store.studies import find_study, list_studies
from preflab.errors import DataError, NotThere
from preflab.feedback.study import StudyDefinition
from preflab.web.collect.passwords import hash_password, verify_password
from preflab.web.collect.request_context import RequestContext, study_path


def health_check(context: RequestContext) -> Response:
    """Whether the store answers."""
    list_studies(context.site.store)
    return PlainTextResponse("ok\n")


def _start_session(context: RequestContext, person: str, path: str = "/") -> Response:
    """A new session; whatever cookie the browser had before is worthless from here on."""
    if context.token is not None:
        people.revoke(context.site.store, context.token.hash, actor=person)
    days = context.site.config.session_days
    secret = people.issue_token(context.site.store, "session", pseudonym=person, days=days)
    context.new_cookies[context.site.config.cookie] = secret
    context.new_cookies[context.site.config.form_cookie] = ""
    return context.redirect(path)


def login_page(context: RequestContext) -> Response:
    """Name and password, for owners and reviewers."""
    return context.render("login.html.j2")


def log_in(context: RequestContext) -> Response:
    """Check name and password; both wrong and right ones take equally long."""
    name = context.form.get("name", "").strip()[:120]
    context.throttle(context.client_address, cost=0.0)
    context.throttle(f"name {name}")  # before the password is looked at: many at once must not get more tries
    person = people.find_person(context.site.store, name=name) if name else None
    password_hash = person.password if person else None
    if not verify_password(context.form.get("password", ""), password_hash) or person is None:
        context.throttle(context.client_address)
        return context.render("login.html.j2", 403, notice="Name and password do not go together.")
    context.site.login_limiter.give_back(context.site.mask(f"name {name}"))
    return _start_session(context, person.id)


def first_owner_page(context: RequestContext) -> Response:
    """The form for the first owner, who brings the secret that the server printed once."""
    return context.render("begin.html.j2")


def create_first_owner(context: RequestContext) -> Response:
    """Make the first owner."""
    context.throttle(context.client_address)
    secret, name = context.required_field("secret").strip(), _login_name(context)
    if people.find_token(context.site.store, secret, "bootstrap") is None:  # before any work is done for it
        raise NotThere("this secret is not the one that the server printed last, or it was used already")
    person, _ = people.use_invite(
        context.site.store, secret, name=name, password=hash_password(context.form.get("password", ""))
    )
    return _start_session(context, person)


def _login_name(context: RequestContext) -> str:
    name = context.form.get("name", "").strip()
    if not 1 <= len(name) <= 120 or any(ord(character) < 32 for character in name):
        raise DataError("a name has 1 to 120 characters, on one line", field="name")
    return name


def _find_invitation(context: RequestContext) -> people.Token:
    context.throttle(context.client_address, cost=0.0)
    invitation = people.find_token(context.site.store, context.request.path_params["secret"], "invite")
    if invitation is None:
        context.throttle(context.client_address)
        raise NotThere("this invitation is not known, has expired, was revoked or has been used up")
    return invitation


def invitation_page(context: RequestContext) -> Response:
    """What the invitation is for; the person takes it up by a press of the button, not by following the link."""
    invitation = _find_invitation(context)
    study = None
    if invitation.study != people.EVERY:
        study = StudyDefinition.from_mapping(find_study(context.site.store, invitation.study).definition)
    return context.render("join.html.j2", role=invitation.role, study=study, logged_in=context.person is not None)


def accept_invitation(context: RequestContext) -> Response:
    """Take up the invitation, as a new person or as oneself."""
    invitation = _find_invitation(context)
    study_page = study_path(invitation.study) if invitation.study != people.EVERY else "/"
    secret = context.request.path_params["secret"]
    if context.person is not None:
        people.use_invite(context.site.store, secret, pseudonym=context.person)
        return context.redirect(study_page)
    if invitation.role == "annotator":
        person, _ = people.use_invite(context.site.store, secret)
    else:
        password = hash_password(context.form.get("password", ""))
        person, _ = people.use_invite(context.site.store, secret, name=_login_name(context), password=password)
    return _start_session(context, person, study_page)


def personal_link_page(context: RequestContext) -> Response:
    """A personal link: a button, so that a mail program that opens links lets nobody in."""
    return context.render("come_back.html.j2")


def log_in_by_link(context: RequestContext) -> Response:
    """Log in by a personal link."""
    context.throttle(context.client_address, cost=0.0)
    secret = context.request.path_params["secret"]
    token = people.find_token(context.site.store, secret, "return")
    if token is None or token.person is None:
        context.throttle(context.client_address)
        raise NotThere("this personal link is not known, has expired or was replaced by a newer one")
    return _start_session(context, token.person)


def log_out(context: RequestContext) -> Response:
    """End the session."""
    if context.token is not None:
        people.revoke(context.site.store, context.token.hash, actor=context.pseudonym)
    context.new_cookies[context.site.config.cookie] = ""
    return context.redirect("/login")


def home_page(context: RequestContext) -> Response:
    """The studies that one takes part in."""
    memberships = {member.study: member for member in people.memberships(context.site.store, context.pseudonym)}
    of_whole_site = people.EVERY in memberships
    rows = []
    for study in list_studies(context.site.store):
        role = context.role_in(study.name)
        if role is not None and (of_whole_site or study.name in memberships):
            title = study.definition.get("title") or study.name
            rows.append({"name": study.name, "title": title, "state": study.state, "role": role})
    may_create = of_whole_site and context.role_in(people.EVERY) == "owner"
    return context.render("home.html.j2", studies=rows, may_create=may_create)
