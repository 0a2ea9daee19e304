"""Where pages are made and where they go: the project itself, or a copy that leaves it as it is."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.project import files, paths
from analysis.project.errors import UserError
from report.site import downloads

# What rendering reads besides the files of the project's own folder and the results.
_FOLDERS = ("analysis", "report")
# What a rendering makes at the top of a site.
_MADE = re.compile(r"[\w-]+\.(html|pdf)|report|site_libs|search\.json|sitemap\.xml|preview\.css")


def output(folder: Path | None, *, usual: str) -> Path:
    """Return the folder of the pages: ``folder``, or else the ``usual`` one of the project.

    Raises ``UserError`` if it cannot be written, or would replace files that are no pages.
    """
    place = paths.ROOT / usual if folder is None else paths.expanded(folder).resolve()
    if folder is not None and place.exists():
        if place == paths.ROOT or paths.ROOT.is_relative_to(place):
            raise UserError(f"{place} holds this project; name another folder for the pages.")
        if place.is_mount():
            raise UserError(f"{place} cannot be replaced, as it is mounted; name a folder in it.")
        there = sorted(path.name for path in place.iterdir()) if place.is_dir() else [place.name]
        if others := [name for name in there if not _MADE.fullmatch(name)]:
            raise UserError(
                f"{place} has other files than pages, which would be lost: {others[0]}\n"
                "Name a folder that is empty or does not exist."
            )
        if there and not (place / downloads.FOLDER).is_dir():
            raise UserError(
                f"{place} has pages of something else, which would be lost.\n"
                "Name a folder that is empty or does not exist."
            )
    for written in (place.parent, *([paths.ROOT] if folder is None else [])):
        files.check_writable(
            written,
            "Name a folder for the pages with --output FOLDER; nothing else is written then.",
        )
    return place


@contextmanager
def project(*, copied: bool) -> Iterator[Path]:
    """Give the project's folder or, if ``copied``, a copy of what rendering reads, gone after."""
    if not copied:
        yield paths.ROOT
        return
    with tempfile.TemporaryDirectory(prefix="rendering-") as scratch:
        copy = Path(scratch).resolve() / "project"
        copy.mkdir()
        within = [path for name in _FOLDERS for path in (paths.ROOT / name).rglob("*")]
        for path in filter(Path.is_file, (*paths.ROOT.iterdir(), *within)):
            inner = path.relative_to(paths.ROOT)
            if not any(part.startswith((".", "__pycache__")) for part in inner.parts):
                (copy / inner).parent.mkdir(parents=True, exist_ok=True)
                # Without its permissions, which may forbid to change it.
                shutil.copyfile(path, copy / inner)
        (copy / "build").mkdir()
        for path in filter(Path.is_file, (paths.simulation(), paths.scale())):
            shutil.copyfile(path, copy / "build" / path.name)
        yield copy
