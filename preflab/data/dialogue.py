"""Dialogues: what was said, by whom, in order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from preflab.errors import DataError

Role = Literal["system", "user", "assistant", "tool"]
"""Who speaks; ``tool`` is the answer to a call of the assistant (`preflab.data.tool_calls`)."""
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn."""

    role: Role
    text: str
    learned: bool = True
    """Whether the assistant's turn is learned in supervised fine-tuning (``weight`` of OpenAI's messages)."""

    def __post_init__(self) -> None:
        _check(self.role, self.text)

    def to_json(self) -> dict[str, str]:
        """The widespread ``{"role", "content"}`` form."""
        return {"role": self.role, "content": self.text}


def _check(role: object, text: object) -> None:
    """Complain of what cannot be a message."""
    if role not in ROLES:
        raise DataError(f"unknown role {role!r}; expected one of {', '.join(ROLES)}", field="role")
    if not isinstance(text, str):
        raise DataError(f"text must be a string, got {type(text).__name__}", field="content")


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Messages in order. One that ends with the user's turn awaits a reply; such a one is a prompt."""

    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        if not self.messages:
            raise DataError("a dialogue needs at least one message", field="messages")

    @classmethod
    def of(cls, *turns: str, system: str | None = None) -> "Dialogue":
        """Turns that alternate user, assistant, user ..., optionally under a system message."""
        roles: tuple[Role, Role] = ("user", "assistant")
        head = () if system is None else (Message("system", system),)
        return cls(head + tuple(Message(roles[i % 2], text) for i, text in enumerate(turns)))

    @classmethod
    def from_json(cls, messages: Iterable[object]) -> "Dialogue":
        """Read OpenAI-style messages.

        Raises:
            DataError: a message lacks ``role`` or ``content``, or holds something else than text.
        """
        parsed = []
        for n, message in enumerate(messages):
            if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
                raise DataError(f"message {n} needs 'role' and 'content', got {message!r:.80}", field="messages")
            _check(message["role"], message["content"])
            parsed.append(Message(cast(Role, message["role"]), cast(str, message["content"])))
        return cls(tuple(parsed))

    def to_json(self) -> list[dict[str, str]]:
        """OpenAI-style messages."""
        return [message.to_json() for message in self.messages]

    @property
    def awaits_reply(self) -> bool:
        """Whether it is the assistant's turn."""
        return self.messages[-1].role != "assistant"

    @property
    def reply(self) -> str:
        """The text of the last turn, which must be the assistant's."""
        if self.awaits_reply:
            raise DataError("this dialogue still awaits a reply")
        return self.messages[-1].text

    @property
    def prompt(self) -> "Dialogue":
        """The dialogue without its last reply."""
        return self if self.awaits_reply else Dialogue(self.messages[:-1])

    def with_reply(self, text: str) -> "Dialogue":
        """One assistant turn longer."""
        if not self.awaits_reply:
            raise DataError("this dialogue already ends with a reply")
        return Dialogue((*self.messages, Message("assistant", text)))
