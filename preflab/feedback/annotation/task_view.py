"""What a page may show: no policy's name, no gold answer, sides in the order of a keyed hash."""

from dataclasses import dataclass

from preflab.data.store.judgements import Judgement, Receipt
from preflab.feedback.protocols.protocol import Content


@dataclass(frozen=True, slots=True)
class ReplyView:
    """One reply where it stands on the screen."""

    position: int
    """From the left, from 0."""
    text: str
    state: str = "done"
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class TurnView:
    """One turn of a conversation as the annotator sees it."""

    number: int
    text: str
    fresh: bool
    replies: tuple[ReplyView, ...]
    outcome: str | None
    """What the conversation went on from; None while nothing is chosen."""

    @property
    def ready(self) -> bool:
        """Whether all replies are there."""
        return all(reply.state == "done" for reply in self.replies)

    @property
    def failed(self) -> bool:
        """Whether a policy gave no answer."""
        return any(reply.state == "failed" for reply in self.replies)


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as its page may show it."""

    study: str
    slot: int
    lease: str
    item: int
    content: Content
    """Without what is hidden; replies in the order shown."""
    turns: tuple[TurnView, ...]
    expires: int
    """Milliseconds since 1970."""
    terms: str
    """Digest of the protocol's settings: a form made under others is shown again, not taken."""
    practice: bool = False

    @property
    def waits_for_message(self) -> bool:
        """Whether it is the annotator's turn to write."""
        return not self.turns or self.turns[-1].outcome is not None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What is said after a practice item or a question whose answer is revealed."""

    right: bool | None
    text: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class PastJudgement:
    """A judgement in somebody's history."""

    judgement: Judgement
    undo_ms: int
    """How long it can still be undone; 0 when it cannot."""
