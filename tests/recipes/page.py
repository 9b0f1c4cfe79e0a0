"""A report as a reader of it sees it: its tables by their captions, its sections, its text."""

from html.parser import HTMLParser
from pathlib import Path

from preflab.reporting.format import MINUS


class Page(HTMLParser):
    """A parsed report."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.raw = (folder / "report.html").read_text(encoding="utf-8")
        self.tables: dict[str, list[list[str]]] = {}
        """Caption -> cells, row by row, the heads first, with the signs of a keyboard."""
        self.text = ""
        self.sections: list[str] = []
        """Anchors of the sections, in order."""
        self.attributes: list[tuple[str, str | None]] = []
        """Of all tags."""
        self.tags: list[str] = []
        self._caption: list[str] | None = None
        self._rows: list[list[str]] = []
        self._cell: list[str] | None = None
        self.feed(self.raw)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "h2":
            self.sections.append(str(dict(attrs)["id"]))
        elif tag == "caption":
            self._caption, self._rows = [], []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_data(self, data: str) -> None:
        data = data.replace(MINUS, "-")
        self.text += data
        if self._cell is not None:
            self._cell.append(data)
        elif self._caption is not None and not self._rows:
            self._caption.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self._rows[-1].append("".join(self._cell).strip())
            self._cell = None
        elif tag == "table" and self._caption is not None:
            self.tables["".join(self._caption).strip()] = self._rows
            self._caption = None

    def loads_nothing(self) -> bool:
        """No scripts, and nothing fetched from elsewhere."""
        links = [str(value) for name, value in self.attributes if name in ("src", "href")]
        return "script" not in self.tags and all(link.startswith("#") for link in links)
