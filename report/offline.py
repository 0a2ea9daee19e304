"""Make pages work when they are opened from a file.

Browsers refuse modules there, and Quarto loads its own conveniences, such as the table of contents
that follows the reader, as a module with one import. The two become one plain script. Modules that
are of another form are asked for only where they can be had.
"""

from __future__ import annotations

import re
from pathlib import Path

_MODULE = re.compile(r'<script src="(?P<source>[^"]+)" type="module"></script>')
# Written while the page is parsed, so that they run before the page is said to be complete.
_WHERE_ALLOWED = (
    "<script>if (location.protocol !== 'file:') document.write("
    '\'<script src="{source}" type="module"><\\/script>\')</script>'
)
_IMPORT = re.compile(r'^import \* as (?P<name>\w+) from "(?P<source>[^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=function (?P<name>\w+))", re.MULTILINE)


def quiet(html: str) -> str:
    """Return a page whose modules are loaded over http alone."""
    return _MODULE.sub(lambda tag: _WHERE_ALLOWED.format(source=tag["source"]), html)


def plain(module: Path) -> str | None:
    """Return a module with what it imports as one plain script, or nothing where that is not easy.

    Easy is: whole modules imported under a name, and functions exported where they are defined.
    """

    def inlined(statement: re.Match[str]) -> str:
        imported = (module.parent / statement["source"]).read_text(encoding="utf-8")
        names = [export["name"] for export in _EXPORT.finditer(imported)]
        body = _EXPORT.sub("", imported)
        return (
            f"const {statement['name']} = (() => {{{body}\nreturn {{ {', '.join(names)} }}; }})();"
        )

    text = _IMPORT.sub(inlined, module.read_text(encoding="utf-8"))
    if re.search(r"^(import|export)\b|\bimport\(|import\.meta", text, re.MULTILINE):
        return None
    return "(() => {" + text + "\n})();\n"


def rewrite(html: str, *, folder: Path) -> str:
    """Return a page in a folder without modules where that can be; plain scripts are written."""
    for tag in _MODULE.finditer(html):
        module = folder / tag["source"]
        if module.name == "tabsets.js":  # it comes with the module that imports it
            html = html.replace(tag[0], "")
        elif module.is_file() and (script := plain(module)):
            module.with_suffix(".plain.js").write_text(script, encoding="utf-8")
            source = tag["source"].removesuffix(".js") + ".plain.js"
            html = html.replace(tag[0], f'<script defer src="{source}"></script>')
    return quiet(html)
