"""Practice: items with a known answer, judged with feedback before the first task."""

from preflab.data.store import judgements
from preflab.data.store.judgements import Judgement
from preflab.data.store.studies import Item, items_of
from preflab.errors import DataError
from preflab.feedback.annotation.open_study import OpenStudy
from preflab.feedback.annotation.task_view import Feedback, TaskView
from preflab.feedback.protocols.protocol import Form


class Practice:
    """The practice items of a study."""

    def __init__(self, study: OpenStudy) -> None:
        self._study = study

    def next_item(self, person: str) -> Item | None:
        """The next practice item; None once all were seen and enough were right (or none are asked for)."""
        items = items_of(self._study.store, self._study.name, "practice")
        if not items:
            return None
        attempts: dict[int, list[Judgement]] = {}
        with self._study.store.reading() as connection:
            for judgement in judgements.judgements_of(
                connection, self._study.name, person=person, statuses=("practice",)
            ):
                attempts.setdefault(judgement.item, []).append(judgement)
        unseen = [item for item in items if item.id not in attempts]
        if unseen:
            return unseen[0]
        right = {item: any((a.payload or {}).get("right") for a in of_item) for item, of_item in attempts.items()}
        wrong = [item for item in items if not right[item.id]]
        needed = min(self._study.definition.practice_right, len(items))
        if sum(right.values()) >= needed or not wrong:
            return None
        return min(wrong, key=lambda item: len(attempts[item.id]))  # the one tried least often comes round again

    def view(self, item: Item, person: str) -> TaskView:
        """A practice item as its page may show it."""
        return self._study.practice_view(item, person)

    def submit(self, item_id: int, person: str, key: str, form: Form) -> Feedback:
        """Judge a practice item; tells whether it was right and why.

        Raises:
            DataError: there is no such item, or the form is not whole.
        """
        store, name = self._study.store, self._study.name
        item = next((item for item in items_of(store, name, "practice") if item.id == item_id), None)
        if item is None:
            raise DataError("there is no such practice item", field="item")
        order = self._study.item_order(item, person)
        answer = self._study.protocol.read_answer(form, item.content, order)
        right = self._study.protocol.right(answer, item.content)
        payload = self._study.payload(item, order, answer, form) | {"right": right}
        receipt = judgements.submit_practice(
            store, study=name, item_id=item.id, person=person, key=key, payload=payload
        )
        return Feedback(right, str(item.content.get("feedback", "")), receipt)
