"""Talking to the policies of a study: a message, the replies as they come, the choice between them."""

from starlette.responses import Response

from preflab.errors import DataError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.web.collect.pages.task import redirect_unready, render_task
from preflab.web.collect.request_context import RequestContext, study_path


def send_message(context: RequestContext) -> Response:
    """Send a message. It is kept before anything else happens."""
    service, slot = context.annotation_service(), context.path_number("slot")
    redirect = redirect_unready(context, service)
    if redirect is not None:
        return redirect
    lease, key, text = context.required_field("lease"), context.idempotency_key(), context.form.get("message", "")
    try:
        service.conversation.send(slot, lease, context.pseudonym, key, text, fresh=bool(context.form.get("fresh")))
    except DataError as error:
        return _render_again(context, service, slot, error)
    return context.redirect(study_path(context.study, "task", slot))


def _render_again(context: RequestContext, service: AnnotationService, slot: int, complaint: DataError) -> Response:
    """The task's page as it was filled in, with what is wrong."""
    task, action = service.view(slot, context.pseudonym), study_path(context.study, "task", slot)
    return render_task(context, service, task, action=action, complaint=complaint)


def latest_exchange(context: RequestContext) -> Response:
    """The last exchange alone, for the page to fetch while replies grow."""
    service, slot = context.annotation_service(), context.path_number("slot")
    task = service.view(slot, context.pseudonym)
    return context.render(
        "talk.html.j2",
        study=service.definition,
        protocol=service.definition.protocol,
        task=task,
        task_path=study_path(context.study, "task", slot),
        filled={},
        key=None,
    )


def retry_replies(context: RequestContext) -> Response:
    """Ask the policies once more for replies that did not come."""
    slot = context.path_number("slot")
    context.annotation_service().conversation.retry(slot, context.pseudonym)
    return context.redirect(study_path(context.study, "task", slot))


def submit_vote(context: RequestContext) -> Response:
    """Choose between the replies; the conversation goes on from the one chosen."""
    service, slot = context.annotation_service(), context.path_number("slot")
    lease, key, turn = context.required_field("lease"), context.idempotency_key(), context.path_number("turn")
    try:
        service.conversation.vote(slot, lease, context.pseudonym, key, turn, context.form)
    except DataError as error:
        return _render_again(context, service, slot, error)
    return context.redirect(study_path(context.study, "task", slot))
