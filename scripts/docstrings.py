"""An extension of griffe: lists of arguments in docstrings are shown as they stand in the source, in columns.

Our docstrings name each argument with its axes and unit, in columns. As Markdown they would lose the columns, and
``[*item]`` would begin an emphasis.
"""

import re
from typing import Any

from griffe import Extension, Object

SECTION = re.compile(r"^(Args|Returns|Raises|Yields):$")
COLUMNS = re.compile(r"\S {2,}\S")
"""Two blanks or more between words: whoever wrote it lined something up."""


class Columns(Extension):
    """Argument lists and tables of docstrings as blocks of plain text."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Rewrite the docstring of every object that is loaded."""
        if obj.docstring is not None:
            obj.docstring.value = in_blocks(obj.docstring.value)


def in_blocks(text: str) -> str:
    """The docstring with its sections and its aligned paragraphs in fenced blocks; prose is left alone.

    A section is a line ``Args:``, ``Returns:``, ``Raises:`` or ``Yields:`` and the lines indented below it. Other
    paragraphs become blocks where at least two of their lines are aligned. What stands in a literal block (``::``)
    stays as it is.
    """
    return "\n\n".join(_block(paragraph) for paragraph in re.split(r"\n\n+", text))


def _block(paragraph: str) -> str:
    first, _, below = paragraph.partition("\n")
    if SECTION.match(first) and below:
        return f"**{first}**\n\n{_fenced(below)}"
    if not paragraph.startswith((" ", "-", "```")) and sum(map(bool, map(COLUMNS.search, paragraph.split("\n")))) >= 2:
        return _fenced(paragraph)
    return paragraph


def _fenced(lines: str) -> str:
    indent = min(len(line) - len(line.lstrip()) for line in lines.split("\n") if line.strip())
    dedented = "\n".join(line[indent:] for line in lines.split("\n"))
    return f"```text\n{dedented}\n```"
