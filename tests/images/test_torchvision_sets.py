"""Data sets of torchvision read from disk: files in their raw form, written here."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from analysis.images import Images, load
from analysis.images.torchvision_sets import _OTHERS, _kind, _module, _parameters
from analysis.project.errors import UserError
from tests.images.conftest import greys, study_of

pytestmark = pytest.mark.usefixtures("cache")


def idx(path: Path, array: np.ndarray) -> None:
    """Write an array as LeCun's files have it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


def mnist(folder: Path, name: str = "MNIST", prefix: str = "") -> dict[str, np.ndarray]:
    generator = np.random.default_rng(len(name))
    found = {}
    for split, word, count in (("train", "train", 12), ("test", "t10k", 7)):
        found[split] = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        raw = folder / name / "raw"
        idx(raw / f"{prefix}{word}-images-idx3-ubyte", found[split])
        idx(raw / f"{prefix}{word}-labels-idx1-ubyte", np.arange(count) % 10)
    return found


def read(folder: Path, dataset: str, *, untrained: bool = False, **images: object) -> Images:
    settings = {"source": "torchvision", "dataset": dataset, "size": 28, **images}
    return load(study_of(untrained=untrained, **settings), folder)


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_the_files_of_mnist(name: str, tmp_path: Path) -> None:
    expected = mnist(tmp_path / "data", name)
    images = read(tmp_path / "data", name, channels=1)
    assert images.classes == tuple(getattr(datasets, name).classes)
    for split, pixels in expected.items():
        chosen = images.positions(split)
        assert np.array_equal(images.pixels[chosen][..., 0], pixels)
        assert images.labels[chosen].tolist() == [n % 10 for n in range(len(pixels))]
    # From the cache, larger and in colour, below a folder of their own, and all together.
    assert read(tmp_path / "data", name, channels=1).digest() == images.digest()
    colour = read(tmp_path / "none", name, size=32, arguments={"root": str(tmp_path / "data")})
    assert colour.pixels.shape == (19, 32, 32, 3)
    every = read(tmp_path / "data", name, evaluate="all", folds=2)
    assert every.split.tolist() == ["all"] * 19
    # Without training, the training split is not read.
    assert len(read(tmp_path / "data", name, untrained=True)) == 7


def test_changed_files_are_decoded_again(tmp_path: Path) -> None:
    mnist(tmp_path / "data")
    before = read(tmp_path / "data", "MNIST")
    idx(tmp_path / "data/MNIST/raw/t10k-images-idx3-ubyte", np.zeros((7, 28, 28)))
    after = read(tmp_path / "data", "MNIST")
    assert before.pixels[12:].max() > 0 == after.pixels[12:].max()


def test_a_set_of_letters_with_both_kinds_of_splits(tmp_path: Path) -> None:
    mnist(tmp_path / "data", "EMNIST", "emnist-letters-")
    for path in (tmp_path / "data/EMNIST/raw").iterdir():
        name = path.name.replace("t10k", "test")
        path.rename(path.with_name(name))
    images = read(tmp_path / "data", "EMNIST", arguments={"split": "letters"})
    assert images.classes[:2] == ("N/A", "a") and len(images) == 19


def test_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.cifar, "check_integrity", lambda *arguments: True)
    folder = tmp_path / datasets.CIFAR10.base_folder
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (12, 3072), dtype=np.uint8)
    names = [name for name, _ in datasets.CIFAR10.train_list + datasets.CIFAR10.test_list]
    for number, name in enumerate(names):
        content = {"data": rows[2 * number : 2 * number + 2], "labels": [number] * 2}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    images = read(tmp_path, "CIFAR10", size=32)
    assert np.array_equal(images.pixels, rows.reshape(12, 3, 32, 32).transpose(0, 2, 3, 1))
    assert images.split.tolist() == ["train"] * 10 + ["test"] * 2
    assert images.classes == tuple("abcdefghij")


def test_class_folders_without_splits(tmp_path: Path) -> None:
    for name in ("a b", "c"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        Image.new("L", (9, 20), ord(name[0])).save(tmp_path / "mine" / name / "1.png")
    arguments = {"root": "mine"}
    images = read(tmp_path, "ImageFolder", evaluate="all", untrained=True, arguments=arguments)
    assert images.classes == ("a b", "c") and greys(images) == [ord("a"), ord("c")]
    with pytest.raises(UserError, match="images.evaluate: .* 'test'; the only split is 'all'"):
        read(tmp_path, "ImageFolder", arguments=arguments)


def test_splits_by_name_and_classes_by_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Halves(datasets.VisionDataset):
        def __init__(self, root: str, split: str = "train") -> None:
            super().__init__(root)
            datasets.utils.verify_str_arg(split, "split", ("train", "trainval", "val", "test"))
            self.value = {"train": 1, "val": 2, "trainval": 3, "test": 4}[split]

        def __len__(self) -> int:
            return 2

        def __getitem__(self, number: int) -> tuple:
            return np.full((28, 28), self.value, np.uint8), np.int32(number + 1)

    Halves.__module__ = "torchvision.datasets.halves"
    monkeypatch.setattr(datasets, "STL10", Halves)
    images = read(tmp_path, "STL10", evaluate="val")
    assert greys(images) == [1, 1, 2, 2] and images.classes == ("0", "1", "2")
    # All of them, without the one that overlaps with others.
    assert greys(read(tmp_path, "STL10", evaluate="all", folds=2)) == [1, 1, 2, 2, 4, 4]
    # It may overlap with the others.
    assert greys(read(tmp_path, "STL10", evaluate="trainval", folds=2)) == [3, 3]
    with pytest.raises(UserError, match=r"images.train: .*'learn' for argument split"):
        read(tmp_path, "STL10", train="learn")


def test_fake_data_need_no_files(tmp_path: Path) -> None:
    images = read(
        tmp_path / "none",
        "FakeData",
        evaluate="all",
        untrained=True,
        arguments={"size": 12, "num_classes": 3},
        size=224,
    )
    expected = datasets.FakeData(size=12, num_classes=3)
    assert images.classes == ("0", "1", "2")
    for number in (0, 7):
        assert np.array_equal(images.pixels[number], np.asarray(expected[number][0]))
        assert images.labels[number] == expected[number][1]


@pytest.mark.parametrize("name", datasets.__all__)
def test_every_set_is_taken_or_refused(name: str, tmp_path: Path) -> None:
    """A line that says why, and nothing else, for sets that are not on the disk."""
    with pytest.raises(UserError) as caught:
        read(tmp_path, name)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    try:
        kind = _kind(name)
    except UserError:
        assert "not for classification" in message or "no data set" in message
        return
    assert _module(kind) not in _OTHERS
    parameters = _parameters(kind)
    if "root" in parameters and {"train", "split"} & parameters:
        assert message.startswith(("images.dataset: ", "images.train: ", "images.evaluate: "))


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("MNSIT", {}, "torchvision has no data set 'MNSIT'; the nearest is 'MNIST'"),
        ("wrap_dataset_for_transforms_v2", {}, "has no data set"),
        ("VOCDetection", {}, "does not have one class for each image"),
        ("CelebA", {"arguments": {"target_type": "attr"}}, "images.dataset: CelebA"),
        ("MNIST", {}, r"MNIST cannot be read from .*: RuntimeError: .*\n.* download = true"),
        ("CIFAR10", {"arguments": {"root": "nowhere"}}, "nowhere: that folder does not exist"),
        ("MNIST", {"arguments": {"trian": True}}, "no argument 'trian' .* nearest is '"),
        ("MNIST", {"arguments": {"transform": "flip"}}, "no argument 'transform' that a study"),
        ("MNIST", {"arguments": {"train": True}}, "arguments.train: splits are named by"),
        ("SVHN", {"arguments": {"split": "extra"}}, "arguments.split: splits are named by"),
        ("MNIST", {"evaluate": "val"}, "MNIST has no split 'val'; the splits are 'train' and 'te"),
        ("SVHN", {"evaluate": "tset"}, "images.evaluate: SVHN: ValueError: .*'tset'"),
        ("FakeData", {"arguments": {"size": 0}, "evaluate": "all"}, "FakeData has no images"),
    ],
)
def test_other_sets_and_arguments_are_refused(
    dataset: str, options: dict, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, dataset, untrained=True, **options)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([1, 2], "has list as its target"),
        ({"boxes": []}, "has dict as its target"),
        ("cat", "has the text 'cat' as its target"),
        (0.5, "has float as its target"),
        (-1, "has images without a label"),
    ],
)
def test_other_targets_are_refused(
    target: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        datasets.FakeData, "__getitem__", lambda self, n: (Image.new("L", (8, 8)), target)
    )
    with pytest.raises(UserError, match=f"images.dataset: FakeData.* {message}"):
        read(tmp_path, "FakeData", evaluate="all", untrained=True, arguments={"size": 3})


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="images.dataset: MNIST cannot be read from"):
        read(tmp_path, "MNIST")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name in "ab":
        (tmp_path / name / "1.png").write_bytes(b"\x89PNG")
    arguments = {"root": str(tmp_path), "allow_empty": True}
    with pytest.raises(UserError, match="ImageFolder, image 0 of 'all' cannot be read"):
        read(tmp_path, "ImageFolder", evaluate="all", untrained=True, arguments=arguments)
