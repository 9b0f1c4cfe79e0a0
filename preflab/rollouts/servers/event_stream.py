"""Server-sent events out of the bytes of a stream.

Lines end at a line feed, which a carriage return may stand before; nothing else ends one. JSON may hold U+2028, U+2029
or U+0085 as they are, at which ``str.splitlines`` would part it. Bytes are decoded line by line, so that a character
may come in two chunks.
"""

from collections.abc import Iterable, Iterator


def read_events(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each event: its ``data:`` lines joined; comments and other fields are passed over.

    A last event that no blank line ends is given too.
    """
    data: list[str] = []
    for line in _lines(chunks):
        if not line and data:
            yield "\n".join(data)
            data = []
        elif line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
    if data:
        yield "\n".join(data)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    buffer = b""
    for chunk in chunks:
        *complete, buffer = (buffer + chunk).split(b"\n")
        for line in complete:
            yield _decode(line)
    if buffer:
        yield _decode(buffer)


def _decode(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace").removeprefix("\ufeff")
