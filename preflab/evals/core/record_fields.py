"""Taking fields out of the records of evaluation sets, which call the same thing by several names."""

import hashlib
from collections.abc import Sequence

from preflab.data.sources.messages import wrong_type
from preflab.data.sources.record import column, optional_text, text
from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused

__all__ = ["column", "first_text", "identity", "index", "number", "optional_text", "text", "texts", "truth"]


def first_text(record: Record, *names: str) -> str:
    """The text under the first of these names that the record has; refused when it is blank."""
    for name in names:
        if record.get(name) is not None:
            value = text(record, name).strip()
            if not value:
                raise RecordRefused(f"{name} is empty", field=name)
            return value
    raise DataError(f"missing; this record has {', '.join(record) or 'no columns'}", field=" or ".join(names))


def identity(record: Record, *parts: str) -> str:
    """The record's own id; without one a digest of its texts, so that it is the same in every run."""
    record_id = optional_text(record, "id").strip()
    return record_id or hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def texts(record: Record, *names: str, least: int = 1) -> list[str]:
    """A list of texts under the first of these names."""
    for name in names:
        if (values := record.get(name)) is not None:
            if (
                not isinstance(values, Sequence)
                or isinstance(values, str)
                or not all(isinstance(t, str) for t in values)
            ):
                raise wrong_type(name, "a list of texts", values)
            if len(values) < least or not all(t.strip() for t in values):
                raise RecordRefused(f"{name} has fewer than {least} texts, or an empty one", field=name)
            return [t.strip() for t in values]
    raise DataError(f"missing; this record has {', '.join(record) or 'no columns'}", field=" or ".join(names))


def index(record: Record, name: str, n: int) -> int:
    """A whole number that names one of ``n`` things."""
    value = column(record, name)
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, f"a number from 0 to {n - 1}", value)
    if not 0 <= value < n:
        raise RecordRefused(f"{name} names none of the options", field=name)
    return value


def number(record: Record, name: str) -> float:
    """A number, also one written out."""
    value = column(record, name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise wrong_type(name, "a number", value)
    try:
        return float(value)
    except ValueError as error:
        raise RecordRefused(f"{name} is no number", field=name) from error


def truth(record: Record, name: str) -> bool:
    """True or false, also written out, as 0 or as 1."""
    value = column(record, name)
    spellings = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
    truth_value = spellings.get(str(value).strip().lower())
    if truth_value is None:
        raise wrong_type(name, "true or false", value)
    return truth_value
