"""One page: its .qmd file read and checked, then its code run, which leaves plain Markdown."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from html import escape
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

PROJECT_CLASSES = {"abstract", "figure-data", "table-responsive"}
CLASSES = {"callout-note", "callout-tip", "callout-warning", "callout-important", "column-margin"}
CLASSES |= {"column-body-outset", "column-page", "content-visible", "content-hidden"}
ATTRIBUTES = {"title", "fig-alt", "when-format", "unless-format", "when-profile", "unless-profile"}
OPTIONS = dict.fromkeys(["label", "fig-cap", "fig-alt", "tbl-cap"], str)
OPTIONS |= dict.fromkeys(["echo", "output", "include", "warning", "error"], bool)
CAPTIONS = {"fig-": "fig-cap", "tbl-": "tbl-cap"}
INLINE = re.compile(r"(?<!`)`\{python\}[ \t]([^`]+)`")
ANSI = re.compile(r"\x1b\[[0-9;]*m")
FENCED = "```````````` {}\n{}\n````````````"  # longer than what an output may hold
IMAGES = {"image/svg+xml": "svg", "image/png": "png"}
# Quarto's order of preference, without the kinds that paper cannot show; the last is plain text.
KINDS = {"html": ("text/html", "text/markdown", *IMAGES), "typst": ("text/markdown", *IMAGES)}
Line = tuple[str, str]  # where it stands, as "index.qmd:12", and its text


class PreviewError(Exception):
    """What the preview cannot find or do, in one line that names the place."""


class Cell(NamedTuple):
    """A code cell: where it begins, its options, and its code without them."""

    place: str
    options: dict[str, Any]
    code: list[Line]


class Document(NamedTuple):
    """A page: its path in the project, its front matter, and its text and cells in order."""

    path: Path
    metadata: dict[str, Any]
    parts: list[Cell | list[Line]]


def read_document(path: Path, project: Path) -> Document:
    """Read a page with what it includes; raise PreviewError at what is not supported."""
    lines = read_lines(path, project, folder=path.parent)
    rules = [number for number, (_, text) in enumerate(lines) if text.rstrip() == "---"]
    end = rules[1] if rules[:1] == [0] and rules[1:] else 0
    parts = list(_parts(lines[end + 1 :] if end else lines))
    return Document(path.relative_to(project), parse_yaml(lines[1:end]), parts)


def read_lines(file: Path, project: Path, *, folder: Path, within: tuple = ()) -> list[Line]:
    """Return the lines of a file and of those that it includes, which may be `within` others."""
    lines = []
    for number, text in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        place = f"{os.path.relpath(file, project)}:{number}"
        if include := re.fullmatch(r"\s*\{\{< include (\S+) >\}\}\s*", text):
            # As in Quarto, relative to the page, even where an included file includes another.
            base = project if include[1].startswith("/") else folder
            target = (base / include[1].lstrip("/")).resolve()
            if not target.is_file() or target in (*within, file):
                raise PreviewError(f"{place}: cannot include {include[1]}: no such file, or a loop")
            lines += read_lines(target, project, folder=folder, within=(*within, file))
        elif shortcode := re.search(r"\{\{<\s*(\S+)", text):
            raise PreviewError(f"{place}: the preview has no shortcode '{shortcode[1]}'")
        else:
            lines.append((place, text))
    return [*lines, (place, "")]


def parse_yaml(lines: list[Line]) -> dict[str, Any]:
    """Return the mapping that the lines hold; raise PreviewError where they hold another thing."""
    for place, text in lines:
        if INLINE.search(text):
            raise PreviewError(f"{place}: code in metadata or options runs too early or never")
    try:
        return dict(yaml.safe_load("\n".join(text for _, text in lines)) or {})
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise PreviewError(f"{lines[0][0]}: not YAML: {' '.join(str(error).split())}") from None


def _parts(lines: list[Line]) -> Iterator[Cell | list[Line]]:
    text: list[Line] = []
    fence, cell = "", ""  # what ends the block of code that we are in; where a cell began
    for place, row in lines:
        mark = re.match(r"(```)()\s*$" if cell else r"\s*(```+|~~~+)\s*([^`]*)$", row)
        ends = mark and fence and mark[1].startswith(fence) and not mark[2]
        if cell and ends:
            yield _cell(cell, text)
            text, fence, cell = [], "", ""
        elif not fence and row.rstrip() == "```{python}":
            yield text
            text, fence, cell = [], "```", place
        else:
            if mark and not cell and (language := re.match(r"\{+\s*(\w+)", mark[2])):
                raise PreviewError(f"{place}: the preview runs no cell '{language[1]}' here")
            if not fence:
                _check(place, row)
            fence = "" if ends else fence or (mark[1] if mark else "")
            text.append((place, row))
    if cell:
        raise PreviewError(f"{cell}: this cell has no end")
    yield text


def _check(place: str, text: str) -> None:
    if text.count("`{python}") != len(INLINE.findall(text)):
        raise PreviewError(f"{place}: inline code must begin and end on one line")
    if label := re.search(r"\{#((eq|lst|thm|lem|cor|prp|cnj|def|exm|exr)-[\w-]+)", text):
        raise PreviewError(f"{place}: the preview cannot number '{label[1]}'")
    unquoted = re.sub(r"""(["']).*?\1""", "", text) if text.lstrip().startswith(":::") else ""
    for words in re.findall(r":::+ *(\w[\w-]*)|\.([\w-]+)|([\w-]+)=", unquoted):
        if unknown := {*words} - CLASSES - PROJECT_CLASSES - ATTRIBUTES - {""}:
            raise PreviewError(f"{place}: the preview has no div class '{unknown.pop()}'")


def _cell(place: str, lines: list[Line]) -> Cell:
    rows = list(takewhile(lambda line: line[1].startswith("#|"), lines))
    options = parse_yaml([(at, text[2:]) for at, text in rows])
    for name, value in options.items():
        at = next((at for at, text in rows if text[2:].strip().startswith(name)), place)
        known = isinstance(value, OPTIONS.get(name, ())) or (name, value) == ("output", "asis")
        if not known or (name, value) == ("error", True):
            raise PreviewError(f"{at}: the preview has no cell option '{name}: {value}'")
    caption = CAPTIONS.get(options.get("label", "")[:4])
    if {caption} - {None} != {name for name in options if name.endswith("-cap")}:
        raise PreviewError(f"{place}: a label 'fig-…' or 'tbl-…' and its caption go together")
    return Cell(place, options, lines[len(rows) :])


def execute(parts: list, *, to: str, defaults: dict, folder: Path, kernel: dict) -> str:
    """Return a page as Markdown without code, its images in a folder; kernel: `cwd` and `env`."""
    if len(parts) == 1 and not any(INLINE.search(text) for _, text in parts[0]):
        return "\n".join(text for _, text in parts[0])
    client = NotebookClient(new_notebook(), timeout=None, shutdown_kernel="immediate")
    client.extra_arguments = ["--log-level=ERROR"]
    defaults = dict.fromkeys(["echo", "output", "include", "warning"], True) | defaults
    markdown = []
    with client.setup_kernel(**kernel):
        for number, part in enumerate(parts):
            if isinstance(part, Cell):
                cell = part._replace(options=defaults | part.options)
                markdown.append(_result(cell, _run(client, cell), to, folder / f"cell-{number}"))
            else:
                markdown.append(_fill(client, part, to))
    return "\n".join(markdown)


def _run(client: NotebookClient, cell: Cell) -> list[NotebookNode]:
    code = new_code_cell("\n".join(text for _, text in cell.code))
    client.nb.cells.append(code)
    try:
        client.execute_cell(code, len(client.nb.cells) - 1)
    except CellExecutionError as error:
        row = re.search(r"Cell In\[\d+\], line (\d+)", ANSI.sub("", error.traceback))
        place = cell.code[int(row[1]) - 1][0] if row else cell.place
        reason = ANSI.sub("", error.evalue).partition("\n")[0]
        raise PreviewError(f"{place}: {error.ename}: {reason}") from None
    return code.outputs


def _fill(client: NotebookClient, lines: list[Line], to: str) -> str:
    places = {code: place for place, text in lines for code in INLINE.findall(text)}
    expressions = {code: code for code in places}
    request = client.kc.execute("", user_expressions=expressions, store_history=False)
    for code, got in client.wait_for_reply(request)["content"]["user_expressions"].items():
        if got["status"] == "error":
            raise PreviewError(f"{places[code]}: {got['ename']}: {got['evalue']}".split("\n")[0])
        kind, text = _preferred(got["data"], to)
        if kind == "text/plain" and re.fullmatch(r"'.*'|\".*\"", text):
            # As in Quarto, a string is text and not Markdown.
            text = re.sub(r"([\\`*_{}\[\]()>#+\-.,!])", r"\\\1", text[1:-1])
        if not text or kind not in ("text/markdown", "text/plain"):
            raise PreviewError(f"{places[code]}: `{code}` gives no text to print")
        expressions[code] = text
    return "\n".join(INLINE.sub(lambda code: expressions[code[1]], text) for _, text in lines)


def _result(cell: Cell, outputs: list[NotebookNode], to: str, file: Path) -> str:
    options, code = cell.options, "\n".join(text for _, text in cell.code)
    shown = [FENCED.format("python", code)] if options["echo"] else []
    caption = CAPTIONS.get(options.get("label", "")[:4])
    if caption:
        alt = escape(" ".join(options.get("fig-alt", "").split())).replace("\\", "\\\\")
        shown.append(f'::: {{#{options["label"]} fig-alt="{alt}"}}')
    for number, output in enumerate(outputs if options["output"] else []):
        kind, text = _preferred(output.get("data") or {"text/plain": output.get("text", "")}, to)
        if kind in IMAGES:
            image = file.with_name(f"{file.name}-{number}.{IMAGES[kind]}")
            image.write_bytes(text.encode() if "svg" in kind else base64.b64decode(text))
            text = f"![](<{image}>)"
        elif output.get("name") == "stderr" and not options["warning"]:
            continue
        elif kind != "text/markdown" and options["output"] != "asis":
            language = "{=html}" if kind == "text/html" else "text"
            text = FENCED.format(language, ANSI.sub("", text).rstrip())
        shown.append(text)
    shown += [options[caption], ":::"] if caption else []
    return "\n\n".join(["", *shown, ""]) if options["include"] else ""


def _preferred(data: dict[str, str], to: str) -> tuple[str, str]:
    kind = next((kind for kind in KINDS[to] if kind in data), "text/plain")
    return kind, data.get(kind, "")
