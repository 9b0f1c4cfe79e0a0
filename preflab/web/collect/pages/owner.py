"""What a study has gathered: progress, agreement, the people's quality, the log, exports."""

import json
import math
from collections import Counter
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from preflab.data.store import judgements, log, queue
from preflab.data.store.judgements import Judgement
from preflab.data.store.studies import find_study
from preflab.errors import DataError, NotThere
from preflab.feedback.export import FORMATS, export
from preflab.web.collect.pages.results import Results, latest_results
from preflab.web.collect.request_context import RequestContext, study_path

_MAX_EVENTS = 200


def results_page(context: RequestContext) -> Response:
    """Progress, agreement, quality and ratings, as tables and plots."""
    store, name = context.site.store, context.study
    definition = context.annotation_service().definition
    gathered: Results = latest_results(store, name, definition)
    return context.render(
        "results.html.j2",
        study=definition,
        state=find_study(store, name).state,
        progress=queue.progress(store, name),
        counts=judgements.counts(store, name),
        tables=gathered.tables,
        plots=gathered.plots,
        formats=FORMATS,
        may_manage=context.role_in(name) == "owner",
    )


def log_page(context: RequestContext) -> Response:
    """The last events of the study, and the head of the whole log."""
    with context.site.store.reading() as connection:
        events = list(log.events(connection, study=context.study))
        head = log.head(connection)
    kinds = Counter(event.kind for event in events)
    rows = [(event, _abridge(event.body)) for event in reversed(events[-_MAX_EVENTS:])]
    definition = context.annotation_service().definition
    return context.render("log.html.j2", study=definition, rows=rows, kinds=kinds, total=len(events), head=head)


def _abridge(body: dict[str, Any] | None) -> str:
    text = "erased" if body is None else json.dumps(body, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]} …"


def _find_judgement(context: RequestContext) -> Judgement:
    seq = context.path_number("seq")
    with context.site.store.reading() as connection:
        for judgement in judgements.judgements_of(connection, context.study, up_to=seq):
            if judgement.seq == seq:
                return judgement
    raise NotThere(f"study {context.study!r} has no judgement {seq}")


def judgement_page(context: RequestContext) -> Response:
    """One judgement with everything that was recorded."""
    judgement = _find_judgement(context)
    body = judgement.payload
    text = "erased" if body is None else json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False)
    study, may_manage = context.annotation_service().definition, context.role_in(context.study) == "owner"
    return context.render("judgement.html.j2", study=study, judgement=judgement, text=text, may_manage=may_manage)


def discard_judgement(context: RequestContext) -> Response:
    """Take a judgement out of the count, with a reason; its slot is free again."""
    judgement = _find_judgement(context)
    reason = context.form.get("reason", "").strip()
    if not 1 <= len(reason) <= 500:
        raise DataError("say why, in 1 to 500 characters: it is kept", field="reason")
    judgements.discard(context.site.store, seq=judgement.seq, actor=context.pseudonym, reason=reason)
    return context.redirect(study_path(context.study, "judgements", judgement.seq))


def download_export(context: RequestContext) -> Response:
    """The data in one format, or its manifest (``?manifest=1``)."""
    query = context.request.query_params
    format = str(context.request.path_params["format"])
    up_to = query.get("up_to", "")
    if up_to and not (up_to.isascii() and up_to.isdecimal() and len(up_to) < 15):
        raise DataError("expected the number of an event", field="up_to")
    last_event = int(up_to) if up_to else None
    file = export(context.site.store, context.study, format, weakest=_weakest(query), up_to=last_event)
    if query.get("manifest"):
        text = json.dumps(file.manifest, indent=2, sort_keys=True, ensure_ascii=False)
        return _download(f"{context.study}.{format}.jsonl.manifest", text + "\n", "application/json")
    return _download(file.name, file.text, "application/jsonl")


def _weakest(query: Any) -> float:
    try:
        weakest = float(query.get("weakest", "0"))
    except ValueError:
        weakest = math.nan
    if not 0 <= weakest < math.inf:
        raise DataError("expected a number of at least 0", field="weakest")
    return weakest


def _download(name: str, text: str, media_type: str) -> Response:
    disposition = f"attachment; filename*=UTF-8''{quote(name)}"
    return Response(text, media_type=f"{media_type}; charset=utf-8", headers={"Content-Disposition": disposition})
