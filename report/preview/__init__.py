"""A preview of the paper where no Quarto is installed: the same .qmd files as HTML and PDF.

A copy for reading and testing, which says so on each page. It keeps to these constructs; others,
and what is missing or fails, raise a PreviewError that names the file, the line and the thing.

- `_quarto.yml` with profiles: `project` output-dir, render, resources, execute-dir (pre-render is
  the caller's); `website` navbar.left; there, under `format` or in a page: format (html, typst),
  bibliography, csl, toc, css, number-sections, include-in-header, execute, and what Pandoc takes.
- `{{< include FILE >}}` on a line of its own, relative to the page or, after a slash, the project.
- ```` ```{python} ```` cells; options label, echo, output (or asis), include, warning, fig-cap,
  fig-alt, tbl-cap, error: false; results as text, Markdown, HTML (on the web), SVG, PNG.
- Inline code, `{python} …`, in text, headings and captions; not in metadata or cell options.
- Divs #fig-… and #tbl-… (the last paragraph is the caption), #refs, callout-…; column-… (no
  effect); content-visible and content-hidden by format or profile; PROJECT_CLASSES.
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

from .document import Document, PreviewError, execute, parse_yaml, read_document, read_lines

__all__ = ["PreviewError", "configuration", "preview"]
HERE = Path(__file__).parent
NOTICE = "**Preview**, made without Quarto, for reading and testing; the published page differs."
FORMATS = {"html": "HTML", "typst": "Typst"}


def preview(project: Path, *, profile: str | None = None) -> list[Path]:
    """Render the Quarto project in a folder; return its HTML pages and PDFs.

    profile: as Quarto's `--profile`, one name or several with commas between. The output folder is
    replaced when everything is done; a PreviewError leaves it as it was.
    """
    project = project.resolve()
    try:
        config = configuration(project, profile)
        target = (project / config["project"].get("output-dir", "_site")).resolve()
        if project.is_relative_to(target):
            raise PreviewError(f"_quarto.yml: output-dir '{target}' would replace the project")
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            files = _write(project, config, work=Path(scratch))
            if target.exists():
                target.rename(Path(scratch) / "replaced")
            (Path(scratch) / "site").rename(target)
    except FileNotFoundError as error:
        raise PreviewError(f"{os.path.relpath(error.filename, project)}: no such file") from None
    return [target / file for file in files]


def configuration(project: Path, profile: str | None) -> dict[str, Any]:
    """Return what `_quarto.yml` says with its profiles over it, merged as Quarto merges them."""
    config: dict[str, Any] = {"project": {}, "website": {}, "profile": {}}
    config |= parse_yaml(read_lines(project / "_quarto.yml", project, folder=project))
    names = profile or os.environ.get("QUARTO_PROFILE") or config["profile"].get("default", [])
    profiles = names.split(",") if isinstance(names, str) else names
    for name in reversed(profiles):
        lines = read_lines(project / f"_quarto-{name}.yml", project, folder=project)
        config = _merge(config, parse_yaml(lines))
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
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.is_file() and work not in file.parents:
                copy = site / file.relative_to(project)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
    paths = _found(project, config["project"].get("render", "[!_.]*.qmd"))
    pages = [read_document(path, project) for path in paths]
    titles = {str(page.path): page.metadata.get("title") for page in pages}
    nav, jobs = {}, []
    for item in config["website"].get("navbar", {}).get("left", []):
        item = item if isinstance(item, dict) else {"href": item}
        nav[item["href"]] = item.get("text", titles.get(item["href"]))
    for page in pages:
        formats = page.metadata.get("format", config.get("format", "html"))
        for to in {"html", *([formats] if isinstance(formats, str) else formats)}:
            if to not in FORMATS:
                raise PreviewError(f"{page.path}: the preview has no format '{to}'")
            jobs.append((page, to, _metadata(page, to, config=config, nav=nav, project=project)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sorted(pool.map(lambda job: _render(*job, project=project, work=work), jobs))


def _metadata(page: Document, to: str, *, config: dict, nav: dict, project: Path) -> dict[str, Any]:
    up = "../" * (len(page.path.parts) - 1)
    links = [f"- [{text}]({href if ':' in href else up + href})" for href, text in nav.items()]
    before = "\n".join(["<nav>\n", *links, "\n</nav>\n"] if to == "html" and links else [])
    before += f"\n::: preview-notice\n{NOTICE}\n:::\n"
    style = f'<link rel="stylesheet" href="{up}preview.css">'
    headers = [style if to == "html" else (HERE / "preview.typ").read_text("utf-8")]
    merged = {"lang": "en", "link-citations": True, "papersize": "a4", "document-css": False}
    for level, folder in ((config, project), (page.metadata, (project / page.path).parent)):
        own = level["format"].get(to) if isinstance(level.get("format"), dict) else None
        level = _merge(level, own if isinstance(own, dict) else {})
        for key in {"bibliography", "csl"} & set(level):
            level[key] = [str(folder / name) for name in _listed(level[key])]
        for name in _listed(level.pop("css", None)):
            headers.append(f"<style>\n{(folder / name).read_text('utf-8')}</style>")
        for item in _listed(level.pop("include-in-header", None)):
            headers.append(item["text"] if isinstance(item, dict) else (folder / item).read_text())
        merged = _merge(merged, level)
    authors = [it["name"] if isinstance(it, dict) else it for it in _listed(merged.get("author"))]
    headers = [f"``````{{={to}}}\n{text}\n``````\n" for text in headers]
    return merged | {"author": authors, "header-includes": headers, "include-before": before}


def _render(page: Document, to: str, metadata: dict, *, project: Path, work: Path) -> Path:
    site, own, source = work / "site", work / to / page.path, project / page.path
    own.mkdir(parents=True)
    options = metadata.get("execute", {})
    info = {"pandoc": {"to": to}, "execute": options, "metadata": metadata}
    info["identifier"] = {"display-name": FORMATS[to], "target-format": to, "base-format": to}
    info = {"document-path": str(source), "format": info}
    (own / "info.json").write_text(json.dumps(info, default=str), encoding="utf-8")
    environment = dict.fromkeys(["QUARTO_PROJECT_ROOT", "QUARTO_PROJECT_DIR"], str(project))
    environment |= {"QUARTO_DOCUMENT_PATH": str(source.parent), "QUARTO_DOCUMENT_FILE": source.name}
    environment["QUARTO_PROFILE"] = ",".join(metadata["preview-profiles"])
    environment["QUARTO_EXECUTE_INFO"] = str(own / "info.json")
    cwd = project if metadata["project"].get("execute-dir") == "project" else source.parent
    kernel = {"env": os.environ | environment, "cwd": str(cwd)}
    text = execute(page.parts, to=to, defaults=options, folder=own, kernel=kernel)
    html, pdf = site / page.path.with_suffix(".html"), site / page.path.with_suffix(".pdf")
    html.parent.mkdir(parents=True, exist_ok=True)
    output = html if to == "html" else own / "page.typ"
    command = [pypandoc.get_pandoc_path(), "--standalone", "--mathml", "--columns=999"]
    command += [f"--to={'html' if to == 'html' else 'typst-citations'}", f"--output={output}"]
    command += [f"--resource-path={source.parent}", f"--extract-media={html.stem}_files"]
    command += ["--toc"] if metadata.get("toc") else []
    command += [f"--lua-filter={HERE / 'preview.lua'}", "--citeproc"]
    for key in ("bibliography", "csl"):
        command += [f"--{key}={path}" for path in metadata.pop(key, [])]
    block = json.dumps(metadata, default=str, ensure_ascii=False)  # for JSON is YAML
    text = f"---\n{block}\n---\n\n{text}"
    streams = {"capture_output": True, "encoding": "utf-8"}
    problems = subprocess.run(command, input=text, cwd=output.parent, **streams).stderr
    if problems:  # what is a warning for Pandoc is an error here
        message = re.sub(r"^\[WARNING\] Citeproc: citation ", "@", problems).splitlines()[0]
        key = re.match(r"@[\w:.-]*\w|", message)[0]
        lines = [line for part in page.parts if isinstance(part, list) for line in part]
        found = [place for place, row in lines if key and re.search(rf"{key}(?![\w-])", row)]
        raise PreviewError(f"{[*found, page.path][0]}: {message}")
    try:
        if to == "typst":
            typst.compile(str(output), output=str(pdf), root=str(own))
    except typst.TypstError as error:
        raise PreviewError(f"{page.path}: Typst: {str(error).splitlines()[0]}") from None
    return (html if to == "html" else pdf).relative_to(site)
