"""Official SVHN files: read as they are, refused if they are not the official ones.

The files here have the official form and are a few kilobytes; no test opens a connection.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets.svhn as torchvision_svhn
from scipy.io import savemat
from torchvision.datasets import SVHN

from analysis.images import svhn
from analysis.project.errors import UserError

COUNTS = {"train": 30, "test": 12, "extra": 7}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small files that torchvision takes for the official; no network."""

    def refuse(url: str, *arguments: object) -> None:
        raise URLError("no network")

    known = {}
    for split, count in COUNTS.items():
        url, name, _ = SVHN.split_list[split]
        labels = np.resize(np.arange(1, 11), count).astype(np.uint8).reshape(-1, 1)
        savemat(tmp_path / name, {"X": drawn(count), "y": labels})
        known[split] = [url, name, hashlib.md5((tmp_path / name).read_bytes()).hexdigest()]
    monkeypatch.setattr(SVHN, "split_list", known)
    monkeypatch.setattr(torchvision_svhn, "download_url", refuse)
    return tmp_path


def drawn(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (32, 32, 3, count), dtype=np.uint8)


def test_images_are_those_of_the_files(folder: Path) -> None:
    images = svhn.load(folder)
    assert images.pixels.shape == (42, 32, 32, 3)
    # The file's last axis counts images.
    for number in (0, 17, 29):
        assert np.array_equal(images.pixels[number], drawn(30)[..., number])
    # The label 10 is the digit 0.
    assert images.labels[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert images.split.tolist() == ["train"] * 30 + ["test"] * 12
    assert images.index.tolist() == [*range(30), *range(12)]
    assert (images.group == -1).all()


def test_a_missing_file_is_named_with_its_folder_and_address(folder: Path) -> None:
    (folder / "file").write_text("")
    for place in (folder / "empty", folder / "file"):
        with pytest.raises(UserError) as caught:
            svhn.load(place, splits=("extra",))
        address = "http://ufldl.stanford.edu/housenumbers/extra_32x32.mat"
        assert str(caught.value) == (
            f"extra_32x32.mat is not in {place} and could not be downloaded.\n"
            f"Put {address} there, or name its folder with --data or FAILURE_MODES_DATA."
        )


def test_a_missing_file_is_downloaded_whole_or_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (folder / "test_32x32.mat").read_bytes()

    def download(url: str, root: str, name: str, md5: str) -> None:
        (Path(root) / name).write_bytes(content[:length])
        if length < len(content):
            raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(torchvision_svhn, "download_url", download)
    length = 500
    with pytest.raises(UserError, match="could not be downloaded"):
        svhn.official(folder / "new", "test")
    assert list((folder / "new").iterdir()) == []
    length = len(content)
    pixels, _ = svhn.official(folder / "new", "test")
    assert np.array_equal(pixels, svhn.official(folder, "test")[0])


@pytest.mark.parametrize("length", [None, 1000, 0])
def test_a_damaged_file_is_refused_and_kept(folder: Path, length: int | None) -> None:
    path = folder / "test_32x32.mat"
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content[:length])
    with pytest.raises(UserError, match="test_32x32.mat is truncated or altered"):
        svhn.load(folder)
    assert path.read_bytes() == content[:length]
