"""Render with Quarto where there is one, else make a preview of the same pages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from analysis import paths, results
from analysis.errors import UserError, nearest
from report import prepare
from report.preview import PreviewError, configuration, preview

OLDEST_QUARTO = (1, 8)
# What Quarto only warns about, and a paper must not have.
_FAULTS = re.compile(
    r"Unable to resolve crossref|Unable to resolve link target|citation .* not found"
    r"|could not find file|include.*not found",
    re.IGNORECASE,
)
# The line that says why, in a log that also holds progress and traces.
_REASON = re.compile(r"\s*(ERROR|[A-Z]\w*(Error|Exception)): ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def render(*, profile: str | None = None, preview: bool = False) -> list[Path]:
    """Render a profile of the project and return the pages that were made.

    Raises ``UserError`` where the results are missing or broken, a cell fails, or a reference,
    citation or include is not there.
    """
    _check(profile)
    settings = configuration(paths.ROOT, profile)
    # Before anything is rendered: a broken store is told here, not as a failing cell.
    results.load(settings["study"]).verify()
    quarto = None if preview else find_quarto()
    if quarto is None:
        return make_preview(profile, study=settings["study"])
    return _with_quarto(quarto, profile, output=paths.ROOT / settings["project"]["output-dir"])


def _check(profile: str | None) -> None:
    known = [path.stem.removeprefix("_quarto-") for path in paths.ROOT.glob("_quarto-*.yml")]
    if profile and profile not in known:
        raise UserError(
            f"There is no profile {profile!r}; the nearest is {nearest(profile, known)!r}."
        )


def make_preview(profile: str | None, *, study: str) -> list[Path]:
    """Make the preview. Raises ``UserError``."""
    prepare.prepare(study)
    try:
        return preview(paths.ROOT, profile=profile)
    except PreviewError as error:
        raise UserError(str(error)) from None


def find_quarto() -> str | None:
    """Return the path of a Quarto that is new enough to tell the cells what is rendered."""
    path = shutil.which("quarto")
    if path is None:
        return None
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    version = tuple(int(part) for part in re.findall(r"\d+", asked.stdout)[:2])
    return path if version >= OLDEST_QUARTO else None


def _with_quarto(quarto: str, profile: str | None, *, output: Path) -> list[Path]:
    command = [quarto, "render", str(paths.ROOT)]
    if profile:
        command += ["--profile", profile]
    environment = {**os.environ, "QUARTO_PYTHON": sys.executable}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = [line.strip() for line in _COLOUR.sub("", done.stdout).splitlines() if line.strip()]
    if done.returncode != 0:
        raise UserError(f"Quarto failed: {_reason(lines)}\n`quarto render` shows its whole log.")
    # Once each, though both formats warn.
    if faults := dict.fromkeys(line for line in lines if _FAULTS.search(line)):
        raise UserError("Quarto left references open:\n" + "\n".join(faults))
    return sorted(output.glob("**/*.html")) + sorted(output.glob("*.pdf"))


def _reason(lines: list[str]) -> str:
    """Return the first line that gives a reason, with the two that follow it, or the last line."""
    first = next((number for number, line in enumerate(lines) if _REASON.match(line)), -1)
    return " ".join(lines[first:][:3])
