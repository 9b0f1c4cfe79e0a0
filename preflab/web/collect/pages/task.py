"""Judging: the way into a study, practice, the task, one's history."""

from starlette.responses import JSONResponse, Response

from preflab.data.store import judgements, people
from preflab.data.store.studies import find_study
from preflab.errors import DataError, LeaseLost, NotThere, StoreError
from preflab.feedback.annotation_service import AnnotationService
from preflab.feedback.study import StudyDefinition
from preflab.feedback.task_view import TaskView
from preflab.feedback.video_store import KINDS
from preflab.web.collect.request_context import RequestContext, address

TEMPLATE = {
    "rank": "rank.html.j2",
    "chat": "chat.html.j2",
    "rule-probe": "chat.html.j2",
    "rule-judge": "rule_judge.html.j2",
    "questions": "questions.html.j2",
    "clips": "clips.html.j2",
}


def desk_of(ask: RequestContext) -> AnnotationService:
    """The study in the address, open for judging."""
    return ask.site.desk(ask.study)


def _member(ask: RequestContext) -> people.Member | None:
    return next((found for found in people.memberships(ask.site.store, ask.who) if found.study == ask.study), None)


def not_ready(ask: RequestContext, desk: AnnotationService) -> Response | None:
    """Where somebody must go before tasks: to the consent text, or to practice; None when they may begin."""
    own = _member(ask)
    if own is None or own.consented is None or own.opted_out is not None:
        return ask.go(address(ask.study))
    if desk.definition.consent != desk.consent_of(own.consented):
        return ask.go(address(ask.study))
    return ask.go(address(ask.study, "practice")) if desk.practice_left(ask.who) is not None else None


def intro(ask: RequestContext) -> Response:
    """Instructions, warning and consent; afterwards the door to the tasks."""
    desk, own = desk_of(ask), _member(ask)
    study = find_study(ask.site.store, ask.study)
    agreed = own is not None and own.consented is not None and own.opted_out is None
    if agreed and own is not None and own.consented is not None:
        agreed = desk.definition.consent == desk.consent_of(own.consented)
    role = ask.role(ask.study)
    return ask.page("intro.html.j2", study=desk.definition, state=study.state, agreed=agreed, role=role)


def consent(ask: RequestContext) -> Response:
    """Agree, having read the warning where there is one."""
    desk = desk_of(ask)
    for field, needed in (("agree", True), ("warned", bool(desk.definition.warning))):
        if needed and not ask.form.get(field):
            raise DataError("please tick the box, or leave the study", field=field)
    revision = find_study(ask.site.store, ask.study).revision
    people.consent(ask.site.store, ask.who, ask.study, revision, desk.definition.consent)
    return ask.go(address(ask.study, "next"))


def leave(ask: RequestContext) -> Response:
    """Opt out: no more tasks of this study."""
    people.opt_out(ask.site.store, ask.who, ask.study)
    return ask.go("/")


# practice ------------------------------------------------------------------------------------------------


def practice(ask: RequestContext) -> Response:
    """The next practice item."""
    desk = desk_of(ask)
    own = _member(ask)
    if own is None or own.consented is None or own.opted_out is not None:
        return ask.go(address(ask.study))
    item = desk.practice_left(ask.who)
    if item is None:
        return ask.go(address(ask.study, "next"))
    action = address(ask.study, "practice", item.id)
    return task_page(ask, desk, desk.practice_screen(item, ask.who), action=action)


def hand_in_practice(ask: RequestContext) -> Response:
    """Judge a practice item and be told whether it was right."""
    desk = desk_of(ask)
    item = ask.number("item")
    try:
        told = desk.hand_in_practice(item, ask.who, ask.key(), ask.form)
    except DataError as error:
        if error.field in ("item", "key"):
            raise
        found = desk.practice_left(ask.who)
        if found is None:
            return ask.go(address(ask.study, "next"))
        action = address(ask.study, "practice", found.id)
        screen = desk.practice_screen(found, ask.who)
        return task_page(ask, desk, screen, action=action, complaint=error, status=422)
    return ask.page("feedback.html.j2", study=desk.definition, told=told, again=address(ask.study, "practice"))


# tasks ---------------------------------------------------------------------------------------------------


def next_task(ask: RequestContext) -> Response:
    """The task in hand or the next one."""
    desk = desk_of(ask)
    elsewhere = not_ready(ask, desk)
    if elsewhere is not None:
        return elsewhere
    try:
        screen = desk.next_task(ask.who)
    except StoreError as error:
        return ask.page("nothing.html.j2", study=desk.definition, message=str(error))
    if screen is None:
        if getattr(desk.definition.protocol, "growing", False):
            message = "You have judged all there is. More may come; this page looks again every few seconds."
            return ask.page("nothing.html.j2", study=desk.definition, message=message, again=address(ask.study, "next"))
        message = "There is nothing left for you in this study. Thank you!"
        return ask.page("nothing.html.j2", study=desk.definition, message=message)
    return ask.go(address(ask.study, "task", screen.slot))


def show(ask: RequestContext) -> Response:
    """A task."""
    desk = desk_of(ask)
    elsewhere = not_ready(ask, desk)
    if elsewhere is not None:
        return elsewhere
    slot = ask.number("slot")
    try:
        screen = desk.screen(slot, ask.who)
    except LeaseLost:
        message = "This task was handed to somebody else, because its time was over. What you sent is kept."
        return ask.page("nothing.html.j2", 409, study=desk.definition, message=message)
    if desk.finished(slot):
        return ask.page("done.html.j2", study=desk.definition, told=None, slot=slot)
    return task_page(ask, desk, screen, action=address(ask.study, "task", slot))


def task_page(
    ask: RequestContext,
    desk: AnnotationService,
    screen: TaskView,
    *,
    action: str,
    complaint: DataError | None = None,
    status: int = 200,
) -> Response:
    """The page of the study's protocol; after a complaint, with everything that was filled in."""
    definition: StudyDefinition = desk.definition
    return ask.page(
        TEMPLATE[definition.protocol.name],
        status,
        study=definition,
        protocol=definition.protocol,
        screen=screen,
        action=action,
        key=ask.form.get("key") if complaint is not None and ask.form.get("key") else None,
        filled=dict(ask.form) if complaint is not None and complaint.field != "terms" else {},
        complaint=complaint,
        seconds_left=desk.seconds_left(screen),
        left_ms=max(0, screen.expires - ask.site.store.clock()),
        place=address(ask.study, "task", screen.slot),
        films=address(ask.study, "film"),
        coming=[] if screen.practice or "films" not in screen.content else desk.coming(ask.who).get("films", []),
    )


def film(ask: RequestContext) -> Response:
    """A film, under the hash of its bytes: a browser may keep it, for it never changes.

    Raises:
        NotThere: the film is missing, or this site has no films.
        FilmDamaged: its bytes are not those it is named by.
    """
    shelf, name = ask.site.films, str(ask.request.path_params["film"])
    if shelf is None:
        raise NotThere("this site has no films; start it with --films FOLDER")
    kept = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(shelf.read(name), headers=kept, media_type=KINDS[name.rpartition(".")[2]])


def hand_in(ask: RequestContext) -> Response:
    """Hand in the judgement that completes the task. A form that is not whole comes back as it was filled in."""
    desk, slot = desk_of(ask), ask.number("slot")
    try:
        told = desk.hand_in(slot, ask.field("lease"), ask.who, ask.key(), ask.form)
    except DataError as error:
        screen = desk.screen(slot, ask.who)
        return task_page(ask, desk, screen, action=address(ask.study, "task", slot), complaint=error, status=422)
    if told.receipt.status == "late" or told.right is not None or told.text:
        return ask.page("done.html.j2", study=desk.definition, told=told, slot=slot)
    return ask.go(address(ask.study, "next"))


def keep(ask: RequestContext) -> Response:
    """The page is still being worked on: hold the task."""
    until = desk_of(ask).keep(ask.number("slot"), ask.who)
    return JSONResponse({"left_ms": until - ask.site.store.clock()})


def skip(ask: RequestContext) -> Response:
    """Put the task back; somebody else will get it."""
    desk_of(ask).give_back(ask.number("slot"), ask.who)
    return ask.go(address(ask.study))


# history -------------------------------------------------------------------------------------------------


def history(ask: RequestContext) -> Response:
    """One's own judgements, newest first, and which of them can still be undone."""
    desk = desk_of(ask)
    return ask.page("history.html.j2", study=desk.definition, rows=desk.history(ask.who))


def undo(ask: RequestContext) -> Response:
    """Take back a judgement while its lease runs; the task is in hand again."""
    judgements.withdraw(ask.site.store, seq=ask.number("seq"), person=ask.who)
    return ask.go(address(ask.study, "next"))
