"""What a folder of photos holds: photos, folders, and what is passed over."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from analysis.images.photos.pixels import formats, is_photo
from analysis.project import files


class Photo(NamedTuple):
    """A file: ``name`` is its path below the first folder; time in nanoseconds."""

    path: Path
    name: str
    bytes: int
    changed: int


@dataclass
class Folder:
    """A folder, with the photos that lie directly in it, by name."""

    name: str
    photos: list[Photo] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)

    def every(self) -> Iterator[Photo]:
        """Give the photos of the folder and of all folders in it."""
        yield from self.photos
        for folder in self.folders:
            yield from folder.every()


@dataclass
class PassedOver:
    """How many entries were passed over; files that are no images by extension."""

    hidden: int = 0
    loops: int = 0
    outside: int = 0
    empty: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def notes(self) -> tuple[str, ...]:
        """Return a line that names what there was, or none."""
        kinds = ", ".join(f"{suffix} {count}" for suffix, count in self.others.most_common(8))
        parts = (
            (self.hidden, "hidden file or folder", "hidden files or folders", ""),
            (self.others.total(), "file that is no image", "files that are no images", kinds),
            (self.outside, "image in no class folder", "images in no class folder", ""),
            (self.empty, "folder without images", "folders without images", ""),
            (self.loops, "link to a folder above it", "links to folders above them", ""),
        )
        said = [
            f"{count:,} {one if count == 1 else many}" + (f" ({detail})" if detail else "")
            for count, one, many, detail in parts
            if count
        ]
        return (f"Passed over: {', '.join(said)}.",) if said else ()


def scan(path: Path) -> tuple[Folder, PassedOver]:
    """Return what lies in a folder and in all folders below it, by name, and what is passed over.

    Links are followed, except to a folder that they lie in. Raises ``OSError`` for a folder that
    cannot be read.
    """
    passed = PassedOver()
    return _scan(path, "", frozenset(), passed), passed


def readable(name: str) -> str:
    """Return a file name in Unicode's composed form, with escapes for bytes that are not UTF-8."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))


def _scan(path: Path, prefix: str, above: frozenset, passed: PassedOver) -> Folder:
    status = path.stat()
    above |= {(status.st_dev, status.st_ino)}
    folder = Folder(readable(path.name))
    with os.scandir(path) as entries:
        ordered = sorted(entries, key=lambda entry: (readable(entry.name), entry.name))
    for entry in ordered:
        name = readable(entry.name)
        if files.hidden(name):
            passed.hidden += 1
            continue
        target, file = _status(entry.path), Path(entry.path)
        if target is None:
            # A link to nothing, or to itself: named as damaged if it is called a photo.
            found, known = Photo(file, prefix + name, 0, 0), formats(file) is not None
        elif stat.S_ISDIR(target.st_mode):
            if (target.st_dev, target.st_ino) in above:
                passed.loops += 1
            else:
                folder.folders.append(_scan(file, f"{prefix}{name}/", above, passed))
            continue
        else:
            found = Photo(file, prefix + name, target.st_size, target.st_mtime_ns)
            # Anything but a regular file, such as a pipe, may never come to its end.
            known = stat.S_ISREG(target.st_mode) and is_photo(file)
        if known:
            folder.photos.append(found)
        else:
            passed.others[Path(name).suffix.lower() or "no extension"] += 1
    return folder


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None
