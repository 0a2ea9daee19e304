"""The subset of SVHN: one set of bytes, from the archive or from the official files.

Half of the tests stand on a small subset of the same form, the others on the real one.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets.svhn as torchvision_svhn

from analysis.datasets import svhn, svhn_subset
from analysis.errors import UserError
from tests.conftest import data_file

# More than the subset takes of each official file.
OFFICIAL = {"train": 30, "extra": 20, "test": 50}
TAKEN = {"train": 12, "extra": 3, "test": 20}


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Small official files, and a subset of their first images with its own SHA-256 and photos."""
    generator = np.random.default_rng(0)
    files = {
        split: (
            generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),
            generator.integers(0, 10, count).astype(np.uint8),
        )
        for split, count in OFFICIAL.items()
    }
    images, labels = subset(files, TAKEN)
    monkeypatch.setattr(svhn, "official", lambda folder, split: files[split])
    monkeypatch.setattr(svhn_subset, "COUNTS", TAKEN)
    monkeypatch.setattr(svhn_subset, "IMAGES_SHA256", hashlib.sha256(images).hexdigest())
    monkeypatch.setattr(svhn_subset, "LABELS_SHA256", hashlib.sha256(labels).hexdigest())
    monkeypatch.setattr(svhn_subset, "photos", lambda: np.arange(35, dtype=np.int32) // 2)
    return files


def subset(files, counts: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the first images and labels of each file, by a loop of its own."""
    images, labels = [], []
    for split, count in counts.items():
        for number in range(count):
            images.append(files[split][0][number])
            labels.append(files[split][1][number])
    return np.array(images), np.array(labels)


@pytest.fixture
def archive(official, tmp_path: Path) -> Path:
    images, labels = subset(official, TAKEN)
    path = tmp_path / "archive" / svhn_subset.FILE
    path.parent.mkdir()
    np.savez_compressed(path, images=images, labels=labels, split=np.repeat("test", 35))
    return path


# ------------------------------------------------------------------------------ in small


def test_both_ways_give_the_same_set(official, archive: Path, tmp_path: Path) -> None:
    packed = svhn_subset.load(archive.parent)
    picked = svhn_subset.load(tmp_path / "no archive here")
    assert packed.digest() == picked.digest()
    images, labels = subset(official, TAKEN)
    assert np.array_equal(picked.images, images)
    assert np.array_equal(picked.labels, labels)
    assert picked.split.tolist() == ["train"] * 12 + ["extra"] * 3 + ["test"] * 20
    assert picked.index.tolist() == [*range(12), *range(3), *range(20)]


@pytest.mark.parametrize("part", ["images", "labels"])
def test_one_altered_value_is_refused(official, tmp_path: Path, part: str) -> None:
    images, labels = subset(official, TAKEN)
    altered = {"images": images, "labels": labels}
    altered[part].flat[7] ^= 1
    np.savez(tmp_path / svhn_subset.FILE, **altered)
    with pytest.raises(UserError, match=rf"{svhn_subset.FILE}: the {part} are altered"):
        svhn_subset.load(tmp_path)


def test_one_altered_official_pixel_is_refused(official, tmp_path: Path) -> None:
    official["test"][0][3, 2, 1, 0] ^= 1
    with pytest.raises(UserError, match=r"the \.mat files in .*the images are altered"):
        svhn_subset.load(tmp_path)


def test_what_the_subset_leaves_out_may_be_anything(official, tmp_path: Path) -> None:
    before = svhn_subset.load(tmp_path).digest()
    official["test"][0][TAKEN["test"] :] = 0
    assert svhn_subset.load(tmp_path).digest() == before


def test_any_damage_to_the_archive_is_an_error_that_names_it(archive: Path) -> None:
    """300 archives, cut short or with one bit turned, here and there in all parts of the file."""
    whole = archive.read_bytes()
    expected = svhn_subset.load(archive.parent).digest()
    chance = random.Random(0)
    refused = 0
    for trial in range(300):
        content = bytearray(whole)
        if trial % 3:
            # The zip's and the arrays' headers are at the ends, and break in the most ways.
            ends = [chance.randrange(200), len(content) - 1 - chance.randrange(400)]
            place = chance.choice([*ends, chance.randrange(len(content))])
            content[place] ^= 1 << chance.randrange(8)
        else:
            content = content[: chance.randrange(len(content))]
        archive.write_bytes(content)
        try:
            # Some bits say nothing, such as a date: then the images have to be the right ones.
            assert svhn_subset.load(archive.parent).digest() == expected
        except UserError as error:
            assert str(archive) in str(error)
            refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    "arrays",
    [
        {"pictures": np.zeros((35, 32, 32, 3), np.uint8), "labels": np.zeros(35, np.uint8)},
        {"images": np.zeros((3, 4), np.uint8), "labels": np.zeros(35, np.uint8)},
    ],
    ids=["other names", "other shape"],
)
def test_another_archive_under_that_name_is_refused(official, tmp_path: Path, arrays) -> None:
    np.savez(tmp_path / svhn_subset.FILE, **arrays)
    with pytest.raises(UserError, match=svhn_subset.FILE):
        svhn_subset.load(tmp_path)


class Trap:
    """Runs code where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def test_nothing_in_an_archive_is_run(official, tmp_path: Path) -> None:
    mark = tmp_path / "was here"
    images, _ = subset(official, TAKEN)
    trap = np.array([Trap(mark)], dtype=object)
    np.savez(tmp_path / svhn_subset.FILE, images=images, labels=trap)
    with pytest.raises(UserError, match=svhn_subset.FILE):
        svhn_subset.load(tmp_path)
    assert not mark.exists()


def test_without_any_file_the_first_missing_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torchvision_svhn, "download_url", refuse)
    with pytest.raises(UserError, match=rf"train_32x32\.mat is not in {tmp_path}"):
        svhn_subset.load(tmp_path)


# ------------------------------------------------------------------------------ the real one


def test_the_photos_are_as_many_as_documented() -> None:
    photos = svhn_subset.photos()
    counts = svhn_subset.COUNTS
    assert len(photos) == sum(counts.values()) == 11_189
    parts = np.split(photos, np.cumsum(list(counts.values()))[:-1])
    for part, expected in zip(parts, (499, 40, 5033), strict=True):
        assert len(np.unique(part)) == expected
        assert (np.diff(part) >= 0).all(), "a photo's digits follow one another"


def test_the_photos_are_those_of_the_archive() -> None:
    with np.load(data_file(svhn_subset.FILE)) as arrays:
        assert np.array_equal(svhn_subset.photos(), arrays["photo"])


def test_the_archive_is_the_documented_one() -> None:
    path = data_file(svhn_subset.FILE)
    images = svhn_subset.load(path.parent)
    with np.load(path) as arrays:
        assert np.array_equal(images.split, arrays["split"])
        assert np.array_equal(images.index, arrays["index"])
    test = images.labels[images.positions("test")]
    assert np.bincount(test).tolist() == [684, 1968, 1590, 1104, 964, 909, 773, 767, 621, 620]


def test_the_official_files_give_the_archive_s_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data_file(svhn_subset.FILE)
    packed = svhn_subset.load(path.parent)

    def official(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
        """The part of the official file that is known here, and more that is not."""
        chosen = packed.split == split
        more = np.full((5, 32, 32, 3), 7, np.uint8)
        return (
            np.concatenate([packed.images[chosen], more]),
            np.concatenate([packed.labels[chosen], np.zeros(5, np.uint8)]),
        )

    monkeypatch.setattr(svhn, "official", official)
    assert svhn_subset.load(tmp_path).digest() == packed.digest()
