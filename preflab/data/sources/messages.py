"""Messages under the keys and role names of several tools, as ours.

OpenAI's ``role`` and ``content``, ShareGPT's ``from`` and ``value``, either of them as JSON text in a cell; roles
``user``, ``human``, ``Human`` ... Calls of tools and thoughts beside the content come to stand in the text. A record
whose content is no text (an image) is refused, with the reason.
"""

from collections.abc import Mapping
from typing import Any, cast

from preflab.data.dialogue import Message, Role
from preflab.data.sources.columns import decode_json, decode_json_text, is_empty
from preflab.data.tool_calls import with_calls, with_thought
from preflab.errors import DataError, RecordRefused

_SPEAKERS: dict[Role, tuple[str, ...]] = {
    "system": ("system", "developer"),
    "user": ("user", "human", "prompter", "instruction"),
    "assistant": ("assistant", "gpt", "bot", "ai", "model", "chatgpt", "chatbot", "response", "function_call"),
    "tool": ("tool", "function", "observation", "ipython"),
}
ROLE_NAMES = {name: role for role, names in _SPEAKERS.items() for name in names}
"""What the speakers are called elsewhere, in lower case -> what they are."""
_KEYS = (("role", "content"), ("from", "value"), ("role", "value"), ("role", "text"), ("from", "content"))
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
    """One message; its calls and thoughts stand in its text (`preflab.data.tool_calls`)."""
    if isinstance(item, Mapping) and "role" in item and "content" not in item and _has_calls(item):
        item = {**item, "content": None}
    keys = _keys_of(item)
    if keys is None:
        raise wrong_type(name, "a list of messages with 'role' and 'content'", column)
    message = cast(Mapping[str, object], item)
    weight = message.get("weight") if weights else None
    if weight not in (None, 0, 1):
        raise RecordRefused("a message has a weight that is neither 0 nor 1", field=name)
    content, calls = message[keys[1]], _calls(message, name)
    if str(message[keys[0]]).strip().lower() == "function_call":  # ShareGPT: the call is the content
        content, calls = None, [_call(decode_json(content), name)]
    text = "" if content is None and calls else _content(content, name)
    text = with_thought(with_calls(text, calls), _thought(message, name))
    return Message(role_of(message[keys[0]], name), text, learned=weight != 0)


def _has_calls(message: Mapping[str, object]) -> bool:
    return not is_empty(message.get("tool_calls")) or not is_empty(message.get("function_call"))


def _calls(message: Mapping[str, object], name: str) -> list[dict[str, Any]]:
    """Calls of tools in either of OpenAI's forms.

    Raises:
        RecordRefused: one has no name, or arguments that are no JSON object.
    """
    if not is_empty(message.get("function_call")):
        return [_call(message["function_call"], name)]
    calls = message.get("tool_calls")
    if is_empty(calls):
        return []
    decoded = decode_json(calls)
    if not isinstance(decoded, list):
        raise RecordRefused("a call of a tool cannot be read", field=name)
    return [_call(call.get("function", call) if isinstance(call, Mapping) else call, name) for call in decoded]


def _call(call: object, name: str) -> dict[str, Any]:
    """Name and arguments; arguments may be JSON text."""
    arguments = decode_json(call.get("arguments")) if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(call.get("name"), str):
        raise RecordRefused("a call of a tool has no name", field=name)
    if is_empty(arguments):
        arguments = {}
    if not isinstance(arguments, Mapping):
        raise RecordRefused("a call of a tool has arguments that are no JSON object", field=name)
    return {"name": call["name"], "arguments": dict(arguments)}


def _thought(message: Mapping[str, object], name: str) -> str:
    """The thought that stands beside the content, if any.

    Raises:
        RecordRefused: it is no text.
    """
    thought = next((message[key] for key in _THOUGHTS if not is_empty(message.get(key))), "")
    if not isinstance(thought, str):
        raise RecordRefused("a thought beside a message is no text", field=name)
    return thought


def role_of(speaker: object, name: str) -> Role:
    """Who speaks, under any of the names in use.

    Raises:
        RecordRefused: nobody knows the name.
    """
    role = ROLE_NAMES.get(speaker.strip().lower()) if isinstance(speaker, str) else None
    if role is not None:
        return role
    expected = "system, user (human), assistant (gpt, bot, model), tool"
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
