"""Official SVHN files: read as they are, refused when they are not the official ones.

The files here have the official form and are a few kilobytes; no test ever opens a connection.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets.svhn as torchvision_svhn
from scipy.io import savemat
from torchvision.datasets import SVHN

from analysis.datasets import svhn
from analysis.errors import UserError

COUNTS = {"train": 30, "test": 12, "extra": 7}


@pytest.fixture(autouse=True)
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every download fails as it does without a network, and is listed here."""
    asked: list[str] = []

    def refuse(url: str, *arguments: object) -> None:
        asked.append(url)
        raise URLError("no network")

    monkeypatch.setattr(torchvision_svhn, "download_url", refuse)
    return asked


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small files of the official form, which torchvision takes for the official."""
    known = {}
    for split, count in COUNTS.items():
        generator = np.random.default_rng(count)
        url, name, _ = SVHN.split_list[split]
        labels = np.resize(np.arange(1, 11), count).astype(np.uint8).reshape(-1, 1)
        pixels = generator.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        savemat(tmp_path / name, {"X": pixels, "y": labels})
        known[split] = [url, name, hashlib.md5((tmp_path / name).read_bytes()).hexdigest()]
    monkeypatch.setattr(SVHN, "split_list", known)
    return tmp_path


def test_pixels_and_labels_are_those_of_the_files(folder: Path, requests: list[str]) -> None:
    images = svhn.load(folder)
    assert images.images.shape == (42, 32, 32, 3)
    assert images.images.dtype == images.labels.dtype == np.uint8
    # The file's last axis counts images; its values are those that the fixture drew.
    drawn = np.random.default_rng(30).integers(0, 256, (32, 32, 3, 30), dtype=np.uint8)
    for number in (0, 17, 29):
        assert np.array_equal(images.images[number], drawn[..., number])
    assert images.images.flags.c_contiguous
    assert requests == [], "files that are there are not downloaded"


def test_the_label_10_is_the_digit_0(folder: Path) -> None:
    labels = svhn.load(folder).labels
    assert labels[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert labels.max() == 9


def test_images_know_their_place(folder: Path) -> None:
    images = svhn.load(folder)
    assert images.split.tolist() == ["train"] * 30 + ["test"] * 12
    assert images.index.tolist() == [*range(30), *range(12)]
    assert (images.photo == -1).all(), "the official files do not say"
    assert len(svhn.load(folder, splits=("extra",))) == 7


@pytest.mark.parametrize("split", COUNTS)
def test_a_missing_file_is_named_with_its_folder_and_address(
    folder: Path, requests: list[str], split: str
) -> None:
    (folder / f"{split}_32x32.mat").unlink()
    with pytest.raises(UserError) as caught:
        svhn.load(folder, splits=(split,))
    message = str(caught.value)
    assert f"{split}_32x32.mat is not in {folder} and could not be downloaded" in message
    assert f"Put http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat there" in message
    assert "--data" in message
    assert requests == [f"http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat"]
    assert not (folder / f"{split}_32x32.mat").exists()


def test_a_folder_that_is_not_there_is_no_crash(folder: Path) -> None:
    with pytest.raises(UserError, match=r"test_32x32\.mat is not in .*nowhere"):
        svhn.official(folder / "nowhere", "test")
    (folder / "file").write_text("")
    with pytest.raises(UserError, match=r"test_32x32\.mat is not in .*file"):
        svhn.official(folder / "file", "test")


def test_nothing_is_asked_for_when_downloads_are_off(folder: Path, requests: list[str]) -> None:
    (folder / "test_32x32.mat").unlink()
    with pytest.raises(UserError, match="is not in"):
        svhn.official(folder, "test", download=False)
    assert requests == []


def test_a_missing_file_is_downloaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (folder / "test_32x32.mat").read_bytes()
    new = folder / "new"

    def download(url: str, root: str, name: str, md5: str) -> None:
        assert hashlib.md5(content).hexdigest() == md5
        (Path(root) / name).write_bytes(content)

    monkeypatch.setattr(torchvision_svhn, "download_url", download)
    pixels, labels = svhn.official(new, "test")
    expected, expected_labels = svhn.official(folder, "test")
    assert np.array_equal(pixels, expected)
    assert np.array_equal(labels, expected_labels)


def test_half_a_download_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "test_32x32.mat"
    half = path.read_bytes()[:500]
    path.unlink()

    def download(url: str, root: str, name: str, md5: str) -> None:
        (Path(root) / name).write_bytes(half)
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(torchvision_svhn, "download_url", download)
    with pytest.raises(UserError, match="could not be downloaded"):
        svhn.official(folder, "test")
    assert not path.exists()


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty", "longer"])
def test_a_damaged_file_is_refused_by_name(folder: Path, requests: list[str], damage: str) -> None:
    path = folder / "test_32x32.mat"
    content = bytearray(path.read_bytes())
    if damage == "altered":
        content[random.Random(0).randrange(200, len(content))] ^= 1
    lengths = {"truncated": len(content) // 2, "altered": len(content), "empty": 0}
    content = content[: lengths.get(damage)] + (b"x" if damage == "longer" else b"")
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        svhn.load(folder)
    assert str(path) in str(caught.value)
    assert "truncated or altered" in str(caught.value)
    assert path.read_bytes() == content, "what the user has is left as it is"
    assert requests == []
