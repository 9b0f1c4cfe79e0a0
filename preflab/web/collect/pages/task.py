"""Judging: the way into a study, practice, the task, one's history."""

from starlette.responses import JSONResponse, Response

from preflab.data.store import judgements, people
from preflab.data.store.studies import find_study
from preflab.errors import DataError, LeaseLost, NotThere, StoreError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.annotation.task_view import TaskView
from preflab.feedback.study import StudyDefinition
from preflab.feedback.video_store import KINDS
from preflab.web.collect.request_context import RequestContext, study_path


def _membership(context: RequestContext) -> people.Member | None:
    members = people.memberships(context.site.store, context.pseudonym)
    return next((member for member in members if member.study == context.study), None)


def _takes_part(member: people.Member | None) -> bool:
    """Whether somebody agreed to a consent text and has not left since."""
    return member is not None and member.consented is not None and member.opted_out is None


def _consent_is_current(service: AnnotationService, member: people.Member | None) -> bool:
    """Whether somebody takes part, having agreed to the consent text as it reads now."""
    if member is None or member.consented is None or not _takes_part(member):
        return False
    return service.definition.consent == service.consent_of(member.consented)


def redirect_unready(context: RequestContext, service: AnnotationService) -> Response | None:
    """To the consent text or to practice, whichever must come before tasks; None when they may begin."""
    if not _consent_is_current(service, _membership(context)):
        return context.redirect(study_path(context.study))
    if service.practice.next_item(context.pseudonym) is not None:
        return context.redirect(study_path(context.study, "practice"))
    return None


def introduction_page(context: RequestContext) -> Response:
    """Instructions, warning and consent; afterwards the door to the tasks."""
    service = context.annotation_service()
    study = find_study(context.site.store, context.study)
    agreed = _consent_is_current(service, _membership(context))
    role = context.role_in(context.study)
    return context.render("intro.html.j2", study=service.definition, state=study.state, agreed=agreed, role=role)


def give_consent(context: RequestContext) -> Response:
    """Agree, having read the warning where there is one."""
    definition = context.annotation_service().definition
    for field, required in (("agree", True), ("warned", bool(definition.warning))):
        if required and not context.form.get(field):
            raise DataError("please tick the box, or leave the study", field=field)
    revision = find_study(context.site.store, context.study).revision
    people.consent(context.site.store, context.pseudonym, context.study, revision, definition.consent)
    return context.redirect(study_path(context.study, "next"))


def leave_study(context: RequestContext) -> Response:
    """Opt out: no more tasks of this study."""
    people.opt_out(context.site.store, context.pseudonym, context.study)
    return context.redirect("/")


# practice ------------------------------------------------------------------------------------------------


def practice_page(context: RequestContext) -> Response:
    """The next practice item."""
    service = context.annotation_service()
    if not _takes_part(_membership(context)):
        return context.redirect(study_path(context.study))
    return _render_practice(context, service)


def _render_practice(
    context: RequestContext, service: AnnotationService, complaint: DataError | None = None
) -> Response:
    """The page of the next practice item; the tasks, when none is left."""
    item = service.practice.next_item(context.pseudonym)
    if item is None:
        return context.redirect(study_path(context.study, "next"))
    task, action = service.practice.view(item, context.pseudonym), study_path(context.study, "practice", item.id)
    return render_task(context, service, task, action=action, complaint=complaint)


def submit_practice(context: RequestContext) -> Response:
    """Judge a practice item and be told whether it was right."""
    service, item = context.annotation_service(), context.path_number("item")
    try:
        feedback = service.practice.submit(item, context.pseudonym, context.idempotency_key(), context.form)
    except DataError as error:
        if error.field in ("item", "key"):
            raise
        return _render_practice(context, service, error)
    next_path = study_path(context.study, "practice")
    return context.render("feedback.html.j2", study=service.definition, feedback=feedback, next_path=next_path)


# tasks ---------------------------------------------------------------------------------------------------


def next_task(context: RequestContext) -> Response:
    """To the task in hand or the next one."""
    service = context.annotation_service()
    redirect = redirect_unready(context, service)
    if redirect is not None:
        return redirect
    study = service.definition
    try:
        task = service.next_task(context.pseudonym)
    except StoreError as error:
        return context.render("nothing.html.j2", study=study, message=str(error))
    if task is not None:
        return context.redirect(study_path(context.study, "task", task.slot))
    if getattr(study.protocol, "growing", False):
        message = "You have judged all there is. More may come; this page looks again every few seconds."
        retry_path = study_path(context.study, "next")
        return context.render("nothing.html.j2", study=study, message=message, retry_path=retry_path)
    message = "There is nothing left for you in this study. Thank you!"
    return context.render("nothing.html.j2", study=study, message=message)


def task_page(context: RequestContext) -> Response:
    """A task in hand, or that it is done."""
    service = context.annotation_service()
    redirect = redirect_unready(context, service)
    if redirect is not None:
        return redirect
    slot = context.path_number("slot")
    try:
        task = service.view(slot, context.pseudonym)
    except LeaseLost:
        message = "This task was handed to somebody else, because its time was over. What you sent is kept."
        return context.render("nothing.html.j2", 409, study=service.definition, message=message)
    if service.is_finished(slot):
        return context.render("done.html.j2", study=service.definition, feedback=None, slot=slot)
    return render_task(context, service, task, action=study_path(context.study, "task", slot))


def render_task(
    context: RequestContext,
    service: AnnotationService,
    task: TaskView,
    *,
    action: str,
    complaint: DataError | None = None,
) -> Response:
    """The page of the study's protocol; after a complaint (status 422), with everything that was filled in."""
    definition: StudyDefinition = service.definition
    shows_films = "films" in task.content and not task.practice
    return context.render(
        definition.protocol.template,
        200 if complaint is None else 422,
        study=definition,
        protocol=definition.protocol,
        task=task,
        action=action,
        key=context.form.get("key") if complaint is not None and context.form.get("key") else None,
        filled=dict(context.form) if complaint is not None and complaint.field != "terms" else {},
        complaint=complaint,
        seconds_left=service.seconds_left(task),
        left_ms=max(0, task.expires - context.site.store.clock()),
        task_path=study_path(context.study, "task", task.slot),
        film_path=study_path(context.study, "film"),
        next_films=service.peek(context.pseudonym).get("films", []) if shows_films else [],
    )


def serve_film(context: RequestContext) -> Response:
    """A film, under the hash of its bytes: a browser may keep it, for it never changes.

    Raises:
        NotThere: the film is missing, or this site has no films.
        VideoDamaged: its bytes are not those it is named by.
    """
    videos, name = context.site.video_store, str(context.request.path_params["film"])
    if videos is None:
        raise NotThere("this site has no films; start it with --films FOLDER")
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(videos.read(name), headers=headers, media_type=KINDS[name.rpartition(".")[2]])


def submit_judgement(context: RequestContext) -> Response:
    """Hand in the judgement that completes the task. A form that is not whole comes back as it was filled in."""
    service, slot = context.annotation_service(), context.path_number("slot")
    lease, key = context.required_field("lease"), context.idempotency_key()
    try:
        feedback = service.submit(slot, lease, context.pseudonym, key, context.form)
    except DataError as error:
        task, action = service.view(slot, context.pseudonym), study_path(context.study, "task", slot)
        return render_task(context, service, task, action=action, complaint=error)
    if feedback.receipt.status == "late" or feedback.right is not None or feedback.text:
        return context.render("done.html.j2", study=service.definition, feedback=feedback, slot=slot)
    return context.redirect(study_path(context.study, "next"))


def renew_lease(context: RequestContext) -> Response:
    """The page is still being worked on: hold the task."""
    until = context.annotation_service().renew_lease(context.path_number("slot"), context.pseudonym)
    return JSONResponse({"left_ms": until - context.site.store.clock()})


def put_back_task(context: RequestContext) -> Response:
    """Put the task back; somebody else will get it."""
    context.annotation_service().give_back(context.path_number("slot"), context.pseudonym)
    return context.redirect(study_path(context.study))


# history -------------------------------------------------------------------------------------------------


def history_page(context: RequestContext) -> Response:
    """One's own judgements, newest first, and which of them can still be undone."""
    service = context.annotation_service()
    return context.render("history.html.j2", study=service.definition, rows=service.history(context.pseudonym))


def undo_judgement(context: RequestContext) -> Response:
    """Take back a judgement while its lease runs; the task is in hand again."""
    judgements.withdraw(context.site.store, seq=context.path_number("seq"), person=context.pseudonym)
    return context.redirect(study_path(context.study, "next"))
