"""A preview of the paper where no Quarto is installed: the same .qmd files as HTML and PDF.

A copy for reading and testing, which says so on each page; one theme and a list of pages. It keeps
to these constructs. What else a page asks for raises a PreviewError: file, line and name.

- `_quarto.yml` with profiles: `project` output-dir, render, resources, execute-dir; `website`
  navbar.left; and as metadata there, under `format` or in a page: format (html, typst), title,
  subtitle, author, date, abstract, lang, bibliography, csl, toc, toc-depth, number-sections,
  include-in-header, execute, and any other that Pandoc or the page's own code reads.
- `{{< include FILE >}}` on a line of its own, relative to the page or, after a slash, the project.
- ```` ```{python} ```` cells; options label, echo, output (or asis), include, warning, fig-cap,
  fig-alt, tbl-cap, error: false; results as text, Markdown, HTML, SVG, PNG.
- Inline code, `{python} …`, in text, headings and captions; not in metadata or cell options.
- Divs #fig-… and #tbl-… (the last paragraph is the caption), #refs, callout-…, column-margin;
  column-page and column-body-outset (no effect); content-visible and content-hidden by format or
  profile; the project's own PROJECT_CLASSES.
- @fig-…, @tbl-…, @sec-… (also [@…] and -@…), citations, and Pandoc's Markdown.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pypandoc
import typst

from .cells import execute
from .source import Document, PreviewError, read_document, read_yaml

__all__ = ["PreviewError", "preview"]
HERE = Path(__file__).parent
NOTICE = "A preview made without Quarto, for reading and testing. The published page differs."
FORMATS = {"html": "HTML", "typst": "Typst"}
# These would change what a page says, so they are refused instead of left out.
REFUSED = {"filters", "metadata-files", "include-before-body", "include-after-body"}


def preview(project: Path, *, profile: str | None = None) -> list[Path]:
    """Render the Quarto project in a folder; return its HTML pages and PDFs.

    profile: as Quarto's `--profile`, one name or several with commas between. The output folder is
    replaced when everything is done; a PreviewError leaves it as it was.
    """
    project = project.resolve()
    try:
        config = _configuration(project, profile)
        target = (project / config["project"].get("output-dir", "_site")).resolve()
        if project.is_relative_to(target):
            raise PreviewError(f"_quarto.yml: output-dir '{target}' would replace the project")
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            work = Path(scratch)
            files = _write(project, config, work=work)
            if target.exists():
                target.rename(work / "replaced")
            (work / "site").rename(target)
    except FileNotFoundError as error:
        raise PreviewError(f"{os.path.relpath(error.filename, project)}: no such file") from None
    return [target / file for file in files]


def _configuration(project: Path, profile: str | None) -> dict[str, Any]:
    config = {"project": {}, "website": {}} | read_yaml(project / "_quarto.yml")
    default = config.pop("profile", {}).get("default", [])
    names = profile or os.environ.get("QUARTO_PROFILE") or default
    profiles = names.split(",") if isinstance(names, str) else names
    for name in reversed(profiles):
        config = _merge(config, read_yaml(project / f"_quarto-{name}.yml"))
    if scripts := {"pre-render", "post-render"} & set(config["project"]):
        raise PreviewError(f"_quarto.yml: the preview runs no '{scripts.pop()}' scripts")
    return config | {"preview-profiles": profiles}


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: _merge(base.get(key), value) for key, value in over.items()}
    if isinstance(base, list) or isinstance(over, list):  # as in Quarto, one after the other
        return _listed(base) + [item for item in _listed(over) if item not in _listed(base)]
    return over


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _found(project: Path, patterns: Any) -> list[Path]:
    found = {pattern: sorted(project.glob(pattern.strip("/"))) for pattern in _listed(patterns)}
    if missing := [pattern for pattern, paths in found.items() if not paths]:
        raise PreviewError(f"_quarto.yml: there is no file '{missing[0]}'")
    return list(dict.fromkeys(path for paths in found.values() for path in paths))


def _write(project: Path, config: dict[str, Any], *, work: Path) -> list[Path]:
    site = work / "site"
    site.mkdir()
    shutil.copy(HERE / "preview.css", site)
    for path in _found(project, config["project"].get("resources")):
        copy = site / path.relative_to(project)
        if path.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        elif not work.is_relative_to(path):  # otherwise it would hold itself
            shutil.copytree(path, copy, dirs_exist_ok=True)
    paths = _found(project, config["project"].get("render", "*.qmd"))
    pages = [read_document(path, project) for path in paths]
    titles = {str(page.path): page.metadata.get("title", page.path.stem) for page in pages}
    left = config["website"].get("navbar", {}).get("left", [])
    items = [item if isinstance(item, dict) else {"href": item} for item in left]
    nav = {item["href"]: item.get("text", titles.get(item["href"])) for item in items}
    jobs = []
    for page in pages:
        formats = page.metadata.get("format", config.get("format", "html"))
        formats = {"html", *([formats] if isinstance(formats, str) else formats)}
        if unknown := sorted(formats - set(FORMATS)):
            raise PreviewError(f"{page.path}: the preview has no format '{unknown[0]}'")
        jobs += [(page, to, _metadata(page, config, nav, project=project, to=to)) for to in formats]
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        return list(pool.map(lambda job: _render(*job, project=project, work=work), jobs))
    finally:
        pool.shutdown(cancel_futures=True)


def _metadata(
    page: Document, config: dict[str, Any], nav: dict[str, str], *, project: Path, to: str
) -> dict[str, Any]:
    up = "../" * len(page.path.parent.parts)
    links = [f"- [{text}]({href if ':' in href else up + href})" for href, text in nav.items()]
    notice = f"::: preview-notice\n{NOTICE}\n:::"
    merged = {"lang": "en", "link-citations": True, "include-before": [notice]}
    if to == "html" and links:
        merged["include-before"].append("\n".join(["<nav>\n", *links, "\n</nav>"]))
    for level, folder in ((config, project), (page.metadata, (project / page.path).parent)):
        formats = level.get("format")
        own = formats.get(to) if isinstance(formats, dict) else None
        level = _merge(level, own if isinstance(own, dict) else {})
        for key in {"bibliography", "csl"} & set(level):
            level[key] = [str(folder / name) for name in _listed(level[key])]
        for item in _listed(level.pop("include-in-header", None)):
            text = item.get("text") if isinstance(item, dict) else (folder / item).read_text("utf-8")
            level.setdefault("header-includes", []).append(f"``````{{=html}}\n{text}\n``````")
        merged = _merge(merged, level)
    if refused := REFUSED & set(merged):
        raise PreviewError(f"{page.path}: the preview does not support '{refused.pop()}'")
    return merged


def _render(
    page: Document, metadata: dict[str, Any], to: str...
