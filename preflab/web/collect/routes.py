"""The one table of pages. What is not in it cannot be reached, and nothing in it is open unless it says so."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from preflab.web.collect.pages import account, api, chat, entry, manage, openapi, owner, task
from preflab.web.collect.request_context import RequestContext

Needs = Literal["anyone", "person", "annotator", "reviewer", "owner", "site owner"]
"""Who may: anybody; somebody known; a member of the study in the address with at least that role; an owner of all."""


class _Number(Convertor[int]):
    """A number in an address, of at most 15 digits: longer ones are none of ours, and no database holds them."""

    regex = "[0-9]{1,15}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("number", _Number())


@dataclass(frozen=True, slots=True)
class Page:
    """One address and what answers there."""

    method: Literal["GET", "POST"]
    path: str
    answer: Callable[[RequestContext], Response]
    needs: Needs

    @property
    def for_programs(self) -> bool:
        """Whether an API token opens it."""
        return self.path.startswith("/api/") or "/export/" in self.path or self.path == "/healthz"


PAGES: tuple[Page, ...] = (
    Page("GET", "/healthz", entry.health, "anyone"),
    Page("GET", "/login", entry.login_form, "anyone"),
    Page("POST", "/login", entry.login, "anyone"),
    Page("GET", "/begin", entry.begin_form, "anyone"),
    Page("POST", "/begin", entry.begin, "anyone"),
    Page("GET", "/join/{secret}", entry.join_form, "anyone"),
    Page("POST", "/join/{secret}", entry.join, "anyone"),
    Page("GET", "/return/{secret}", entry.come_back_form, "anyone"),
    Page("POST", "/return/{secret}", entry.come_back, "anyone"),
    Page("GET", "/", entry.home, "person"),
    Page("POST", "/logout", entry.logout, "person"),
    Page("GET", "/account", account.show, "person"),
    Page("POST", "/account/password", account.password, "person"),
    Page("POST", "/account/link", account.link, "person"),
    Page("POST", "/account/erase", account.erase, "person"),
    Page("GET", "/s/{study}", task.intro, "annotator"),
    Page("POST", "/s/{study}/consent", task.consent, "annotator"),
    Page("POST", "/s/{study}/leave", task.leave, "annotator"),
    Page("GET", "/s/{study}/practice", task.practice, "annotator"),
    Page("POST", "/s/{study}/practice/{item:number}", task.hand_in_practice, "annotator"),
    Page("GET", "/s/{study}/next", task.next_task, "annotator"),
    Page("GET", "/s/{study}/task/{slot:number}", task.show, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}", task.hand_in, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}/keep", task.keep, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}/skip", task.skip, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}/say", chat.say, "annotator"),
    Page("GET", "/s/{study}/task/{slot:number}/talk", chat.talk, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}/again", chat.again, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}/vote/{turn:number}", chat.vote, "annotator"),
    Page("GET", "/s/{study}/film/{film}", task.film, "annotator"),
    Page("GET", "/s/{study}/history", task.history, "annotator"),
    Page("POST", "/s/{study}/history/{seq:number}/undo", task.undo, "annotator"),
    Page("GET", "/s/{study}/results", owner.results, "reviewer"),
    Page("GET", "/s/{study}/log", owner.log_page, "reviewer"),
    Page("GET", "/s/{study}/judgements/{seq:number}", owner.judgement, "reviewer"),
    Page("GET", "/s/{study}/export/{format}", owner.export, "reviewer"),
    Page("GET", "/s/{study}/manage", manage.show, "owner"),
    Page("POST", "/s/{study}/manage/state", manage.state, "owner"),
    Page("POST", "/s/{study}/manage/invite", manage.invite, "owner"),
    Page("POST", "/s/{study}/manage/revoke", manage.revoke, "owner"),
    Page("POST", "/s/{study}/manage/remove", manage.remove, "owner"),
    Page("POST", "/s/{study}/manage/revise", manage.revise, "owner"),
    Page("POST", "/s/{study}/manage/items", manage.items, "owner"),
    Page("POST", "/s/{study}/judgements/{seq:number}/discard", owner.discard, "owner"),
    Page("GET", "/new", manage.new_form, "site owner"),
    Page("POST", "/new", manage.new, "site owner"),
    Page("GET", "/api/openapi.json", openapi.describe, "person"),
    Page("GET", "/api/studies", api.studies, "person"),
    Page("GET", "/api/studies/{study}", api.study, "reviewer"),
    Page("GET", "/api/studies/{study}/judgements", api.judgements, "reviewer"),
    Page("POST", "/api/studies/{study}/items", api.add_items, "owner"),
    Page("POST", "/api/tokens", api.new_token, "site owner"),
)
