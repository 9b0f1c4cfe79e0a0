"""What owners do: make a study, invite, pause, revise, add items."""

from typing import Any

from starlette.responses import Response

from preflab.data.store import conversation, people, queue, studies
from preflab.errors import ConfigError, DataError, NotThere, PreflabError
from preflab.feedback.study import parse_study
from preflab.feedback.sync_study import sync_study
from preflab.web.collect.pages.examples import EXAMPLES
from preflab.web.collect.request_context import RequestContext, address

_LONGEST_INVITE_DAYS = 90.0


def new_form(ask: RequestContext) -> Response:
    """A study from YAML, or from one of the examples."""
    chosen = ask.request.query_params.get("example", "rank")
    text = EXAMPLES.get(chosen, EXAMPLES["rank"])
    return ask.page("new.html.j2", text=text, complaint=None, examples=list(EXAMPLES))


def new(ask: RequestContext) -> Response:
    """Make the study, or show what is wrong with it."""
    text = ask.form.get("text", "")
    try:
        file = parse_study(text)
        if any(found.name == file.definition.name for found in studies.list_studies(ask.site.store)):
            raise ConfigError(f"there is a study {file.definition.name!r} already; change it under Manage")
        sync_study(ask.site.store, file, actor=ask.who)
    except (ConfigError, DataError) as error:
        return ask.page("new.html.j2", 422, text=text, complaint=error, examples=list(EXAMPLES))
    return ask.go(address(file.definition.name, "manage"))


def show(
    ask: RequestContext, *, link: str = "", complaint: PreflabError | None = None, text: str | None = None
) -> Response:
    """State, progress, members, invitations, definition."""
    store, name = ask.site.store, ask.study
    found = studies.find_study(store, name)
    told = ask.site.desk(name).definition.to_json()
    definition = _as_yaml({"name": told.pop("name"), **told})
    invites = [one for one in people.tokens_of(store, name, "invite") if one.revoked is None]
    return ask.page(
        "manage.html.j2",
        200 if complaint is None else 422,
        study=ask.site.desk(name).definition,
        found=found,
        progress=queue.progress(store, name),
        members=people.members_of(store, name),
        invites=[one for one in invites if one.expires > store.clock()],
        link=link,
        complaint=complaint,
        text=text or definition,
        roles=list(people.RANK),
        policies=conversation.policy_states(store, name),
    )


def _as_yaml(told: dict[str, Any]) -> str:
    """A definition as a person would write it: texts of several lines as such."""
    import yaml

    class Plain(yaml.SafeDumper):
        """A dumper of our own, so that nobody else's changes."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Plain.add_representer(str, text)
    return str(yaml.dump(told, Dumper=Plain, sort_keys=False, allow_unicode=True))


def state(ask: RequestContext) -> Response:
    """Open, pause or close the study."""
    wanted = ask.field("state")
    if wanted not in ("open", "paused", "closed"):
        raise DataError("expected open, paused or closed", field="state")
    studies.set_state(ask.site.store, ask.study, wanted, actor=ask.who)  # type: ignore[arg-type]
    return ask.go(address(ask.study, "manage"))


def invite(ask: RequestContext) -> Response:
    """A link that lets people in; it is shown this once."""
    role = ask.form.get("role", "annotator")
    if role not in people.RANK:
        raise DataError(f"expected one of {', '.join(people.RANK)}", field="role")
    uses, days = _number(ask, "uses", 1.0, 10_000.0), _number(ask, "days", 1.0, _LONGEST_INVITE_DAYS)
    secret = people.issue_token(
        ask.site.store,
        "invite",
        study=ask.study,
        role=role,  # type: ignore[arg-type]
        days=days,
        uses=int(uses),
        note=ask.form.get("note", ""),
        actor=ask.who,
    )
    return show(ask, link=ask.link(f"/join/{secret}"))


def _number(ask: RequestContext, field: str, low: float, high: float) -> float:
    try:
        found = float(ask.form.get(field, "") or low)
    except ValueError:
        found = low - 1
    if not low <= found <= high:
        raise DataError(f"expected a number from {low:g} to {high:g}", field=field)
    return found


def revoke(ask: RequestContext) -> Response:
    """End an invitation of this study."""
    own = {one.hash for one in people.tokens_of(ask.site.store, ask.study, "invite")}
    if ask.field("token") not in own:
        raise NotThere("this study has no such invitation")
    people.revoke(ask.site.store, ask.field("token"), actor=ask.who)
    return ask.go(address(ask.study, "manage"))


def remove(ask: RequestContext) -> Response:
    """Take somebody's role in this study away."""
    people.remove_member(ask.site.store, ask.field("person"), ask.study, actor=ask.who)
    return ask.go(address(ask.study, "manage"))


def revise(ask: RequestContext) -> Response:
    """Change the definition; judgements keep the revision that they were made under."""
    text = ask.form.get("text", "")
    try:
        file = parse_study(text)
        if file.definition.name != ask.study:
            raise ConfigError(f"the name of a study cannot change: it is {ask.study!r}")
        sync_study(ask.site.store, file, actor=ask.who)
    except (ConfigError, DataError) as error:
        return show(ask, complaint=error, text=text)
    return ask.go(address(ask.study, "manage"))


def items(ask: RequestContext) -> Response:
    """Add items, one JSON object a line."""
    import json

    from preflab.feedback.study import item_of

    definition = ask.site.desk(ask.study).definition
    purpose = ask.form.get("purpose", "main")
    if purpose not in ("main", "gold", "practice"):
        raise DataError("expected main, gold or practice", field="purpose")
    found = []
    for n, line in enumerate(filter(str.strip, ask.form.get("lines", "").split("\n")), 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {n} is not JSON: {error}", field="lines") from error
        if not isinstance(record, dict):
            raise DataError(f"line {n} is no JSON object", field="lines")
        found.append(item_of(definition, record, purpose, "lines", n))  # type: ignore[arg-type]
    if not found:
        raise DataError("no items were given", field="lines")
    studies.add_items(ask.site.store, ask.study, found, actor=ask.who)
    return ask.go(address(ask.study, "manage"))
