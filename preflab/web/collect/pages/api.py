"""For programs: JSON in, JSON out, with ``Authorization: Bearer TOKEN``."""

import json
from typing import Any, cast

import anyio.from_thread
from starlette.responses import JSONResponse, Response

from preflab.data.store import judgements as store_judgements
from preflab.data.store import people, queue
from preflab.data.store.studies import add_items as store_items
from preflab.data.store.studies import find_study, list_studies
from preflab.errors import DataError
from preflab.feedback.study import item_of
from preflab.web.collect.request_context import RequestContext

_MOST = 1000


def studies(ask: RequestContext) -> Response:
    """The studies that the token's person is in."""
    rows = []
    for found in list_studies(ask.site.store):
        role = ask.role(found.name)
        if role is not None:
            rows.append({"name": found.name, "state": found.state, "revision": found.revision, "role": role})
    return JSONResponse({"studies": rows})


def study(ask: RequestContext) -> Response:
    """Definition, progress and counts of a study."""
    found = find_study(ask.site.store, ask.study)
    done = queue.progress(ask.site.store, ask.study)
    counts = store_judgements.counts(ask.site.store, ask.study)
    told = {"name": found.name, "state": found.state, "revision": found.revision, "definition": found.definition}
    slots = {name: getattr(done, name) for name in ("slots", "filled", "held", "free")}
    return JSONResponse({**told, "progress": slots, "judgements": counts})


def judgements(ask: RequestContext) -> Response:
    """Judgements after a number, at most 1,000 at a time."""
    after = _whole(ask, "after", 0)
    limit = min(_whole(ask, "limit", 100), _MOST)
    rows: list[dict[str, Any]] = []
    with ask.site.store.reading() as connection:
        for found in store_judgements.judgements_of(connection, ask.study):
            if found.seq > after and len(rows) < limit:
                kept = ("seq", "item_name", "part", "person", "status", "supersedes", "at", "says")
                rows.append({name: getattr(found, name) for name in kept})
    return JSONResponse({"judgements": rows, "next": rows[-1]["seq"] if rows else after})


def _whole(ask: RequestContext, name: str, default: int) -> int:
    text = ask.request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal()) or len(text) > 12:
        raise DataError(f"expected a whole number, got {text!r:.20}", field=name)
    return int(text)


def add_items(ask: RequestContext) -> Response:
    """Add items: ``{"items": [...], "purpose": "main"}``."""
    told = _body(ask)
    records, purpose = told.get("items"), told.get("purpose", "main")
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise DataError("expected a list of items", field="items")
    if purpose not in ("main", "gold", "practice"):
        raise DataError("expected main, gold or practice", field="purpose")
    definition = ask.site.desk(ask.study).definition
    found = [item_of(definition, record, purpose, "items", n) for n, record in enumerate(records)]
    return JSONResponse({"added": store_items(ask.site.store, ask.study, found, actor=ask.who)}, 201)


def _body(ask: RequestContext) -> dict[str, Any]:
    content = anyio.from_thread.run(ask.request.body)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError("expected JSON", field="body") from error
    if not isinstance(found, dict):
        raise DataError("expected a JSON object", field="body")
    return found


def new_token(ask: RequestContext) -> Response:
    """An API token: ``{"study": "...", "role": "reviewer", "days": 30}``; shown this once."""
    told = _body(ask)
    study, role, days = told.get("study", people.EVERY), told.get("role", "reviewer"), told.get("days", 30)
    if not isinstance(study, str) or not isinstance(role, str) or role not in people.RANK:
        raise DataError(f"expected a study and one of {', '.join(people.RANK)}", field="role")
    if isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days <= 365:
        raise DataError("expected a number of days up to 365", field="days")
    if study != people.EVERY:
        find_study(ask.site.store, study)
    secret = people.issue_token(
        ask.site.store,
        "api",
        study=study,
        role=cast(people.Role, role),
        who=ask.who,
        days=float(days),
        actor=ask.who,
    )
    return JSONResponse({"token": secret}, 201)
