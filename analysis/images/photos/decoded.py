"""Images decoded once, into a file that is read through a memory map."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from filelock import FileLock
from tqdm import tqdm

from analysis.images.photos.pixels import Damaged, Form, no_warnings
from analysis.project import files, paths
from analysis.project.errors import UserError

# Raised by hand when the same files give other pixels.
_VERSION = 1
# Images that are decoded before any of them is written.
_CHUNK = 256

Read = Callable[[int], tuple[np.ndarray, int]]


class Decoded(NamedTuple):
    """``pixels`` uint8 (N, size, size, channels) and ``labels`` int64 (N,) of what could be read.

    ``kept`` (N,) are the numbers of those images, and ``damaged`` has the reasons of all others.
    """

    pixels: np.ndarray
    labels: np.ndarray
    kept: np.ndarray
    damaged: dict[int, str]


def key(form: Form, *parts: Iterable[object]) -> str:
    """Return what identifies decoded images: their form, and ``parts`` that say what they are."""
    sha = hashlib.sha256(repr((_VERSION, PIL.__version__, form)).encode())
    for part in parts:
        for line in part:
            sha.update(repr(line).encode("utf-8", "surrogateescape") + b"\n")
        sha.update(b"\n")
    return sha.hexdigest()


def decoded(
    name: str, count: int, read: Read, *, form: Form, skip: bool = False, threads: int = 1
) -> Decoded:
    """Return ``count`` images, from the cache if they have been decoded under that name.

    ``read`` gives the pixels and the label of an image by its number. ``Damaged`` that it raises
    leaves the image out with ``skip``, and otherwise is passed on with the number. Raises
    ``UserError`` if the cache has no room.
    """
    assert form.size is not None, "images of one file have one size"
    folder = paths.cache() / "images" / name[:32]
    shape = (count, form.size, form.size, form.channels)
    try:
        if not _complete(folder, shape):
            folder.mkdir(parents=True, exist_ok=True)
            # A second process waits for the images instead of decoding them as well.
            with FileLock(folder / "lock"):
                files.remove_leftovers(folder)
                if not _complete(folder, shape):
                    _room_for(folder, shape)
                    _write(folder, shape, read, skip=skip, threads=threads)
    except OSError as error:
        raise UserError(
            f"The decoded images cannot be written to {folder}: {error.strerror or error}.\n"
            "FAILURE_MODES_CACHE names another folder for them."
        ) from None
    facts = json.loads((folder / "facts.json").read_bytes())
    damaged = {int(number): reason for number, reason in facts["damaged"].items()}
    if damaged and not skip:
        raise Damaged(*next(iter(damaged.items())))
    kept = np.setdiff1d(np.arange(count), list(damaged))
    pixels = np.load(folder / "pixels.npy", mmap_mode="r")[: len(kept)]
    return Decoded(pixels, np.array(facts["labels"], np.int64), kept, damaged)


def _complete(folder: Path, shape: tuple[int, ...]) -> bool:
    try:
        pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        facts = json.loads((folder / "facts.json").read_bytes())
        whole = len(facts["labels"]) + len(facts["damaged"]) == shape[0]
        return whole and pixels.shape == shape and pixels.dtype == np.uint8
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return False


def _room_for(folder: Path, shape: tuple[int, ...]) -> None:
    free, needed = shutil.disk_usage(folder).free, int(np.prod(shape, dtype=np.int64))
    if needed > free:
        raise OSError(0, f"they take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")


def _write(folder: Path, shape: tuple[int, ...], read: Read, *, skip: bool, threads: int) -> None:
    labels, damaged = [], {}

    def attempt(number: int) -> tuple[np.ndarray, int] | Damaged:
        try:
            return read(number)
        except Damaged as error:
            return error

    with (
        files.written_whole(folder / "pixels.npy") as temporary,
        temporary.open("wb") as file,
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=shape[0], unit="image", desc="decoding", disable=None, leave=False) as progress,
        no_warnings(),
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        end = file.tell() + int(np.prod(shape, dtype=np.int64))
        for start in range(0, shape[0], _CHUNK):
            numbers = range(start, min(start + _CHUNK, shape[0]))
            for number, found in zip(numbers, pool.map(attempt, numbers), strict=True):
                if isinstance(found, Damaged):
                    if not skip:
                        raise Damaged(number, *found.args)
                    damaged[number] = str(found)
                else:
                    pixels, label = found
                    if pixels.shape != shape[1:] or pixels.dtype != np.uint8:
                        raise ValueError(f"image {number} is {pixels.dtype} {pixels.shape}")
                    file.write(np.ascontiguousarray(pixels).data)
                    labels.append(label)
            progress.update(len(numbers))
        # Rows of images that were left out stay empty at the end.
        file.truncate(end)
        with files.written_whole(folder / "facts.json") as facts:
            facts.write_text(json.dumps({"labels": labels, "damaged": damaged}), encoding="utf-8")


def cores() -> int:
    """Return how many threads decode photos."""
    return min(8, os.cpu_count() or 1)
