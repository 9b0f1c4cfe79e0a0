"""What owners do: make a study, invite, pause, revise, add items."""

import json
import math
from typing import Any

from starlette.responses import Response

from preflab.data.store import conversation, people, queue, studies
from preflab.errors import ConfigError, DataError, NotThere, PreflabError
from preflab.feedback.protocols import EXAMPLES
from preflab.feedback.study import item_of, parse_study
from preflab.feedback.sync_study import sync_study
from preflab.web.collect.request_context import RequestContext, study_path

_MAX_INVITE_DAYS = 90.0


def new_study_page(context: RequestContext) -> Response:
    """A study from YAML, or from one of the examples."""
    example = context.request.query_params.get("example", "rank")
    text = EXAMPLES.get(example, EXAMPLES["rank"])
    return context.render("new.html.j2", text=text, complaint=None, examples=list(EXAMPLES))


def create_study(context: RequestContext) -> Response:
    """Make the study, or show what is wrong with it."""
    text = context.form.get("text", "")
    try:
        file = parse_study(text)
        if any(study.name == file.definition.name for study in studies.list_studies(context.site.store)):
            raise ConfigError(f"there is a study {file.definition.name!r} already; change it under Manage")
        sync_study(context.site.store, file, actor=context.pseudonym)
    except (ConfigError, DataError) as error:
        return context.render("new.html.j2", 422, text=text, complaint=error, examples=list(EXAMPLES))
    return context.redirect(study_path(file.definition.name, "manage"))


def manage_page(context: RequestContext) -> Response:
    """State, progress, members, invitations, definition."""
    return _render_manage(context)


def _render_manage(
    context: RequestContext, *, link: str = "", complaint: PreflabError | None = None, text: str | None = None
) -> Response:
    store, name = context.site.store, context.study
    stored = studies.find_study(store, name)
    definition = context.annotation_service().definition
    fields = definition.to_json()
    invites = [token for token in people.tokens_of(store, name, "invite") if token.revoked is None]
    return context.render(
        "manage.html.j2",
        200 if complaint is None else 422,
        study=definition,
        state=stored.state,
        revision=stored.revision,
        progress=queue.progress(store, name),
        members=people.members_of(store, name),
        invites=[token for token in invites if token.expires > store.clock()],
        link=link,
        complaint=complaint,
        text=text or _as_yaml({"name": fields.pop("name"), **fields}),
        roles=list(people.RANK),
        policies=conversation.policy_states(store, name),
    )


def _as_yaml(definition: dict[str, Any]) -> str:
    """A definition as a person would write it: texts of several lines as such."""
    import yaml

    class Plain(yaml.SafeDumper):
        """A dumper of our own, so that nobody else's changes."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Plain.add_representer(str, text)
    return str(yaml.dump(definition, Dumper=Plain, sort_keys=False, allow_unicode=True))


def change_state(context: RequestContext) -> Response:
    """Open, pause or close the study."""
    state = context.required_field("state")
    if state not in ("open", "paused", "closed"):
        raise DataError("expected open, paused or closed", field="state")
    studies.set_state(context.site.store, context.study, state, actor=context.pseudonym)  # type: ignore[arg-type]
    return context.redirect(study_path(context.study, "manage"))


def create_invitation(context: RequestContext) -> Response:
    """A link that lets people in; it is shown this once."""
    role = context.form.get("role", "annotator")
    if role not in people.RANK:
        raise DataError(f"expected one of {', '.join(people.RANK)}", field="role")
    uses = _form_number(context, "uses", 1.0, 10_000.0)
    days = _form_number(context, "days", 1.0, _MAX_INVITE_DAYS)
    secret = people.issue_token(
        context.site.store,
        "invite",
        study=context.study,
        role=role,  # type: ignore[arg-type]
        days=days,
        uses=int(uses),
        note=context.form.get("note", ""),
        actor=context.pseudonym,
    )
    return _render_manage(context, link=context.absolute_url(f"/join/{secret}"))


def _form_number(context: RequestContext, field: str, low: float, high: float) -> float:
    try:
        number = float(context.form.get(field, "") or low)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise DataError(f"expected a number from {low:g} to {high:g}", field=field)
    return number


def revoke_invitation(context: RequestContext) -> Response:
    """End an invitation of this study."""
    invitations = {token.hash for token in people.tokens_of(context.site.store, context.study, "invite")}
    if context.required_field("token") not in invitations:
        raise NotThere("this study has no such invitation")
    people.revoke(context.site.store, context.required_field("token"), actor=context.pseudonym)
    return context.redirect(study_path(context.study, "manage"))


def remove_member(context: RequestContext) -> Response:
    """Take somebody's role in this study away."""
    people.remove_member(context.site.store, context.required_field("person"), context.study, actor=context.pseudonym)
    return context.redirect(study_path(context.study, "manage"))


def revise_study(context: RequestContext) -> Response:
    """Change the definition; judgements keep the revision that they were made under."""
    text = context.form.get("text", "")
    try:
        file = parse_study(text)
        if file.definition.name != context.study:
            raise ConfigError(f"the name of a study cannot change: it is {context.study!r}")
        sync_study(context.site.store, file, actor=context.pseudonym)
    except (ConfigError, DataError) as error:
        return _render_manage(context, complaint=error, text=text)
    return context.redirect(study_path(context.study, "manage"))


def add_items(context: RequestContext) -> Response:
    """Add items, one JSON object a line."""
    definition = context.annotation_service().definition
    purpose = context.form.get("purpose", "main")
    if purpose not in ("main", "gold", "practice"):
        raise DataError("expected main, gold or practice", field="purpose")
    items = []
    for n, line in enumerate(filter(str.strip, context.form.get("lines", "").split("\n")), 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {n} is not JSON: {error}", field="lines") from error
        if not isinstance(record, dict):
            raise DataError(f"line {n} is no JSON object", field="lines")
        items.append(item_of(definition, record, purpose, "lines", n))  # type: ignore[arg-type]
    if not items:
        raise DataError("no items were given", field="lines")
    studies.add_items(context.site.store, context.study, items, actor=context.pseudonym)
    return context.redirect(study_path(context.study, "manage"))
