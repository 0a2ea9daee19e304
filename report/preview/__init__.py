"""A preview of the paper where no Quarto is installed: the same .qmd files as HTML and PDF.

A copy for reading and testing, which says so on each page; one theme and a list of pages. It keeps
to these constructs. What else a page asks for raises a PreviewError: file, line and name.

- `_quarto.yml` with profiles: `project` output-dir, render, resources, execute-dir; `website` title,
  navbar.left; and as metadata there, under `format` or in a page: format (html, typst), title,
  subtitle, author, date, abstract, lang, bibliography, csl, toc, toc-depth, number-sections,
  include-in-header, execute, and any other that Pandoc or the page's own code reads.
- `{{< include FILE >}}` on a line of its own, relative to the page or, after a slash, the project.
- ```` ```{python} ```` cells; options label, echo, output (or asis), include, warning, fig-cap,
  fig-alt, tbl-cap, error: false; results as text, Markdown, HTML, SVG, PNG, JPEG.
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
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pypandoc
import typst

from .cells import execute
from .source import Document, PreviewError, listed, merge, read_configuration, read_document

__all__ = ["PreviewError", "preview"]
HERE = Path(__file__).parent
NOTICE = "A preview made without Quarto, for reading and testing. The published page differs."
FORMATS = {"html": "HTML", "typst": "Typst"}
# These would change what a page says, so they are refused instead of left out.
REFUSED = "pre-render post-render filters shortcodes include-before-body include-after-body".split()


def preview(project: Path, *, profile: str | None = None) -> list[Path]:
    """Render the Quarto project in a folder; return the HTML pages and PDFs.

    profile: as Quarto's `--profile`, one name or several with commas between. The output folder is
    replaced when everything is done; a PreviewError leaves it as it was.
    """
    project = project.resolve()
    config = read_configuration(project, profile)
    settings = config.pop("project", None) or {}
    target = (project / settings.get("output-dir", "_site")).resolve()
    if project.is_relative_to(target):
        raise PreviewError(f"_quarto.yml: output-dir '{target}' would replace the project")
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        site = Path(scratch) / "site"
        site.mkdir()
        shutil.copy(HERE / "preview.css", site)
        for path in _found(project, settings.get("resources")):
            if target.parent.is_relative_to(path):
                raise PreviewError(f"_quarto.yml: resources '{path}' hold the output itself")
            copy = site / path.relative_to(project)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(path, copy, dirs_exist_ok=True) if path.is_dir() else shutil.copy(path, copy)
        pages = [read_document(path, project) for path in _found(project, settings.get("render"))]
        nav = _navigation(config, pages)
        jobs = [(page, to) for page in pages for to in _formats(page, config)]

        def render(job: tuple[Document, str]) -> Path:
            page, to = job
            metadata = _metadata(page, config | settings, to=to)
            return _render(page, metadata, nav, project=project, to=to, site=site)

        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            files = [target / file for file in pool.map(render, jobs)]
        finally:
            pool.shutdown(cancel_futures=True)
        if target.exists():
            target.rename(Path(scratch) / "replaced")
        site.rename(target)
    return files
