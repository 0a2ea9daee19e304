"""Run the cells and inline code of a page in one kernel, and put what they give into its text."""

from __future__ import annotations

import base64
import os
import re
from html import escape
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from .source import CAPTIONS, INLINE, Cell, Document, Line, PreviewError

IMAGES = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}
# Quarto's order of preference. Print takes HTML late, and then only its tables.
PREFERENCE = {
    "html": ("text/html", "text/markdown", *IMAGES, "text/plain"),
    "typst": ("text/markdown", *IMAGES, "text/html", "text/plain"),
}
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def execute(
    document: Document, *, to: str, defaults: dict[str, Any], env: dict[str, str], cwd: Path, out: Path
) -> str:
    """Return the page as Markdown without code, and its images in the folder `out`.

    to: "html" or "typst". defaults: options of the cells that do not set them. env, cwd: the
    environment and the folder of the page's Python process.
    """
    parts = document.parts
    if not any(isinstance(part, Cell) or any(map(_inline, part)) for part in parts):
        return "\n".join(line.text for part in parts for line in part)
    client = NotebookClient(new_notebook(), timeout=None, shutdown_kernel="immediate")
    markdown = []
    with client.setup_kernel(env={**os.environ, **env}, cwd=str(cwd)):
        for number, part in enumerate(parts):
            if isinstance(part, Cell):
                options = {"echo": True, "output": True, "include": True, "warning": True}
                cell = Cell(part.place, options | defaults | part.options, part.code)
                markdown.append(_result(cell, _run(client, cell), to=to, stem=out / f"{number}"))
            else:
                markdown += _fill(client, part, to=to)
    return "\n".join(markdown)


def _inline(line: Line) -> list[str]:
    return INLINE.findall(line.text)


def _run(client: NotebookClient, cell: Cell) -> list[NotebookNode]:
    code = new_code_cell("\n".join(line.text for line in cell.code))
    client.nb.cells.append(code)
    try:
        client.execute_cell(code, len(client.nb.cells) - 1)
    except CellExecutionError as error:
        row = re.search(r"Cell In\[\d+\], line (\d+)", ANSI.sub("", error.traceback))
        place = cell.code[int(row[1]) - 1].place if row else cell.place
        reason = ANSI.sub("", error.evalue).partition("\n")[0]
        raise PreviewError(f"{place}: {error.ename}: {reason}") from None
    except DeadKernelError:
        raise PreviewError(f"{cell.place}: the Python process ended within this cell") from None
    return code.outputs


def _fill(client: NotebookClient, lines: list[Line], *, to: str) -> list[str]:
    code = {expression: expression for line in lines for expression in _inline(line)}
    results: dict[str, Any] = {}
    if code:
        request = client.kc.execute("", user_expressions=code, store_history=False)
        results = client.wait_for_reply(request)["content"]["user_expressions"]

    def value(expression: str, place: str) -> str:
        result = results[expression]
        if result["status"] == "error":
            raise PreviewError(f"{place}: {result['ename']}: {result['evalue']}")
        kind, text = _preferred(result["data"], to)
        if kind == "text/html":
            text = f"`{text}`{{=html}}"
        elif kind == "text/plain" and re.fullmatch(r"'.*'|\".*\"", text):
            # As in Quarto, a string is text and not Markdown.
            text = re.sub(r"([\\`*_{}\[\]()>#+\-.,!])", r"\\\1", text[1:-1])
        if not text or kind in IMAGES:
            raise PreviewError(f"{place}: `{expression}` gives no text to print")
        return text

    return [INLINE.sub(lambda code, at=at: value(code[1], at), row) for at, row in lines]


def _result(cell: Cell, outputs: list[NotebookNode], *, to: str, stem: Path) -> str:
    options = cell.options
    if not options["include"]:
        return ""
    code = _fenced("\n".join(line.text for line in cell.code), "python")
    blocks = [code] if options["echo"] else []
    shown = []
    for number, output in enumerate(outputs if options["output"] else []):
        if output.output_type != "stream":
            shown.append(_display(output, to=to, file=stem.with_name(f"{stem.name}-{number}")))
        elif output.name == "stdout" and options["output"] == "asis":
            shown.append(output.text)
        elif output.name == "stdout" or options["warning"]:
            shown.append(_fenced(ANSI.sub("", output.text), "text"))
    caption = CAPTIONS.get(options.get("label", "")[:3])
    if caption and options["output"]:
        alt = escape(" ".join(options.get("fig-alt", "").split())).replace("\\", "\\\\")
        shown.insert(0, f'::: {{#{options["label"]} fig-alt="{alt}"}}')
        shown += [options[caption], ":::"]
    return "\n\n".join(["", *blocks, *shown, ""])


def _display(output: NotebookNode, *, to: str, file: Path) -> str:
    kind, text = _preferred(output.data, to)
    if kind in IMAGES:
        file = file.with_suffix(f".{IMAGES[kind]}")
        file.write_bytes(text.encode() if kind == "image/svg+xml" else base64.b64decode(text))
        return f"![](<{file}>)"
    return text if kind == "text/markdown" else _fenced(text, "{=html}" if "html" in kind else "text")


def _preferred(data: dict[str, str], to: str) -> tuple[str, str]:
    kind = next((kind for kind in PREFERENCE[to] if kind in data), "")
    return kind, data.get(kind, "")


def _fenced(text: str, language: str) -> str:
    ticks = max(["``", *re.findall(r"`+", text)], key=len) + "`"
    return f"{ticks} {language}\n{text.rstrip()}\n{ticks}"
