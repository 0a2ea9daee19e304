"""Images of one split that are found again, exactly or nearly, in another."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from imagehash import phash
from PIL import Image

from analysis.images.images import Images

# Side of the thumbnails that near duplicates are compared at; also that of perceptual hashes.
_SIDE = 32
# Bits of 64 in which the hashes of near duplicates differ at most.
_BITS = 6
# Mean absolute difference of their thumbnails at most, each with mean 0 and mean deviation 1, so
# that neither a plain ground nor other brightness counts.
_DIFFERENCE = 0.1
# Below this mean deviation, in levels, a thumbnail is a plain surface like many others.
_PLAIN = 2.0
# Images with the nearest hashes that are compared by their thumbnails.
_MOST = 64


def duplicates(
    images: Images, train_positions: np.ndarray, evaluated_positions: np.ndarray
) -> pd.DataFrame:
    """Return the evaluated images that are among the training images too, one row each.

    Columns are ``index``, and ``other_split`` and ``other_index`` of the training image that is
    most like it; ``kind`` is "exact" for equal pixels and "near" for images that look alike: their
    perceptual hashes (pHash, Zauner 2010, through ``imagehash``) differ in few bits, and their grey
    thumbnails by little compared with the contrast in them. The positions may overlap: no image is
    compared with itself.
    """
    pairs = _exact(images, train_positions, evaluated_positions)
    exact = set(pairs)
    left = np.array([p for p in evaluated_positions.tolist() if p not in exact], np.int64)
    pairs |= _near(images, train_positions, left)
    own = np.array(sorted(pairs), np.int64)
    other = np.array([pairs[position] for position in own.tolist()], np.int64)
    return pd.DataFrame(
        {
            "index": images.index[own],
            "other_split": images.split[other].astype(object),
            "other_index": images.index[other],
            "kind": ["exact" if position in exact else "near" for position in own.tolist()],
        }
    ).astype({"other_split": "str", "kind": "str"})


def _exact(images: Images, train: np.ndarray, evaluated: np.ndarray) -> dict[int, int]:
    """Return, for each evaluated image that has one, the first training image of equal pixels."""
    known: dict[bytes, list[int]] = {}
    for position in train.tolist():
        places = known.setdefault(_content(images, position), [])
        # Two are enough: one of them is another image.
        if len(places) < 2:
            places.append(position)
    found = {}
    for position in evaluated.tolist():
        for other in known.get(_content(images, position), ()):
            if other != position:
                found[position] = other
                break
    return found


def _content(images: Images, position: int) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(images.pixels[position]).data).digest()


def _near(images: Images, train: np.ndarray, evaluated: np.ndarray) -> dict[int, int]:
    """Return, for each evaluated image that has one, the training image that is nearest to it."""
    if not len(train) or not len(evaluated):
        return {}
    # Each image once, as the positions may overlap.
    every, place = np.unique(np.concatenate([train, evaluated]), return_inverse=True)
    thumbs = np.empty((len(every), _SIDE, _SIDE), np.uint8)
    hashes = np.empty(len(every), np.uint64)
    for number, position in enumerate(every.tolist()):
        thumb = _thumbnail(images.pixels[position])
        thumbs[number] = np.asarray(thumb)
        hashes[number] = np.packbits(phash(thumb).hash).view(np.uint64)[0]
    means = thumbs.mean(axis=(1, 2), dtype=np.float32)[:, None, None]
    deviations = np.array([np.abs(t - m).mean() for t, m in zip(thumbs, means, strict=True)])

    def scaled(numbers: np.ndarray) -> np.ndarray:
        floor = np.maximum(deviations[numbers], 1e-3)[:, None, None].astype(np.float32)
        return (thumbs[numbers] - means[numbers]) / floor

    of_train, of_evaluated = place[: len(train)], place[len(train) :]
    known = hashes[of_train]
    found = {}
    for number in of_evaluated.tolist():
        if deviations[number] < _PLAIN:
            continue
        bits = np.bitwise_count(known ^ hashes[number])
        near = np.flatnonzero((bits <= _BITS) & (of_train != number))
        if not len(near):
            continue
        near = near[np.argsort(bits[near], kind="stable")[:_MOST]]
        others = of_train[near]
        differences = np.abs(scaled(others) - scaled(np.array([number]))).mean(axis=(1, 2))
        best = int(differences.argmin())
        if differences[best] <= _DIFFERENCE:
            found[int(every[number])] = int(train[near[best]])
    return found


def _thumbnail(image: np.ndarray) -> Image.Image:
    if image.shape[2] == 3:
        grey = Image.fromarray(np.ascontiguousarray(image)).convert("L")
    else:
        grey = Image.fromarray(image.mean(axis=2).round().astype(np.uint8))
    return grey.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
