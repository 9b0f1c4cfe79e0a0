"""Calls of tools and thoughts within the text of a turn, in the notation most chat templates tell them in.

A dialogue here is text, so that people, judges and models see one and the same. A call stands behind what is said as
``<tool_call>`` with the name and the arguments as JSON, a thought before it as ``<think>``. A chat template that knows
tools is given both apart again (`template_message`), and tells them as its model expects.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from preflab.data.dialogue import Message

_CALL = re.compile(r"\s*<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)


def with_calls(text: str, calls: list[dict[str, Any]]) -> str:
    """The text with calls behind it.

    Args:
        calls  each with ``name`` and ``arguments``.
    """
    blocks = [f"<tool_call>\n{json.dumps(call, ensure_ascii=False, sort_keys=True)}\n</tool_call>" for call in calls]
    return "\n".join([*([text] if text else []), *blocks])


def with_thought(text: str, thought: str) -> str:
    """The text with a thought before it; as it is where there is none."""
    return f"<think>\n{thought.strip()}\n</think>\n\n{text}" if thought.strip() else text


def split_calls(text: str) -> tuple[str, list[dict[str, Any]]]:
    """What is said, and the calls behind it; none where the end of the text is no call that can be read."""
    first = next((match for match in _CALL.finditer(text) if _only_calls(text[match.start() :])), None)
    if first is None:
        return text, []
    calls = [json.loads(match[1]) for match in _CALL.finditer(text[first.start() :])]
    return text[: first.start()], calls


def _only_calls(text: str) -> bool:
    """Whether the text is calls from its beginning to its end, each with a name and arguments."""
    end = 0
    for match in _CALL.finditer(text):
        if match.start() != end or not _is_call(match[1]):
            return False
        end = match.end()
    return not text[end:].strip()


def _is_call(text: str) -> bool:
    """Whether this is JSON of a name and arguments."""
    try:
        call = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(call, dict) and isinstance(call.get("name"), str) and isinstance(call.get("arguments"), Mapping)


def has_calls(message: Message) -> bool:
    """Whether a turn calls a tool, or is a tool's answer."""
    return message.role == "tool" or (message.role == "assistant" and bool(split_calls(message.text)[1]))


def template_message(message: Message) -> dict[str, Any]:
    """A turn as chat templates that know tools want it: calls apart from the text."""
    text, calls = split_calls(message.text) if message.role == "assistant" else (message.text, [])
    if not calls:
        return {"role": message.role, "content": message.text}
    functions = [{"type": "function", "function": call} for call in calls]
    return {"role": message.role, "content": text, "tool_calls": functions}
