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
from preflab.feedback.export import FORMATS
from preflab.feedback.export import export as make_export
from preflab.web.collect.pages.results import Results, latest_results
from preflab.web.collect.request_context import RequestContext, address

_SHOWN = 200


def results(ask: RequestContext) -> Response:
    """Progress, agreement, quality and ratings, as tables and plots."""
    store, name = ask.site.store, ask.study
    found: Results = latest_results(store, name, ask.site.desk(name).definition)
    return ask.page(
        "results.html.j2",
        study=ask.site.desk(name).definition,
        state=find_study(store, name).state,
        progress=queue.progress(store, name),
        counts=judgements.counts(store, name),
        found=found,
        formats=FORMATS,
        may_manage=ask.role(name) == "owner",
    )


def log_page(ask: RequestContext) -> Response:
    """The last events of the study, and the head of the whole log."""
    with ask.site.store.reading() as connection:
        every = list(log.events(connection, study=ask.study))
        last = log.head(connection)
    kinds = Counter(found.kind for found in every)
    rows = [(found, _short(found.body)) for found in reversed(every[-_SHOWN:])]
    definition = ask.site.desk(ask.study).definition
    return ask.page("log.html.j2", study=definition, rows=rows, kinds=kinds, total=len(every), head=last)


def _short(said: dict[str, Any] | None) -> str:
    text = "erased" if said is None else json.dumps(said, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]} …"


def _one(ask: RequestContext) -> Judgement:
    seq = ask.number("seq")
    with ask.site.store.reading() as connection:
        for found in judgements.judgements_of(connection, ask.study, up_to=seq):
            if found.seq == seq:
                return found
    raise NotThere(f"study {ask.study!r} has no judgement {seq}")


def judgement(ask: RequestContext) -> Response:
    """One judgement with everything that was recorded."""
    found = _one(ask)
    said = "erased" if found.says is None else json.dumps(found.says, indent=2, sort_keys=True, ensure_ascii=False)
    study, manages = ask.site.desk(ask.study).definition, ask.role(ask.study) == "owner"
    return ask.page("judgement.html.j2", study=study, found=found, said=said, may_manage=manages)


def discard(ask: RequestContext) -> Response:
    """Take a judgement out of the count, with a reason; its slot is free again."""
    found = _one(ask)
    reason = ask.form.get("reason", "").strip()
    if not 1 <= len(reason) <= 500:
        raise DataError("say why, in 1 to 500 characters: it is kept", field="reason")
    judgements.discard(ask.site.store, seq=found.seq, actor=ask.who, reason=reason)
    return ask.go(address(ask.study, "judgements", found.seq))


def export(ask: RequestContext) -> Response:
    """The data in one format, or its manifest (``?manifest=1``)."""
    query = ask.request.query_params
    format = str(ask.request.path_params["format"])
    up_to = query.get("up_to", "")
    if up_to and not (up_to.isascii() and up_to.isdecimal() and len(up_to) < 15):
        raise DataError("expected the number of an event", field="up_to")
    made = make_export(ask.site.store, ask.study, format, weakest=_weakest(query), up_to=int(up_to) if up_to else None)
    if query.get("manifest"):
        text = json.dumps(made.manifest, indent=2, sort_keys=True, ensure_ascii=False)
        return _download(f"{ask.study}.{format}.jsonl.manifest", text + "\n", "application/json")
    return _download(made.name, made.text, "application/jsonl")


def _weakest(query: Any) -> float:
    try:
        found = float(query.get("weakest", "0"))
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise DataError("expected a number of at least 0", field="weakest")
    return found


def _download(name: str, text: str, kind: str) -> Response:
    disposition = f"attachment; filename*=UTF-8''{quote(name)}"
    return Response(text, media_type=f"{kind}; charset=utf-8", headers={"Content-Disposition": disposition})
