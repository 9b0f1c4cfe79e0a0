"""The HTML report of a run: one file, no scripts, no remote parts, model text escaped, written in one replace.

A recipe has a template of its own, or describes its page with `Section`s (`preflab.reporting.report`).
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from preflab.atomic_files import write_atomically
from preflab.conversion import to_json
from preflab.reporting.format import difference, duration, elo, in_unit, nats, number, points, sample, share
from preflab.reporting.judge_text import judge_text
from preflab.reporting.plots import Series
from preflab.reporting.template_text import template_text
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
        finalize=_replace_unprintable,
    )
    environment.filters.update(share=share, points=points, nats=nats, elo=elo, sample=sample)
    environment.filters.update(number=number, duration=duration, in_unit=in_unit, difference=difference)
    environment.filters.update(judge_text=judge_text, template_text=template_text)
    page = environment.get_template(template.name).render(**facts)
    return write_atomically(path, page.encode())


def repeat_command(start: str, scales: Mapping[str, Callable[[], Any]], facts: Json) -> str:
    """The command that repeats a run: as recorded, otherwise ``start``, the nearest scale and what differs from it.

    Args:
        start   such as ``preflab run sft``.
        scales  of the recipe: name -> function that makes its settings.
        facts   ``record``, ``config`` and ``name`` of the run.
    """
    if recorded := facts["record"].get("command"):
        return recorded if isinstance(recorded, str) else shlex.join(map(str, recorded))
    settings = flatten_settings(facts["config"])
    different = {}
    for name, make_config in scales.items():
        scale_settings = flatten_settings(to_json(make_config()))
        different[name] = [key for key in settings if settings[key] != scale_settings.get(key)]
    scale = min(different, key=lambda name: len(different[name]))
    arguments = [*start.split(), "--scale", scale, "--seed", str(settings["seed"]), "--name", f"{facts['name']}-again"]
    for key in different[scale]:
        value = settings[key] if isinstance(settings[key], str) else json.dumps(settings[key])
        arguments += ["--set", f"{key}={value}"] if key != "seed" else []
    return shlex.join(arguments)


def metric_series(
    label: str, steps: Sequence[Mapping[str, Any]], key: str, error: Sequence[float | None] | None = None, **style: Any
) -> Series:
    """One logged number over the steps.

    Args:
        steps  lines of the metrics, each with ``step``.
        key    of the number; a line without it leaves a gap.
        error  standard error of each; two of them to either side are drawn.
        style  ``colour`` and ``style`` of the `Series`.
    """
    x, y = [line["step"] for line in steps], [line.get(key) for line in steps]
    return Series(label=label, x=x, y=y, **style) if error is None else Series.from_errors(label, x, y, error, **style)


def truncate(text: str, max_length: int) -> str:
    """The first ``max_length`` characters of a text, and how many are left out."""
    return text if len(text) <= max_length else f"{text[:max_length]} … ({len(text) - max_length:,} more characters)"


_CONTROL_PICTURES = {i: 0x2400 + i for i in range(32) if chr(i) not in "\n\t"} | {0x7F: 0x2421}
_UNPRINTABLE = ((0x80, 0xA0), (0x202A, 0x202F), (0x2066, 0x206A), (0xD800, 0xE000))
_REPLACEMENTS = _CONTROL_PICTURES | {i: 0xFFFD for start, stop in _UNPRINTABLE for i in range(start, stop)}


def _replace_unprintable(value: Any) -> Any:
    """What a template prints, without characters that a page cannot hold or that turn its reading order."""
    return value.replace("\r\n", "\n").translate(_REPLACEMENTS) if type(value) is str else value
