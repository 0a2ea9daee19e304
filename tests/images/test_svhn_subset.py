"""The subset of SVHN: the same from the archive and from the official files, or refused."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest

from analysis.images import svhn, svhn_subset
from analysis.project.errors import UserError
from tests.conftest import data_file

# More than the subset takes of each official file.
OFFICIAL = {"train": 30, "extra": 20, "test": 50}
TAKEN = {"train": 12, "extra": 3, "test": 20}
Files = dict[str, tuple[np.ndarray, np.ndarray]]


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> Files:
    """Small official files, and a subset of their first images with its own SHA-256 and photos."""
    draw = np.random.default_rng(0).integers
    files = {
        split: (draw(0, 256, (count, 32, 32, 3), dtype=np.uint8), draw(0, 10, count))
        for split, count in OFFICIAL.items()
    }
    images, labels = subset(files)
    monkeypatch.setattr(svhn, "official", lambda folder, split: files[split])
    monkeypatch.setattr(svhn_subset, "COUNTS", TAKEN)
    monkeypatch.setattr(svhn_subset, "IMAGES_SHA256", hashlib.sha256(images).hexdigest())
    monkeypatch.setattr(svhn_subset, "LABELS_SHA256", hashlib.sha256(labels).hexdigest())
    monkeypatch.setattr(svhn_subset, "photos", lambda: np.arange(35) // 2)
    return files


def subset(files: Files) -> tuple[np.ndarray, np.ndarray]:
    """Return the first images and labels of each file, by a loop of its own."""
    places = [(split, number) for split, count in TAKEN.items() for number in range(count)]
    images = [files[split][0][number] for split, number in places]
    labels = [files[split][1][number] for split, number in places]
    return np.array(images), np.array(labels, np.uint8)


@pytest.fixture
def archive(official: Files, tmp_path: Path) -> Path:
    images, labels = subset(official)
    path = tmp_path / svhn_subset.FILE
    np.savez_compressed(path, images=images, labels=labels)
    return path


def test_both_ways_give_the_same_images(official: Files, archive: Path, tmp_path: Path) -> None:
    packed = svhn_subset.load(archive.parent)
    # What the subset leaves out may be anything.
    official["test"][0][TAKEN["test"] :] = 0
    picked = svhn_subset.load(tmp_path / "no archive here")
    assert packed.digest() == picked.digest()
    images, labels = subset(official)
    assert np.array_equal(picked.pixels, images)
    assert np.array_equal(picked.labels, labels)
    assert picked.split.tolist() == ["train"] * 12 + ["extra"] * 3 + ["test"] * 20
    assert picked.index.tolist() == [*range(12), *range(3), *range(20)]


def test_altered_pixels_and_labels_are_refused(official: Files, tmp_path: Path) -> None:
    for part in ("images", "labels"):
        altered = dict(zip(("images", "labels"), subset(official), strict=True))
        altered[part].flat[7] ^= 1
        np.savez(tmp_path / svhn_subset.FILE, **altered)
        with pytest.raises(UserError, match=rf"{svhn_subset.FILE}: the {part} are altered"):
            svhn_subset.load(tmp_path)
    official["test"][0][3, 2, 1, 0] ^= 1
    with pytest.raises(UserError, match=r"the \.mat files in .*the images are altered"):
        svhn_subset.load(tmp_path / "nowhere")


def test_any_damage_to_the_archive_is_an_error_that_names_it(archive: Path) -> None:
    whole, chance, refused = archive.read_bytes(), random.Random(0), 0
    expected = svhn_subset.load(archive.parent).digest()
    # The headers of the zip and of the arrays are at the ends, and break in most ways.
    places = [*range(200), *range(len(whole) - 400, len(whole))]
    for place in chance.sample(places, 100):
        altered = bytearray(whole)
        altered[place] ^= 1 << chance.randrange(8)
        archive.write_bytes(altered if place % 3 else whole[:place])
        try:
            # Some bits say nothing, such as a date: then the images have to be the right ones.
            assert svhn_subset.load(archive.parent).digest() == expected
        except UserError as error:
            assert str(archive) in str(error)
            refused += 1
    assert refused > 60


def test_nothing_in_an_archive_is_run(official: Files, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "was here",)

    trap = np.array([Trap()], dtype=object)
    np.savez(tmp_path / svhn_subset.FILE, images=subset(official)[0], labels=trap)
    with pytest.raises(UserError, match=svhn_subset.FILE):
        svhn_subset.load(tmp_path)
    assert not (tmp_path / "was here").exists()


def test_the_archive_is_the_documented_one() -> None:
    path = data_file(svhn_subset.FILE)
    images = svhn_subset.load(path.parent)
    with np.load(path) as arrays:
        for name, stored in (("split", "split"), ("index", "index"), ("group", "photo")):
            assert np.array_equal(getattr(images, name), arrays[stored])
    photos = {split: len(np.unique(images.group[images.split == split])) for split in TAKEN}
    assert photos == {"train": 499, "extra": 40, "test": 5033}
    test = images.labels[images.positions("test")]
    assert np.bincount(test).tolist() == [684, 1968, 1590, 1104, 964, 909, 773, 767, 621, 620]
