"""The one table of pages. What is not in it cannot be reached, and nothing in it is open unless it says so."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from preflab.web.collect.pages import account, api, chat, entry, manage, openapi, owner, task
from preflab.web.collect.request_context import RequestContext

Access = Literal["anyone", "person", "annotator", "reviewer", "owner", "site owner"]
"""Who may open a page: anybody; who is logged in; a member of the study with at least that role; the site's owners."""


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
    """One address and the handler that answers there."""

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[RequestContext], Response]
    access: Access

    @property
    def accepts_token(self) -> bool:
        """Whether an API token opens it."""
        return self.path.startswith("/api/") or "/export/" in self.path or self.path == "/healthz"


PAGES: tuple[Page, ...] = (
    Page("GET", "/healthz", entry.health_check, "anyone"),
    Page("GET", "/login", entry.login_page, "anyone"),
    Page("POST", "/login", entry.log_in, "anyone"),
    Page("GET", "/begin", entry.first_owner_page, "anyone"),
    Page("POST", "/begin", entry.create_first_owner, "anyone"),
    Page("GET", "/join/{secret}", entry.invitation_page, "anyone"),
    Page("POST", "/join/{secret}", entry.accept_invitation, "anyone"),
    Page("GET", "/return/{secret}", entry.personal_link_page, "anyone"),
    Page("POST", "/return/{secret}", entry.log_in_by_link, "anyone"),
    Page("GET", "/", entry.home_page, "person"),
    Page("POST", "/logout", entry.log_out, "person"),
    Page("GET", "/account", account.account_page, "person"),
    Page("POST", "/account/password", account.change_password, "person"),
    Page("POST", "/account/link", account.make_personal_link, "person"),
    Page("POST", "/account/erase", account.erase_account, "person"),
    Page("GET", "/s/{study}", task.introduction_page, "annotator"),
    Page("POST", "/s/{study}/consent", task.give_consent, "annotator"),
    Page("POST", "/s/{study}/leave", task.leave_study, "annotator"),
    Page("GET", "/s/{study}/practice", task.practice_page, "annotator"),
    Page("POST", "/s/{study}/practice/{item:number}", task.submit_practice, "annotator"),
    Page("GET", "/s/{study}/next", task.next_task, "annotator"),
    Page("GET", "/s/{study}/task/{slot:number}", task.task_page, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}", task.submit_judgement, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}/keep", task.renew_lease, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}/skip", task.put_back_task, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}/say", chat.send_message, "annotator"),
    Page("GET", "/s/{study}/task/{slot:number}/talk", chat.latest_exchange, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}/again", chat.retry_replies, "annotator"),
    Page("POST", "/s/{study}/task/{slot:number}/vote/{turn:number}", chat.submit_vote, "annotator"),
    Page("GET", "/s/{study}/film/{film}", task.serve_film, "annotator"),
    Page("GET", "/s/{study}/history", task.history_page, "annotator"),
    Page("POST", "/s/{study}/history/{seq:number}/undo", task.undo_judgement, "annotator"),
    Page("GET", "/s/{study}/results", owner.results_page, "reviewer"),
    Page("GET", "/s/{study}/log", owner.log_page, "reviewer"),
    Page("GET", "/s/{study}/judgements/{seq:number}", owner.judgement_page, "reviewer"),
    Page("GET", "/s/{study}/export/{format}", owner.download_export, "reviewer"),
    Page("GET", "/s/{study}/manage", manage.manage_page, "owner"),
    Page("POST", "/s/{study}/manage/state", manage.change_state, "owner"),
    Page("POST", "/s/{study}/manage/invite", manage.create_invitation, "owner"),
    Page("POST", "/s/{study}/manage/revoke", manage.revoke_invitation, "owner"),
    Page("POST", "/s/{study}/manage/remove", manage.remove_member, "owner"),
    Page("POST", "/s/{study}/manage/revise", manage.revise_study, "owner"),
    Page("POST", "/s/{study}/manage/items", manage.add_items, "owner"),
    Page("POST", "/s/{study}/judgements/{seq:number}/discard", owner.discard_judgement, "owner"),
    Page("GET", "/new", manage.new_study_page, "site owner"),
    Page("POST", "/new", manage.create_study, "site owner"),
    Page("GET", "/api/openapi.json", openapi.openapi_document, "person"),
    Page("GET", "/api/studies", api.get_studies, "person"),
    Page("GET", "/api/studies/{study}", api.get_study, "reviewer"),
    Page("GET", "/api/studies/{study}/judgements", api.get_judgements, "reviewer"),
    Page("POST", "/api/studies/{study}/items", api.post_items, "owner"),
    Page("POST", "/api/tokens", api.post_token, "site owner"),
)
