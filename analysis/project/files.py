"""Files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.project.errors import UserError

TEMPORARY = ".unfinished-"
# What systems and their file browsers leave in folders, in small letters.
_LEFTOVERS = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "icon\r"}


def hidden(name: str) -> bool:
    """Return whether a file browser hides a file of this name, or a system left it there."""
    return name.startswith(".") or name.lower() in _LEFTOVERS


def check_writable(folder: Path, advice: str) -> None:
    """Make a folder unless it is there; raise ``UserError`` if no file can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}.\n{advice}") from None


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path; move it to ``path`` if nothing was raised."""
    with written_beside(path) as temporary:
        yield temporary
        move_into_place(temporary, path)


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``, gone afterwards unless it was moved."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
    except OSError as error:
        # A full disk does not say which file it had no room for.
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary folder; move it into place if nothing was raised.

    A folder that is there already is replaced, and comes back if the move fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=path.parent) as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        yield new
        try:
            if path.exists():
                path.rename(old)
            new.rename(path)
        # Ctrl-C too may come between the two moves.
        except BaseException:
            if old.exists() and not path.exists():
                old.rename(path)
            raise


def move_into_place(temporary: Path, path: Path) -> None:
    """Give a finished file its name.

    The content reaches the disk before the name does, so that a kill or a power cut leaves the old
    file or the new one.
    """
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.chmod(0o644)
    temporary.replace(path)


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed left in a folder; nobody else may be writing there."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_text(path: Path) -> str:
    """Return the SHA-256 of a text, the same whichever system's line ends it has."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for line in file:
            digest.update(line.replace(b"\r\n", b"\n"))
    return digest.hexdigest()
