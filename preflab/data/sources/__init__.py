"""Formats of comparison data, one small file each.

A new format is a new file with a ``SOURCE``, and its line below.
"""

from preflab.data.sources import hh, openai_chat, preflab_jsonl, trl, ultrafeedback
from preflab.data.sources.source import Record, Source
from preflab.errors import ConfigError, DataError

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        preflab_jsonl.SOURCE,
        ultrafeedback.SOURCE,  # before openai_chat and trl, whose columns it has too
        openai_chat.SOURCE,  # before trl, likewise
        hh.SOURCE,  # before trl, which would take its dialogues for plain text
        trl.SOURCE,
    )
}
"""Every format by name, the most specific first: the first that recognises a record has it."""


def get_source(name: str) -> Source:
    """The format of that name."""
    if name not in SOURCES:
        raise ConfigError(f"unknown format {name!r}; known are {', '.join(SOURCES)}")
    return SOURCES[name]


def recognise(record: Record) -> Source:
    """The most specific format that the first record of a file fits.

    Raises:
        DataError: none does; the message lists what each would have looked like.
    """
    for source in SOURCES.values():
        if source.recognise(record):
            return source
    formats = "\n".join(f"  {source.name}: {source.columns}" for source in SOURCES.values())
    raise DataError(f"unknown format; found columns {', '.join(record) or '(none)'}; expected one of\n{formats}")
