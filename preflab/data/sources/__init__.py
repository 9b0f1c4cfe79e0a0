"""Formats of comparison data: one file each in ``formats/``, found there, the most specific first."""

from importlib import import_module
from pkgutil import iter_modules

from preflab.data.sources import formats
from preflab.data.sources.columns import unread_columns
from preflab.data.sources.source import Record, Source
from preflab.errors import ConfigError, DataError


def _discover() -> dict[str, Source]:
    """The ``SOURCE`` of every file in ``formats/``."""
    modules = (import_module(f"{formats.__name__}.{module.name}") for module in iter_modules(formats.__path__))
    sources: list[Source] = [module.SOURCE for module in modules]
    return {source.name: source for source in sorted(sources, key=lambda source: (-source.priority, source.name))}


SOURCES: dict[str, Source] = _discover()
"""Every format by name, the most specific first: the first that accounts for a record has it."""


def get_source(name: str) -> Source:
    """The format of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in SOURCES:
        raise ConfigError(f"unknown format {name!r}; known are {', '.join(SOURCES)}")
    return SOURCES[name]


def recognise(record: Record) -> Source:
    """The most specific format that the first record of a file fits, and that reads all that matters of it.

    Raises:
        DataError: none does; the message says which columns stand in the way, or what each format would look like.
    """
    fitting = [source for source in SOURCES.values() if source.recognise(record)]
    for source in fitting:
        if not unread_columns(record, source.reads, sides=source.reads_sides):
            return source
    if fitting:
        unread = unread_columns(record, fitting[0].reads, sides=fitting[0].reads_sides)
        name = next(iter(unread))
        raise DataError(
            f"looks like format {fitting[0].name}, which would not read "
            f"{'; '.join(f'{column!r} ({guess})' for column, guess in unread.items())}. Say what it is under a "
            f"name that is read (--columns NAME={name}), or that it may be left out (--columns ignore={name})"
        )
    texts = "\n".join(f"  {source.name}: {source.columns}" for source in SOURCES.values())
    raise DataError(
        f"unknown format; found columns {', '.join(map(str, record)) or '(none)'}; expected one of\n{texts}\n"
        "  (other names: --columns prompt=NAME,chosen=NAME,rejected=NAME)"
    )
