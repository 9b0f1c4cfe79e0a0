"""A hook of mkdocs: pages link to files of the repository outside ``docs``; the site gets copies of these files.

A link ``../results/align/default.json`` works on a code host as it stands. On the site it becomes
``results/align/default.json``, and the file is added there.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

OUTSIDE = re.compile(r"\]\(\.\./([^()#\s]+)")
"""A link from a page at the top of ``docs`` to a file beside ``docs``."""


def linked_files(docs: Path) -> list[str]:
    """Paths below the root of the repository that pages link to, sorted; those that do not exist are left out."""
    texts = [page.read_text(encoding="utf-8") for page in docs.glob("*.md")]
    linked = {path for text in texts for path in OUTSIDE.findall(text)}
    return sorted(path for path in linked if (docs.parent / path).is_file())


def on_files(files: Files, config: Any) -> Files:
    """Add the linked files to the site."""
    for path in linked_files(Path(config.docs_dir)):
        files.append(File.generated(config, path, abs_src_path=str(Path(config.docs_dir).parent / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let the links of pages at the top lead to the copies; one to a file that is missing stays, and mkdocs warns."""
    if "/" in page.file.src_uri:
        return markdown
    copied = set(linked_files(Path(config.docs_dir)))
    return OUTSIDE.sub(lambda link: f"]({link[1]}" if link[1] in copied else link[0], markdown)
