"""Conversations with the policies of a study: write, wait for replies, choose one, go on from it."""

from collections.abc import Mapping, Sequence
from typing import Any

from preflab.data.store import conversation, judgements, queue
from preflab.data.store.conversation import Turn
from preflab.data.store.judgements import Receipt
from preflab.errors import DataError, StoreError
from preflab.feedback.annotation.blinding import draw_among
from preflab.feedback.annotation.open_study import OpenStudy
from preflab.feedback.protocols.protocol import Answer, Form, read_text

_LONGEST_MESSAGE = 20_000


class LiveConversation:
    """The conversations of a study's tasks."""

    def __init__(self, study: OpenStudy) -> None:
        self._study = study

    def turns(self, slot: int, person: str) -> list[Turn]:
        """What was written so far in a task, and what was answered."""
        return conversation.turns(self._study.store, slot, person)

    def send(self, slot: int, lease: str, person: str, key: str, text: str, *, fresh: bool = False) -> int:
        """Write the next message; the policies answer in their own time. The turn's number.

        Raises:
            DataError: nothing was written, too much, or the conversation has had its turns.
            Conflict, LeaseLost: as `preflab.data.store.conversation.begin_turn`.
        """
        store, protocol = self._study.store, self._study.protocol
        item = queue.item_of_slot(store, self._study.name, slot)
        message = read_text({"message": text}, "message", longest=_LONGEST_MESSAGE, needed=True)
        turns = self.turns(slot, person)
        most_turns = getattr(protocol, "most_turns", 1)
        is_resent = turns and turns[-1].text == message and turns[-1].chosen is None
        if len(turns) >= most_turns and not is_resent:
            raise DataError(f"this conversation has had its {most_turns} turns; please end it", field="message")
        if not item.content.get("assisted", True):
            raise DataError("this question is to be answered without help", field="message")
        if protocol.live_replies == 1 and turns and turns[-1].chosen is None and turns[-1].ready:
            self._choose_only_reply(turns[-1].id)
        return conversation.begin_turn(
            store,
            slot_id=slot,
            lease=lease,
            person=person,
            text=message,
            key=key,
            policies=self._policies_of_turn(slot, person, len(turns)),
            fresh=fresh,
        )

    def _choose_only_reply(self, turn: int) -> None:
        """With one reply there is nothing to choose."""
        with self._study.store.writing() as connection:
            conversation.choose(connection, turn, 0)

    def _policies_of_turn(self, slot: int, person: str, number: int) -> list[str]:
        """Names of the policies, by place: drawn for each turn, each equally often; one alone answers twice."""
        names = [policy.name for policy in self._study.definition.policies]
        if not names:
            raise StoreError("no policy answers in this study")
        n_replies = self._study.protocol.live_replies
        if n_replies == 1:
            return draw_among(self._study.key, names, 1, self._study.name, slot, person)  # the same one all the way
        return draw_among(self._study.key, names, n_replies, self._study.name, slot, person, number)

    def retry(self, slot: int, person: str) -> int:
        """Ask once more for replies that did not come; how many."""
        return conversation.retry_failed_replies(self._study.store, slot, person)

    def vote(self, slot: int, lease: str, person: str, key: str, number: int, form: Form) -> Receipt:
        """Pick one of the replies of a turn; the conversation goes on from it.

        Raises:
            DataError: the form is not whole, or the replies are not all there.
            Conflict, LeaseLost, NotThere: as `preflab.data.store.judgements.submit`.
        """
        study = self._study
        study.check_terms(form)
        item = queue.item_of_slot(study.store, study.name, slot)
        turn = conversation.turn_of(study.store, slot, person, number)
        if not turn.ready:
            raise DataError("the replies are not all there yet", field="scale")
        order = study.turn_order(item, person, turn)
        answer = study.protocol.read_answer(form, item.content, order)
        if "picked" not in answer:
            raise DataError("choose one of the replies", field="scale")
        payload = study.payload(item, order, answer, form)
        payload["messages"] = _messages_above(item.content, self.turns(slot, person), number)
        payload["replies"] = [{"policy": r.policy, "text": r.text, "details": r.details} for r in turn.replies]
        return judgements.submit(
            study.store,
            study=study.name,
            slot_id=slot,
            lease=lease,
            person=person,
            key=key,
            payload=payload,
            part=number,
            completes=False,
            within=lambda connection: conversation.choose(
                connection, turn.id, answer["picked"], edited=answer.get("edited")
            ),
        )

    def check_end(self, turns: Sequence[Turn], answer: Answer) -> None:
        """Complain of a conversation that is too short, or still waits for a choice.

        Raises:
            DataError: it cannot end yet.
        """
        protocol = self._study.protocol
        fewest = getattr(protocol, "fewest_turns", 0)
        if len(turns) < fewest:
            raise DataError(f"at least {fewest} turn(s) are wanted before the end, so far {len(turns)}", field="finish")
        unchosen = bool(turns) and turns[-1].chosen is None and protocol.live_replies > 1
        if unchosen and not any(reply.state == "failed" for reply in turns[-1].replies):  # who gets no answer may go
            raise DataError("choose one of the last replies first", field="finish")
        number = answer.get("turn")
        if number is not None and number >= len(turns):
            raise DataError(f"the conversation has {len(turns)} turn(s)", field="turn")


def turn_record(turn: Turn) -> dict[str, Any]:
    """A turn as a judgement keeps it."""
    replies = [{"policy": r.policy, "text": r.text, "state": r.state, "details": r.details} for r in turn.replies]
    message = {"text": turn.text, "fresh": turn.fresh, "chosen": turn.chosen, "edited": turn.edited}
    return {**message, "replies": replies, "at": turn.at}


def _messages_above(content: Mapping[str, Any], turns: Sequence[Turn], number: int) -> list[dict[str, str]]:
    """What stood above the replies of a turn."""
    messages = [dict(message) for message in content.get("messages", [])]
    for turn in turns:
        messages.append({"role": "user", "content": turn.text})
        if turn.number == number:
            break
        messages.append({"role": "assistant", "content": turn.outcome or ""})
    return messages
