"""One HTML file that tells of a run: no scripts, no remote parts, model text escaped, written in one replace.

Recipes bring a template of their own, or describe a plain page with `Section`s (`preflab.reporting.report`).
"""

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from preflab.conversion import to_json
from preflab.reporting.format import difference, duration, elo, in_unit, nats, number, points, sample, share
from preflab.reporting.plots import Series
from preflab.run import flatten_settings

Json = dict[str, Any]


def write_page(folder: Path, template: Path, **facts: Any) -> Path:
    """Render a template into ``report.html`` of a run folder."""
    return render_page(folder / "report.html", template, **facts)


def render_page(path: Path, template: Path, **facts: Any) -> Path:
    """Render a template into a file, replaced at once; templates of this folder may be included in it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters.update(share=share, points=points, nats=nats, elo=elo, sample=sample)
    environment.filters.update(number=number, duration=duration, in_unit=in_unit, difference=difference)
    page = environment.get_template(template.name).render(**facts)
    part = path.with_name(path.name + ".part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, path)
    return path


def repeat_command(start: str, scales: Mapping[str, Callable[[], Any]], facts: Json) -> str:
    """What to type to repeat a run: as recorded, otherwise ``start``, the nearest scale and what differs from it."""
    if recorded := facts["record"].get("command"):
        return recorded if isinstance(recorded, str) else shlex.join(map(str, recorded))
    own = flatten_settings(facts["config"])
    different = {}
    for name, make in scales.items():
        theirs = flatten_settings(to_json(make()))
        different[name] = [key for key in own if own[key] != theirs.get(key)]
    scale = min(different, key=lambda name: len(different[name]))
    words = [*start.split(), "--scale", scale, "--seed", str(own["seed"]), "--name", f"{facts['name']}-again"]
    for key in different[scale]:
        value = own[key] if isinstance(own[key], str) else json.dumps(own[key])
        words += ["--set", f"{key}={value}"] if key != "seed" else []
    return shlex.join(words)


def over_steps(
    label: str, steps: list[Json], key: str, error: Sequence[float | None] | None = None, **look: Any
) -> Series:
    """One logged number over the steps."""
    x, y = [s["step"] for s in steps], [s.get(key) for s in steps]
    return Series(label=label, x=x, y=y, **look) if error is None else Series.of_errors(label, x, y, error, **look)


def truncate(text: str, most: int) -> str:
    """The beginning of a text, and how much is left out."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"


_CONTROLS = {i: 0x2400 + i for i in range(32) if chr(i) not in "\n\t"} | {0x7F: 0x2421}
_BAD = ((0x80, 0xA0), (0x202A, 0x202F), (0x2066, 0x206A), (0xD800, 0xE000))
_SHOWN = _CONTROLS | {i: 0xFFFD for start, stop in _BAD for i in range(start, stop)}


def _visible(value: Any) -> Any:
    """Text without characters that a page cannot hold or that turn its reading order; what a template prints."""
    return value.replace("\r\n", "\n").translate(_SHOWN) if type(value) is str else value
