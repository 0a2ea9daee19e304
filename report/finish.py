"""What comes after rendering with Quarto: pages that work as files, a date for Google Scholar."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_DATE = re.compile(r'<meta name="dcterms.date" content="(\d+)-(\d+)-(\d+)">')
_PUBLISHED = '<meta name="citation_publication_date"'
_TITLE = '<meta name="citation_title"'


def dated(html: str) -> str:
    """Return a page whose date is also told in the form that Google Scholar reads.

    Quarto writes that form before a cell can tell the date of the results.
    """
    if (date := _DATE.search(html)) and _PUBLISHED not in html:
        tag = f'{_PUBLISHED} content="{"/".join(date.groups())}">'
        return html.replace(_TITLE, f"{tag}\n{_TITLE}", 1)
    return html


def _finish(page: Path) -> None:
    from report import offline

    html = page.read_text(encoding="utf-8")
    page.write_text(dated(offline.rewrite(html, folder=page.parent)), encoding="utf-8")


if __name__ == "__main__":
    # As in report/prepare.py.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    for name in os.environ["QUARTO_PROJECT_OUTPUT_FILES"].splitlines():
        if name.endswith(".html"):
            _finish(Path(name))
