"""Quarto documents as text: front matter, includes and cells, and a check of what they use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PROJECT_CLASSES = frozenset("abstract figure-data table-responsive".split())
DIV_WORDS = PROJECT_CLASSES.union(
    "callout-note callout-tip callout-warning callout-important callout-caution".split(),
    "column-margin column-body-outset column-page content-visible content-hidden".split(),
    "when-format unless-format when-profile unless-profile title fig-alt".split(),
)
OPTIONS = dict.fromkeys("label fig-cap fig-alt tbl-cap".split(), str)
OPTIONS |= dict.fromkeys("echo output include warning error".split(), bool)
CAPTIONS = {"fig": "fig-cap", "tbl": "tbl-cap"}
INLINE = re.compile(r"(?<!`)`\{python\}[ \t]([^`]+)`")


class PreviewError(Exception):
    """What the preview cannot find or do, in one line that names the place."""


class Line(NamedTuple):
    """A line of text and where it stands: file and number."""

    place: str
    text: str


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
    lines = _read(path, project=project, folder=path.parent)
    rules = [number for number, line in enumerate(lines) if line.text.rstrip() == "---"]
    end = rules[1] if rules[:1] == [0] and rules[1:] else 0
    metadata = parse_yaml(lines[1:end])
    return Document(path.relative_to(project), metadata, list(_split(lines[end and end + 1 :])))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a configuration file."""
    return parse_yaml(_read(path, project=path.parent, folder=path.parent))


def parse_yaml(lines: list[Line]) -> dict[str, Any]:
    """Return the mapping that the lines hold; raise PreviewError where they hold another thing."""
    for line in lines:
        if INLINE.search(line.text):
            raise PreviewError(f"{line.place}: Quarto evaluates no code in metadata and options")
    try:
        value = yaml.safe_load("\n".join(line.text for line in lines)) or {}
    except yaml.MarkedYAMLError as error:
        number = min(error.problem_mark.line if error.problem_mark else 0, len(lines) - 1)
        raise PreviewError(f"{lines[number].place}: {error.problem}") from None
    if not isinstance(value, dict):
        raise PreviewError(f"{lines[0].place}: expected lines of 'key: value'")
    return value


def _read(file: Path, *, project: Path, folder: Path, chain: tuple[Path, ...] = ()) -> list[Line]:
    lines = []
    for number, text in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        place = f"{os.path.relpath(file, project)}:{number}"
        if include := re.fullmatch(r"\s*\{\{< include (\S+) >\}\}\s*", text):
            # As in Quarto, relative to the page, even where an included file includes another.
            base = project if include[1].startswith("/") else folder
            target = (base / include[1].lstrip("/")).resolve()
            if not target.is_file() or target in (*chain, file):
                raise PreviewError(f"{place}: cannot include {include[1]}: no such file, or a loop")
            lines += _read(target, project=project, folder=folder, chain=(*chain, file))
        elif shortcode := re.search(r"\{\{<\s*(\S+)", text):
            raise PreviewError(f"{place}: the preview has no shortcode '{shortcode[1]}'")
        else:
            lines.append(Line(place, text))
    return [*lines, Line(place, "")]


def _split(lines: list[Line]) -> Iterator[Cell | list[Line]]:
    text: list[Line] = []
    fence, cell = "", None
    for line in lines:
        mark = re.match(r"\s*(```+|~~~+)\s*([^`]*)$", line.text)
        closes = fence and mark and mark[1].startswith(fence) and not mark[2]
        if cell and closes:
            yield _cell(cell.place, text)
            text, fence, cell = [], "", None
            continue
        if not fence and line.text.rstrip() == "```{python}":
            yield text
            text, fence, cell = [], "```", line
            continue
        if not cell and mark and (language := re.match(r"\{+\s*(\w+)", mark[2])):
            raise PreviewError(f"{line.place}: the preview runs no cell '{language[1]}' like this")
        if not fence:
            _check(line, before=text[-1].text if text else "")
        fence = "" if closes else fence or (mark[1] if mark else "")
        text.append(line)
    if cell:
        raise PreviewError(f"{cell.place}: this cell has no end")
    yield text


def _check(line: Line, *, before: str) -> None:
    if line.text.count("`{python}") != len(INLINE.findall(line.text)):
        raise PreviewError(f"{line.place}: inline code must begin and end on one line")
    if before.rstrip() == "---" and line.text.strip():
        raise PreviewError(f"{line.place}: after '---' this is metadata; leave a line empty")
    if label := re.search(r"\{#((eq|lst|thm|lem|cor|prp|cnj|def|exm|exr)-[\w-]+)", line.text):
        raise PreviewError(f"{line.place}: the preview cannot number '{label[1]}'")
    if line.text.lstrip().startswith(":::"):
        unquoted = re.sub(r"""(["']).*?\1""", "", line.text)
        for words in re.findall(r":::+ *(\w[\w-]*)|\.([\w-]+)|([\w-]+)=", unquoted):
            if unknown := {*words} - DIV_WORDS - {""}:
                raise PreviewError(f"{line.place}: the preview has no div class '{unknown.pop()}'")


def _cell(place: str, lines: list[Line]) -> Cell:
    count = next((n for n, line in enumerate(lines) if line.text[:2] != "#|"), len(lines))
    rows = [Line(line.place, line.text[2:].removeprefix(" ")) for line in lines[:count]]
    options = parse_yaml(rows)
    for name, value in options.items():
        row = next((row.place for row in rows if row.text.startswith(f"{name}:")), place)
        if name not in OPTIONS:
            raise PreviewError(f"{row}: the preview has no cell option '{name}'")
        known = isinstance(value, OPTIONS[name]) or (name, value) == ("output", "asis")
        if not known or (name, value) == ("error", True):
            raise PreviewError(f"{row}: the preview has no '{name}: {value}'")
    captions = {name for name in options if name.endswith("-cap")}
    if captions != {*filter(None, [CAPTIONS.get(options.get("label", "")[:3])])}:
        raise PreviewError(f"{place}: a label 'fig-…' or 'tbl-…' and its caption go together")
    return Cell(place, options, lines[count:])
