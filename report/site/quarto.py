"""Render with Quarto where there is one, else make a preview of the same pages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import Timeout

from analysis.project import files, paths
from analysis.project.errors import UserError
from analysis.results import store
from report.site import after, downloads, processes, turn, workplace
from report.site.preview import configuration, found
from report.site.renderer import find_quarto, search

__all__ = ["TIMEOUT", "find_quarto", "render"]
TIMEOUT = 1800.0
# What Quarto only warns about, and a paper must not have.
_FAULTS = re.compile(
    r"Unable to resolve crossref|Unable to resolve link target|citation .* not found"
    r"|could not find file|include.*not found",
    re.IGNORECASE,
)
# The line that says why, in a log that also holds progress and traces.
_REASON = re.compile(r"\s*(ERROR|[A-Z]\w*(Error|Exception)): ")
# The files that Quarto makes next to a page before it moves them.
_LEFT = ("{}.html", "{}.pdf", "{}.typ", "{}_files", "{}.quarto_ipynb*")


def render(
    *,
    profile: str | None = None,
    preview: bool = False,
    output: Path | None = None,
    timeout: float = TIMEOUT,
) -> list[Path]:
    """Render a profile of the project and return its HTML pages and PDFs.

    The pages are made in a folder of their own, which replaces the old pages when all of them are
    made. They lie where the profile says or, with ``output``, in that folder: then nothing is
    written in the project. A rendering waits for another one into the same folder to end.
    ``timeout`` is in seconds, and holds for the waiting and for the rendering. Raises ``UserError``
    if the results are missing or damaged, a cell fails, or a reference, citation or include is
    missing, and if a folder cannot be written or has other files than pages.
    """
    config = configuration(paths.ROOT, profile)
    derived = store.derived(config["study"])
    # Damaged results are reported here, not by a failing cell.
    downloads.contents(derived)
    pages = found(paths.ROOT, config["project"]["render"])
    quarto = None if preview else _quarto()
    place = workplace.output(output, usual=config["project"]["output-dir"])
    with (
        _locked(place.parent, timeout, project=output is None),
        workplace.project(copied=output is not None) as project,
        files.folder_written_whole(place) as folder,
    ):
        if quarto:
            command = [quarto, "render", str(project), "--output-dir", str(folder)]
            command += ["--profile", profile] if profile else []
            with _without_leftovers(pages, project):
                status, lines = _run(command, timeout=timeout, project=project)
            if status:
                raise UserError(f"Quarto failed: {_reason(lines)}\n`quarto render` shows its log.")
            # Once each, though both formats warn.
            if faults := dict.fromkeys(line for line in lines if _FAULTS.search(line)):
                raise UserError("Quarto found missing references:\n" + "\n".join(faults))
        else:
            command = [sys.executable, "-m", "report.site.preview", str(project), str(folder)]
            command += [profile] if profile else []
            status, lines = _run(command, timeout=timeout, project=project)
            if status:
                raise UserError("\n".join(lines[-2:]) or "The preview was stopped.")
            after.add_files(folder, derived)
            after.add_notebooks(folder, pages)
        for page in pages:
            made = (folder / page.relative_to(paths.ROOT)).with_suffix(".html")
            if not made.is_file() or not made.stat().st_size:
                raise UserError(
                    f"Quarto ended without an error, but made no {made.relative_to(folder)}.\n"
                    "The pages from before are unchanged; `quarto render` shows its whole log."
                )
    return sorted(place.glob("**/*.html")) + sorted(place.glob("**/*.pdf"))


@contextmanager
def _locked(folder: Path, timeout: float, *, project: bool) -> Iterator[None]:
    """Let one rendering into a folder work at a time, and remove what killed ones left there.

    With ``project`` it is also the only one that works in the project.
    """
    places = [paths.ROOT / "build", folder] if project else [folder]
    try:
        with ExitStack() as turns:
            for place in dict.fromkeys(place.resolve() for place in places):
                turns.enter_context(turn.taken(place, timeout=timeout))
            for leftover in folder.glob(f"{files.TEMPORARY}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            yield
    except Timeout:
        raise UserError(
            f"Another rendering of this project has not ended in {timeout:g} seconds.\n"
            "Wait for it or stop it; nothing was changed."
        ) from None


@contextmanager
def _without_leftovers(pages: list[Path], project: Path) -> Iterator[None]:
    """Remove what Quarto leaves next to the pages of a project's folder if it is stopped."""

    def present() -> set[Path]:
        folders = {page: project / page.parent.relative_to(paths.ROOT) for page in pages}
        names = [(folders[page], one.format(page.stem)) for page in pages for one in _LEFT]
        names.append((project, "site_libs"))
        return {path for folder, name in names for path in folder.glob(name)}

    before = present()
    try:
        yield
    finally:
        for path in present() - before:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _quarto() -> str | None:
    """Return the path of the Quarto that renders, and say why another one is not used."""
    path, rejected = search()
    lines = [
        *rejected,
        *([] if path or rejected else ["There is no Quarto, which `make report` installs"]),
    ]
    if lines:
        preview = "" if path else " The pages are a preview."
        print(f"{'; '.join(lines)}.{preview}", file=sys.stderr)
    return path


def _run(command: list[str], *, timeout: float, project: Path) -> tuple[int, list[str]]:
    path = os.pathsep.join(filter(None, [str(project), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "QUARTO_PYTHON": sys.executable, "PYTHONPATH": path}
    environment[turn.VARIABLE] = "1"
    if project != paths.ROOT:
        environment["FAILURE_MODES_RESULTS"] = str(paths.results(".").resolve())
    try:
        return processes.run(command, timeout=timeout, folder=project, environment=environment)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"The rendering did not end in {timeout:g} seconds and was stopped; the pages from "
            "before are unchanged.\nGive it more time with --timeout."
        ) from None


def _reason(lines: list[str]) -> str:
    """Return the first line that gives a reason, with the two that follow it, or the last line."""
    first = next((number for number, line in enumerate(lines) if _REASON.match(line)), -1)
    return " ".join(lines[first:][:3])
