"""One page: its file read and checked, then its code run, which leaves plain Markdown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from analysis.project.errors import UserError

CELL = re.compile(r"^```\{python\}\n((?:#\|[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`\{python\}[ \t]([^`\n]+)`")
OPTIONS = {"include": (True, False), "output": ("asis",), "echo": (True, False)}
# What the text between the cells may not contain; the one div there is #refs.
UNKNOWN = {
    r"\{\{<\s*(\S+)": "shortcode",
    r"^\s*```+\s*\{+\s*(\w+)": "cell or end of a cell",
    r"^:::+ *((?!\{#refs\} *$)\S.*)": "div",
    r"(?<!`)`(\{python\}[^`\n]*)$": "inline code over several lines",
}
ANSI = re.compile(r"\x1b\[[0-9;]*m")
FENCED = "```````````` {}\n{}\n````````````"  # longer than what an output may hold
# Quarto's order of preference, without the kind that paper cannot show; the last is plain text.
KINDS = {"html": ("text/html", "text/markdown"), "typst": ("text/markdown",)}


class PreviewError(UserError):
    """What the preview cannot find or do, in one line that names the place."""


class Part(NamedTuple):
    """A piece of text or, with options, of code; ``file`` and ``line`` are where it begins."""

    file: str
    line: int
    text: str
    options: dict[str, Any] | None = None

    def place(self, position: int) -> str:
        """Return the place of a position in the text, such as ``index.qmd:12``."""
        return f"{self.file}:{self.line + self.text.count(chr(10), 0, position)}"


def read_document(path: Path, project: Path) -> tuple[dict[str, Any], list[Part]]:
    """Return the front matter of a page and its parts; raise PreviewError at what is unknown."""
    first, *others = _texts(path, os.path.relpath(path, project))
    header = re.match(r"---\n(.*?)^---$", first.text, re.MULTILINE | re.DOTALL)
    metadata = parse_yaml(first._replace(line=2, text=header[1])) if header else {}
    parts = list(_parts(first, header.end() if header else 0))
    shown = bool(metadata.get("execute", {}).get("echo", False))
    for text in others:
        parts += _parts(text, 0)
    return metadata, [
        part if part.options is None else part._replace(options={"echo": shown} | part.options)
        for part in parts
    ]


def _texts(path: Path, name: str) -> list[Part]:
    """Return the text of a page, or that of each cell of a notebook, written as in a page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return [Part(name, 1, text)]
    try:
        cells = nbformat.reads(text, as_version=4).cells
    except Exception as error:
        raise PreviewError(f"{name}: not a notebook: {type(error).__name__}") from None
    return [
        # The line above the first of a cell is not in the notebook.
        Part(f"{name}, cell {number}", 0, f"```{{python}}\n{cell.source}\n```\n")
        if cell.cell_type == "code"
        else Part(f"{name}, cell {number}", 1, f"{cell.source}\n\n")
        for number, cell in enumerate(cells, start=1)
    ] or [Part(name, 1, "")]


def parse_yaml(part: Part) -> dict[str, Any]:
    """Return the mapping in a text; raise PreviewError if it is something else."""
    if code := INLINE.search(part.text):
        raise PreviewError(
            f"{part.place(code.start())}: code in metadata or options runs too early or never"
        )
    try:
        return dict(yaml.safe_load(part.text) or {})
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise PreviewError(f"{part.place(0)}: not YAML: {' '.join(str(error).split())}") from None


def _parts(whole: Part, start: int) -> Iterator[Part]:
    def piece(start: int, end: int) -> Part:
        line = whole.line + whole.text.count("\n", 0, start)
        return whole._replace(line=line, text=whole.text[start:end])

    for cell in CELL.finditer(whole.text, start):
        yield _checked(piece(start, cell.start()))
        header, start = piece(*cell.span(1)), cell.end()
        options = parse_yaml(header._replace(text=re.sub(r"^#\|", "", header.text, flags=re.M)))
        for name, value in options.items():
            if value not in OPTIONS.get(name, ()):
                place = header.place(header.text.index(name))
                raise PreviewError(f"{place}: the preview has no cell option '{name}: {value}'")
        yield piece(*cell.span(2))._replace(options=options)
    yield _checked(piece(start, len(whole.text)))


def _checked(part: Part) -> Part:
    for pattern, thing in UNKNOWN.items():
        if wrong := re.search(pattern, part.text, re.MULTILINE):
            place = part.place(wrong.start(1))
            raise PreviewError(f"{place}: the preview has no {thing} '{wrong[1]}'")
    return part


def execute(parts: list[Part], *, to: str, kernel: dict[str, Any]) -> str:
    """Return a page as Markdown without code; ``kernel`` has its ``cwd`` and ``env``."""
    if len(parts) == 1 and not INLINE.search(parts[0].text):
        return parts[0].text
    client = NotebookClient(new_notebook(), timeout=None, shutdown_kernel="immediate")
    client.extra_arguments = ["--log-level=ERROR"]
    with client.setup_kernel(**kernel):
        return "".join(
            _fill(client, part, to)
            if part.options is None
            else _result(part, _run(client, part), to)
            for part in parts
        )


def _run(client: NotebookClient, cell: Part) -> list[NotebookNode]:
    code = new_code_cell(cell.text)
    client.nb.cells.append(code)
    try:
        client.execute_cell(code, len(client.nb.cells) - 1)
    except CellExecutionError as error:
        row = re.search(r"Cell In\[\d+\], line (\d+)", ANSI.sub("", error.traceback))
        line = cell.line + int(row[1]) - 1 if row else cell.line
        reason = ANSI.sub("", error.evalue).partition("\n")[0]
        raise PreviewError(f"{cell.file}:{line}: {error.ename}: {reason}") from None
    return code.outputs


def _fill(client: NotebookClient, part: Part, to: str) -> str:
    places = {code[1]: part.place(code.start()) for code in INLINE.finditer(part.text)}
    expressions = {code: code for code in places}
    assert client.kc is not None, "the kernel is running"
    request = client.kc.execute("", user_expressions=expressions, store_history=False)
    reply = client.wait_for_reply(request) or {}
    for code, got in reply["content"]["user_expressions"].items():
        if got["status"] == "error":
            raise PreviewError(f"{places[code]}: {got['ename']}: {got['evalue']}".split("\n")[0])
        kind, text = _preferred(got["data"], to)
        if kind == "text/plain" and re.fullmatch(r"'.*'|\".*\"", text):
            # As in Quarto, a string is text and not Markdown.
            text = re.sub(r"([\\`*_{}\[\]()>#+\-.,!])", r"\\\1", text[1:-1])
        if not text or kind == "text/html":
            raise PreviewError(f"{places[code]}: `{code}` gives no text to print")
        expressions[code] = text
    return INLINE.sub(lambda code: expressions[code[1]], part.text)


def _result(cell: Part, outputs: list[NotebookNode], to: str) -> str:
    options = cell.options or {}
    shown = [FENCED.format("python", cell.text.rstrip())] if options.get("echo") else []
    for output in outputs if options.get("include", True) else []:
        kind, text = _preferred(output.get("data") or {"text/plain": output.get("text", "")}, to)
        if output.get("name") == "stderr":
            continue
        if kind != "text/markdown" and "output" not in options:
            language = "{=html}" if kind == "text/html" else "text"
            text = FENCED.format(language, ANSI.sub("", text).rstrip())
        shown.append(text)
    return "\n\n".join(["", *shown, ""])


def _preferred(data: dict[str, str], to: str) -> tuple[str, str]:
    kind = next((kind for kind in KINDS[to] if kind in data), "text/plain")
    return kind, data.get(kind, "")
