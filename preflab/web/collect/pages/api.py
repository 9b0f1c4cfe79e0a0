"""For programs: JSON in, JSON out, with ``Authorization: Bearer TOKEN``."""

import json
from typing import Any, cast

import anyio.from_thread
from starlette.responses import JSONResponse, Response

from preflab.data.store import judgements as store_judgements
from preflab.data.store import people, queue
from preflab.data.store import studies as store_studies
from preflab.errors import DataError
from preflab.feedback.study import item_of
from preflab.web.collect.request_context import RequestContext

_MAX_JUDGEMENTS = 1000
_JUDGEMENT_FIELDS = ("seq", "item_name", "part", "person", "status", "supersedes", "at")


def get_studies(context: RequestContext) -> Response:
    """The studies that the token's person is in."""
    rows = []
    for study in store_studies.list_studies(context.site.store):
        role = context.role_in(study.name)
        if role is not None:
            rows.append({"name": study.name, "state": study.state, "revision": study.revision, "role": role})
    return JSONResponse({"studies": rows})


def get_study(context: RequestContext) -> Response:
    """Definition, progress and counts of a study."""
    study = store_studies.find_study(context.site.store, context.study)
    progress = queue.progress(context.site.store, context.study)
    counts = store_judgements.counts(context.site.store, context.study)
    fields = {"name": study.name, "state": study.state, "revision": study.revision, "definition": study.definition}
    slots = {name: getattr(progress, name) for name in ("slots", "filled", "held", "free")}
    return JSONResponse({**fields, "progress": slots, "judgements": counts})


def get_judgements(context: RequestContext) -> Response:
    """Judgements after a number, at most 1,000 at a time."""
    after = _query_int(context, "after", 0)
    limit = min(_query_int(context, "limit", 100), _MAX_JUDGEMENTS)
    rows: list[dict[str, Any]] = []
    with context.site.store.reading() as connection:
        for judgement in store_judgements.judgements_of(connection, context.study):
            if judgement.seq > after and len(rows) < limit:
                row = {name: getattr(judgement, name) for name in _JUDGEMENT_FIELDS}
                rows.append(row | {"says": judgement.payload})
    return JSONResponse({"judgements": rows, "next": rows[-1]["seq"] if rows else after})


def _query_int(context: RequestContext, name: str, default: int) -> int:
    text = context.request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal()) or len(text) > 12:
        raise DataError(f"expected a whole number, got {text!r:.20}", field=name)
    return int(text)


def post_items(context: RequestContext) -> Response:
    """Add items: ``{"items": [...], "purpose": "main"}``."""
    body = _json_body(context)
    records, purpose = body.get("items"), body.get("purpose", "main")
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise DataError("expected a list of items", field="items")
    if purpose not in ("main", "gold", "practice"):
        raise DataError("expected main, gold or practice", field="purpose")
    definition = context.site.annotation_service(context.study).definition
    items = [item_of(definition, record, purpose, "items", n) for n, record in enumerate(records)]
    added = store_studies.add_items(context.site.store, context.study, items, actor=context.pseudonym)
    return JSONResponse({"added": added}, 201)


def _json_body(context: RequestContext) -> dict[str, Any]:
    content = anyio.from_thread.run(context.request.body)
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError("expected JSON", field="body") from error
    if not isinstance(body, dict):
        raise DataError("expected a JSON object", field="body")
    return body


def post_token(context: RequestContext) -> Response:
    """An API token: ``{"study": "...", "role": "reviewer", "days": 30}``; shown this once."""
    body = _json_body(context)
    study, role, days = body.get("study", people.EVERY), body.get("role", "reviewer"), body.get("days", 30)
    if not isinstance(study, str) or not isinstance(role, str) or role not in people.RANK:
        raise DataError(f"expected a study and one of {', '.join(people.RANK)}", field="role")
    if isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days <= 365:
        raise DataError("expected a number of days up to 365", field="days")
    if study != people.EVERY:
        store_studies.find_study(context.site.store, study)
    secret = people.issue_token(
        context.site.store,
        "api",
        study=study,
        role=cast(people.Role, role),
        pseudonym=context.pseudonym,
        days=float(days),
        actor=context.pseudonym,
    )
    return JSONResponse({"token": secret}, 201)
