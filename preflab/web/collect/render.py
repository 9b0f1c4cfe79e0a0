"""Templates, and text that stays text.

Whatever a model or a person wrote goes through `reveal_invisible`, and Jinja escapes all of it. No template marks
anything as safe; a test looks.
"""

import hashlib
import re
import unicodedata
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")
MAX_CHARACTERS = 200_000
"""Characters of one text that a page shows; the rest is named, not shown."""
_LAYOUT = "\n\t"
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d\ufe0f"  # within words of some scripts, and within emoji
_SUSPECT = re.compile(
    r"[^\x20-\x7e\n\u00a1-\u00ac\u00ae-\u02ff\u0370-\u05ff\u0900-\u180d\u180f-\u1fff\u3000-\u9fff\uac00-\ud7af]"
)
"""Worth a look; all other characters are known to be seen."""


def reveal_invisible(text: object) -> str:
    """Spell out every character that cannot be seen, or that turns the direction of what follows.

    ``U+202E`` and its like become ``[U+202E]``; line ends and tabs stay; more than 200,000 characters are cut.
    """
    full = str(text)
    omitted = f"\n[… {len(full) - MAX_CHARACTERS:,} more characters]" if len(full) > MAX_CHARACTERS else ""
    plain = full[:MAX_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n")
    return _SUSPECT.sub(lambda match: _reveal_character(match.group()), plain) + omitted


def _reveal_character(character: str) -> str:
    if character in _LAYOUT or character in _JOINERS or unicodedata.category(character) not in _INVISIBLE:
        return character
    return f"[U+{ord(character):04X}]"


def environment() -> Environment:
    """Jinja with escaping always on and no undefined names."""
    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters["visible"] = reveal_invisible
    jinja.filters["utc"] = format_utc
    jinja.globals["assets"] = _folder_digest(STATIC)
    return jinja


def _folder_digest(folder: Path) -> str:
    """Changes with any file in it: browsers keep scripts and styles for an hour, but never older ones than the page."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(folder.glob("*.*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def format_utc(ms: int) -> str:
    """A time as people read it, in UTC; ``ms`` counts milliseconds since 1970."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


_ENVIRONMENT = environment()


def render_page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page from a template."""
    text = _ENVIRONMENT.get_template(template).render(**values)
    return HTMLResponse(text.encode("utf-8", "replace"), status)  # half a surrogate must not cost the whole page
