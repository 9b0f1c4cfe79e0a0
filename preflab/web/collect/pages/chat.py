"""Talking to the policies of a study: a message, the replies as they come, the choice between them."""

from starlette.responses import Response

from preflab.errors import DataError
from preflab.web.collect.pages.task import desk_of, not_ready, task_page
from preflab.web.collect.request_context import RequestContext, address


def say(ask: RequestContext) -> Response:
    """Send a message. It is kept before anything else happens."""
    desk, slot = desk_of(ask), ask.number("slot")
    elsewhere = not_ready(ask, desk)
    if elsewhere is not None:
        return elsewhere
    fresh = bool(ask.form.get("fresh"))
    try:
        desk.say(slot, ask.field("lease"), ask.who, ask.key(), ask.form.get("message", ""), fresh=fresh)
    except DataError as error:
        screen = desk.screen(slot, ask.who)
        return task_page(ask, desk, screen, action=address(ask.study, "task", slot), complaint=error, status=422)
    return ask.go(address(ask.study, "task", slot))


def talk(ask: RequestContext) -> Response:
    """The last exchange alone, for the page to fetch while replies grow."""
    desk, slot = desk_of(ask), ask.number("slot")
    screen = desk.screen(slot, ask.who)
    return ask.page(
        "talk.html.j2",
        study=desk.definition,
        protocol=desk.definition.protocol,
        screen=screen,
        place=address(ask.study, "task", slot),
        filled={},
        key=None,
    )


def again(ask: RequestContext) -> Response:
    """Ask once more for replies that did not come."""
    slot = ask.number("slot")
    desk_of(ask).ask_again(slot, ask.who)
    return ask.go(address(ask.study, "task", slot))


def vote(ask: RequestContext) -> Response:
    """Choose between the replies; the conversation goes on from the one chosen."""
    desk, slot = desk_of(ask), ask.number("slot")
    try:
        desk.vote(slot, ask.field("lease"), ask.who, ask.key(), ask.number("turn"), ask.form)
    except DataError as error:
        screen = desk.screen(slot, ask.who)
        return task_page(ask, desk, screen, action=address(ask.study, "task", slot), complaint=error, status=422)
    return ask.go(address(ask.study, "task", slot))
