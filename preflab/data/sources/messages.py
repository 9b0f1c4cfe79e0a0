"""Messages under the keys and role names of several tools, as ours.

OpenAI's ``role`` and ``content``, ShareGPT's ``from`` and ``value``, either of them as JSON text in a cell; roles
``user``, ``human``, ``Human`` ... A record whose content a dialogue of text cannot hold is refused, with the reason.
"""

from collections.abc import Mapping
from typing import cast

from preflab.data.dialogue import Message, Role
from preflab.data.sources.columns import decode_json_text, is_empty
from preflab.errors import DataError, RecordRefused

_SPEAKERS: dict[Role, tuple[str, ...]] = {
    "system": ("system", "developer"),
    "user": ("user", "human", "prompter", "instruction"),
    "assistant": ("assistant", "gpt", "bot", "ai", "model", "chatgpt", "chatbot", "response"),
}
ROLE_NAMES = {name: role for role, names in _SPEAKERS.items() for name in names}
"""What the speakers are called elsewhere, in lower case -> what they are."""
_TOOL_ROLES = frozenset(("tool", "function", "function_call", "observation", "ipython"))
_KEYS = (("role", "content"), ("from", "value"), ("role", "value"), ("role", "text"), ("from", "content"))
_NOT_READ = {"tool_calls": "a message calls a tool", "function_call": "a message calls a tool"}
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


def wrong_type(name: str, expected: str, value: object) -> DataError:
    """The error for a column that holds something else than it should."""
    return DataError(f"expected {expected}, found {type(value).__name__} {value!r:.60}", field=name)


def is_messages(value: object) -> bool:
    """Whether this looks like messages, or is JSON text of them."""
    value = decode_json_text(value)
    return isinstance(value, list) and bool(value) and all(_keys_of(message) is not None for message in value)


def _keys_of(message: object) -> tuple[str, str] | None:
    """The keys of speaker and text that a message has."""
    if not isinstance(message, Mapping):
        return None
    return next((keys for keys in _KEYS if keys[0] in message and keys[1] in message), None)


def messages(value: object, name: str, *, weights: bool = False) -> tuple[Message, ...]:
    """Messages of a column; a content made of text parts is joined.

    Args:
        weights  read the ``weight`` of a message: a turn of weight 0 is not learned.

    Raises:
        DataError: this is not a list of messages.
        RecordRefused: it is one, but with a role or a content that a dialogue of text cannot hold.
    """
    value = decode_json_text(value)
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, list):
        raise wrong_type(name, "a list of messages with 'role' and 'content'", value)
    return tuple(_message(item, name, value, weights) for item in items)


def _message(item: object, name: str, column: object, weights: bool) -> Message:
    """One message."""
    if isinstance(item, Mapping) and "role" in item and "content" not in item and item.get("tool_calls"):
        item = {**item, "content": None}
    keys = _keys_of(item)
    if keys is None:
        raise wrong_type(name, "a list of messages with 'role' and 'content'", column)
    message = cast(Mapping[str, object], item)
    for key, reason in _NOT_READ.items():
        if not is_empty(message.get(key)):
            raise RecordRefused(f"{reason} ({key}), which a dialogue of text does not hold", field=name)
    for key in _THOUGHTS:
        if not is_empty(message.get(key)):
            raise RecordRefused(f"a message has thoughts of its own ({key}), which a dialogue of text does not hold")
    weight = message.get("weight") if weights else None
    if weight not in (None, 0, 1):
        raise RecordRefused("a message has a weight that is neither 0 nor 1", field=name)
    return Message(role_of(message[keys[0]], name), _content(message[keys[1]], name), learned=weight != 0)


def role_of(speaker: object, name: str) -> Role:
    """Who speaks, under any of the names in use.

    Raises:
        RecordRefused: a tool, or a name that nobody knows.
    """
    role = ROLE_NAMES.get(speaker.strip().lower()) if isinstance(speaker, str) else None
    if role is not None:
        return role
    expected = "system, user (human), assistant (gpt, bot, model)"
    if isinstance(speaker, str) and speaker.strip().lower() in _TOOL_ROLES:
        raise RecordRefused(
            f"a message of a tool (role {speaker!r:.30}); a dialogue of text has {expected}", field=name
        )
    raise RecordRefused(f"a message has the role {speaker!r:.30}; expected {expected}", field=name)


def _content(value: object, name: str) -> str:
    """The text of one message: a string, or OpenAI's list of ``{"type": "text", "text"}`` parts."""
    if isinstance(value, str):
        return value
    if value is None:
        raise RecordRefused("a message has no content (null)", field=name)
    texts = (
        [part.get("text") if isinstance(part, Mapping) else part for part in value] if isinstance(value, list) else []
    )
    if texts and all(isinstance(text, str) for text in texts):
        return "".join(cast(list[str], texts))
    raise RecordRefused("a message holds something else than text", field=name)


def prompt_messages(value: object, name: str) -> tuple[Message, ...]:
    """A prompt: one string, which the user says, or messages."""
    decoded = decode_json_text(value)
    return (Message("user", decoded),) if isinstance(decoded, str) else messages(decoded, name)
