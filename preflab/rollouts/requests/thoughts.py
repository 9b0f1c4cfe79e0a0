"""Thoughts that a model writes before its reply, and how they are told from the reply.

What stands between the markers of a thought is neither shown to a judge nor searched for an answer. Templates of some
models open the thought in the prompt, so a closing marker may stand alone: all before it was thought.
"""

import re

_TAGS = "think|thinking|thought|thoughts|reasoning|reflection|seed:think"
_PAIRS = (
    (rf"<(?P<tag>{_TAGS})>", r"</{tag}>"),
    (r"\[(?P<tag>THINK)\]", r"\[/{tag}\]"),
    (r"◁(?P<tag>think)▷", r"◁/{tag}▷"),
    (r"<\|begin_of_(?P<tag>thought)\|>", r"<\|end_of_{tag}\|>"),
    (r"<\|(?P<tag>START_THINKING)\|>", r"<\|END_THINKING\|>"),
)
"""Opening and closing marker of each kind, as regular expressions."""
_LONE_END = re.compile(rf"</(?:{_TAGS})>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|END_THINKING\|>", re.IGNORECASE)
_CHANNEL = re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>(?P<name>\w+)[^<]*<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|call)\|>")
_SOLUTION = re.compile(r"<\|(?:begin_of_solution|end_of_solution|START_RESPONSE|END_RESPONSE)\|>")


def split_thoughts(text: str) -> tuple[str, bool]:
    """A reply without its thoughts.

    Returns:
        what the reader is meant to see, trimmed; and whether the text ends inside a thought, so that the reply itself
        was never begun or broke off.
    """
    if channel := _last_channel(text):
        name, message = channel
        return ("", True) if name != "final" else (message.strip(), False)
    visible, cut = text, False
    for opening, closing in _PAIRS:
        while not cut and (start := re.search(opening, visible, re.IGNORECASE)):
            end_pattern = closing.format(tag=re.escape(start["tag"]))
            end = re.compile(end_pattern, re.IGNORECASE).search(visible, start.end())
            cut = end is None
            visible = visible[: start.start()] + ("" if end is None else visible[end.end() :])
    for lone in list(_LONE_END.finditer(visible))[-1:]:
        visible = visible[lone.end() :]
    return _SOLUTION.sub("", visible).strip(), cut


def _last_channel(text: str) -> tuple[str, str] | None:
    """Name and text of the last channel of a reply that is written in channels (analysis, commentary, final)."""
    headers = list(_CHANNEL.finditer(text))
    if not headers:
        return None
    message = text[headers[-1].end() :]
    return headers[-1]["name"], _CHANNEL_END.split(message)[0]
