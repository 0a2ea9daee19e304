"""Keep pages quiet when they are opened from a file.

Browsers refuse modules there, and Quarto loads its own conveniences as modules. They are asked for
only where they can be had; what a page says and its charts do not need them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_MODULE = re.compile(r'<script src="(?P<source>[^"]+)" type="module"></script>')
# Written while the page is parsed, so that they run before the page is said to be complete.
_WHERE_ALLOWED = (
    "<script>if (location.protocol !== 'file:') document.write("
    '\'<script src="{source}" type="module"><\\/script>\')</script>'
)


def quiet(html: str) -> str:
    """Return a page whose modules are loaded over http alone."""
    return _MODULE.sub(lambda tag: _WHERE_ALLOWED.format(source=tag["source"]), html)


if __name__ == "__main__":
    for name in os.environ["QUARTO_PROJECT_OUTPUT_FILES"].splitlines():
        page = Path(name)
        if page.suffix == ".html":
            page.write_text(quiet(page.read_text(encoding="utf-8")), encoding="utf-8")
