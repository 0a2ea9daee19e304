"""A preview of the paper where no Quarto is installed: the same pages as HTML and PDF.

A copy for reading and testing, which says so on each page. It keeps to these constructs; others,
and what is missing or fails, raise a PreviewError that names the file, the line and the thing.

- `_quarto.yml` with profiles, and what Pandoc takes as metadata; code is executed in the project.
- ```` ```{python} ```` cells, whose warnings are not shown, with the options include, output: asis
  and echo; code is shown where the page or the cell says echo: true. Results as text, Markdown,
  HTML (on the web). Inline code, `{python} …`, in text.
- Notebooks, whose first cell is the front matter.
- The div #refs. What a cell prints as it is (output: asis) is Markdown too, with headings,
  references, and divs #fig-… and #tbl-…, whose last paragraph is the caption.
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

from analysis.project.errors import nearest

from .document import Part, PreviewError, execute, parse_yaml, read_document

__all__ = ["PreviewError", "configuration", "found", "preview"]
HERE = Path(__file__).parent
NOTICE = "**Preview**, made without Quarto, for reading and testing; the published page differs."
FORMATS = ("html", "typst")


def preview(project: Path, site: Path, *, profile: str | None = None) -> list[Path]:
    """Render the Quarto project in a folder into an empty one; return its HTML pages and PDFs.

    profile: as Quarto's `--profile`, one name or several with commas between.
    """
    project = project.resolve()
    config = configuration(project, profile)
    try:
        with TemporaryDirectory(prefix="preview-") as scratch:
            return _write(project, config, site=site, work=Path(scratch))
    except FileNotFoundError as error:
        raise PreviewError(f"{os.path.relpath(error.filename, project)}: no such file") from None


def configuration(project: Path, profile: str | None) -> dict[str, Any]:
    """Return what `_quarto.yml` says with its profiles over it, merged as Quarto merges them."""
    config: dict[str, Any] = {"project": {}, "website": {}}
    config |= _settings(project / "_quarto.yml")
    known = {path.stem.removeprefix("_quarto-") for path in project.glob("_quarto-*.yml")}
    default = config.get("profile", {}).get("default")
    names = profile or os.environ.get("QUARTO_PROFILE") or default
    for name in reversed(names.split(",") if names else []):
        if name not in known:
            raise PreviewError(
                f"There is no profile {name!r}; the nearest is {nearest(name, known)!r}."
            )
        config = _merge(config, _settings(project / f"_quarto-{name}.yml"))
    return config


def _settings(path: Path) -> dict[str, Any]:
    return parse_yaml(Part(path.name, 1, path.read_text(encoding="utf-8")))


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: _merge(base.get(key), value) for key, value in over.items()}
    if isinstance(base, list) or isinstance(over, list):  # as in Quarto, one after the other
        return _listed(base) + [item for item in _listed(over) if item not in _listed(base)]
    return over


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def found(project: Path, patterns: Any) -> list[Path]:
    """Return the files that patterns of `_quarto.yml` name, in their order."""
    files = {pattern: sorted(project.glob(pattern.strip("/"))) for pattern in _listed(patterns)}
    if missing := [pattern for pattern, paths in files.items() if not paths]:
        raise PreviewError(f"_quarto.yml: there is no file '{missing[0]}'")
    return list(dict.fromkeys(path for paths in files.values() for path in paths))


def _write(project: Path, config: dict[str, Any], *, site: Path, work: Path) -> list[Path]:
    shutil.copy(HERE / "preview.css", site)
    for path in found(project, config["project"].get("resources")):
        copy = site / path.relative_to(project)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    jobs = []
    for path in found(project, config["project"]["render"]):
        own, parts = read_document(path, project)
        formats = own.get("format", "html")
        for to in {"html", *([formats] if isinstance(formats, str) else formats)}:
            if to not in FORMATS:
                raise PreviewError(f"{path.name}: the preview has no format '{to}'")
            metadata = _metadata(own, to, config=config, project=project)
            jobs.append((path, parts, to, metadata, site, work))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sorted(pool.map(lambda job: _render(*job), jobs))


def _metadata(page: dict, to: str, *, config: dict, project: Path) -> dict[str, Any]:
    merged = {"lang": "en", "link-citations": True, "papersize": "a4", "document-css": False}
    for level in (config, page):
        own = level["format"].get(to) if isinstance(level.get("format"), dict) else None
        merged = _merge(_merge(merged, level), own if isinstance(own, dict) else {})
    items = config["website"].get("navbar", {}).get("left", []) if to == "html" else []
    links = "\n".join(f"- [{item['text']}]({item['href']})" for item in items)
    before = f"<nav>\n\n{links}\n\n</nav>\n" if links else ""
    style = '<link rel="stylesheet" href="preview.css">'
    headers = [style if to == "html" else (HERE / "preview.typ").read_text("utf-8")]
    for name in _listed(merged.pop("css", None)):
        headers.append(f"<style>\n{(project / name).read_text('utf-8')}</style>")
    for item in _listed(merged.pop("include-in-header", None)):
        text = item["text"] if isinstance(item, dict) else (project / item).read_text("utf-8")
        headers.append(text)
    return merged | {
        "author": [author["name"] for author in _listed(merged.get("author"))],
        "header-includes": [f"``````{{={to}}}\n{text}\n``````\n" for text in headers],
        "include-before": f"{before}\n::: preview-notice\n{NOTICE}\n:::\n",
    }


def _render(
    source: Path, parts: list[Part], to: str, metadata: dict, site: Path, work: Path
) -> Path:
    own, project = work / to / source.stem, source.parent
    own.mkdir(parents=True)
    told = {"document-path": str(source), "format": {"pandoc": {"to": to}, "metadata": metadata}}
    (own / "info.json").write_text(json.dumps(told, default=str), encoding="utf-8")
    environment = os.environ | {"QUARTO_EXECUTE_INFO": str(own / "info.json")}
    kernel = {"env": environment, "cwd": str(project)}
    text = execute(parts, to=to, kernel=kernel)
    html, pdf = site / f"{source.stem}.html", site / f"{source.stem}.pdf"
    output = html if to == "html" else own / "page.typ"
    command = [pypandoc.get_pandoc_path(), "--standalone", "--mathml", "--columns=999"]
    command += [f"--to={'html' if to == 'html' else 'typst-citations'}", f"--output={output}"]
    command += ["--toc"] if metadata.get("toc") else []
    command += [f"--lua-filter={HERE / 'preview.lua'}", "--citeproc"]
    filters = [
        item["path"] if isinstance(item, dict) else item
        for item in _listed(metadata.pop("filters", None))
    ]
    command += [f"--lua-filter={project / name}" for name in filters]
    cited = _listed(metadata.pop("bibliography", None))
    command += [f"--bibliography={project / name}" for name in cited]
    block = json.dumps(metadata, default=str, ensure_ascii=False)  # for JSON is YAML
    text = f"---\n{block}\n---\n\n{text}"
    done = subprocess.run(
        command, input=text, cwd=output.parent, capture_output=True, encoding="utf-8"
    )
    if problems := done.stderr:  # what is a warning for Pandoc is an error here
        message = re.sub(r"^\[WARNING\] Citeproc: citation ", "@", problems).splitlines()[0]
        raise PreviewError(f"{source.name}: {message}")
    try:
        if to == "typst":
            typst.compile(str(output), output=str(pdf), root=str(own))
    except typst.TypstError as error:
        raise PreviewError(f"{source.name}: Typst: {str(error).splitlines()[0]}") from None
    return html if to == "html" else pdf
