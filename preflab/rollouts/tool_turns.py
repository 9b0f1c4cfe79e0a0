"""Calls of tools as a model's own chat template tells them.

Text of a dialogue holds a call in a notation of its own (`preflab.data.tool_calls`). Templates that know tools are
given the call apart and write it their way, with control tokens that text cannot spell.
"""

from collections.abc import Callable, Mapping
from typing import Any

from preflab.data.dialogue import Dialogue, Message
from preflab.data.tool_calls import has_calls, template_message, with_calls
from preflab.errors import DataError

TemplateMessages = list[dict[str, Any]]
_CALL, _ANSWER = "preflab_probe_call", "preflab probe answer"


def tells_calls(render: Callable[[TemplateMessages], str]) -> bool:
    """Whether a chat template tells calls of tools and their answers.

    Args:
        render  messages to text; raises DataError where the template refuses them.
    """
    call = with_calls("", [{"name": _CALL, "arguments": {}}])
    turns = (Message("user", "preflab probe"), Message("assistant", call), Message("tool", _ANSWER))
    try:
        text = render([template_message(turn) for turn in turns])
    except DataError:
        return False
    return _CALL in text and _ANSWER in text


def template_messages(dialogue: Dialogue, break_text: Callable[[str], str], *, with_tools: bool) -> TemplateMessages:
    """A dialogue as a chat template takes it.

    Args:
        break_text  breaks the control tokens that a text spells; applied to texts of calls too.
        with_tools  whether the template tells calls.

    Raises:
        DataError: there are calls or answers of tools, and the template does not tell them.
    """
    if not any(has_calls(message) for message in dialogue.messages):
        return [{"role": message.role, "content": break_text(message.text)} for message in dialogue.messages]
    if not with_tools:
        raise DataError("the chat template does not tell calls of tools and their answers")
    return [_map_texts(template_message(message), break_text) for message in dialogue.messages]


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A message with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _map_texts(part, change) for key, part in value.items()}
    return [_map_texts(part, change) for part in value] if isinstance(value, list) else value
