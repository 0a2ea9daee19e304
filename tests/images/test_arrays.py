"""Images as arrays: from .npz files and mappings, taken as they are or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.images import Images, batches, load
from analysis.images.arrays import of_arrays
from analysis.project.errors import UserError
from tests.conftest import CPU
from tests.images.conftest import study_of

RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def loaded(folder: Path, *, evaluate: str = "all", **arrays: object) -> Images:
    np.savez(folder / "mine.npz", **arrays)
    study = study_of(untrained=True, source="arrays", path="mine.npz", evaluate=evaluate)
    return load(study, folder)


@pytest.mark.parametrize("shape", [(6, 28, 28), (6, 224, 300, 3), (6, 8, 9, 5), (6, 3, 1, 1)])
def test_images_of_any_size_and_channels(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = noise(*shape)
    images = loaded(tmp_path, images=pixels, labels=[0, 1, 2, 0, 1, 2])
    assert (
        images.size == shape[1:3]
        and images.channels == (*shape, 1)[3]
        and images.classes == ("0", "1", "2")
    )
    assert np.array_equal(images.pixels, pixels.reshape(*shape[:3], -1))
    assert images.split.tolist() == ["all"] * 6
    (batch,) = batches(images, np.arange(6), device=CPU)
    expected = pixels.reshape(*shape[:3], -1).transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_allclose(batch.pixels, expected, rtol=1e-6)


def test_every_column(tmp_path: Path) -> None:
    pixels = noise(5, 4, 4, 3)
    images = loaded(
        tmp_path,
        evaluate="test",
        images=pixels,
        labels=np.array(["dog", "cat", "dog", "größe", "cat"]),
        split=np.array(["test", "train", "test", "train", "test"]),
        group=np.array(["x", "y", "x", "y", ""]),
        attribute_age=np.array([1, 2, 3, 4, 5]),
        attribute_some_group=np.array(["a", "b", "", "b", "a"]),
    )
    # Split by split, in the order in which they first appear.
    order = [0, 2, 4, 1, 3]
    assert np.array_equal(images.pixels, pixels[order])
    assert images.classes == ("cat", "dog", "größe") and images.labels.tolist() == [1, 1, 0, 0, 2]
    assert images.split.tolist() == ["test"] * 3 + ["train"] * 2
    assert images.index.tolist() == [0, 1, 2, 0, 1] and images.group.tolist() == [0, 0, -1, 1, 1]
    assert images.attributes["age"].tolist() == [1, 3, 5, 2, 4]
    assert images.attributes["some_group"].tolist() == ["a", "", "a", "b", "b"]


def test_arrays_for_each_split(tmp_path: Path) -> None:
    parts = {"train": noise(3, 4, 4), "test": noise(2, 4, 4)}
    arrays = {f"{split}_images": pixels for split, pixels in parts.items()}
    # As MedMNIST has them: labels as a column of small integers.
    arrays |= {"train_labels": np.uint8([[0], [1], [1]]), "test_labels": np.uint8([[1], [0]])}
    images = loaded(tmp_path, evaluate="test", classes=np.array(["no", "yes"]), **arrays)
    assert images.classes == ("no", "yes") and images.labels.tolist() == [0, 1, 1, 1, 0]
    for split, pixels in parts.items():
        assert np.array_equal(images.pixels[images.positions(split)][..., 0], pixels)
    merged = loaded(tmp_path, **arrays)
    assert merged.split.tolist() == ["all"] * 5 and merged.index.tolist() == list(range(5))


def test_floats_and_text_of_pandas() -> None:
    pixels = noise(2, 4, 4)
    labels = np.array(["a", "b"], dtype=object)
    images = of_arrays({"images": pixels / 255, "labels": labels}, key="k", origin="o")
    assert np.array_equal(images.pixels[..., 0], pixels)


def test_groups_mean_the_same_in_every_split(tmp_path: Path) -> None:
    arrays = {"images": noise(4, 4, 4), "labels": [0, 1, 0, 1], "group": [7, 8, 7, -1]}
    split = np.array(["train", "train", "test", "test"])
    images = loaded(tmp_path, evaluate="test", split=split, **arrays)
    assert images.notes == ("Groups with images in the evaluated split and in another: 1.",)
    assert loaded(tmp_path, split=split, **arrays).group.tolist() == [0, 1, 0, -1]


GOOD = {"images": noise(4, 4, 4, 3), "labels": [0, 1, 0, 1]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "'labels' is missing"),
        ({"images": None}, "'images' is missing"),
        ({"images": None, "labels": None}, "must have 'images' and 'labels'"),
        ({"lables": [1]}, "unknown array 'lables'; the nearest is 'labels'"),
        ({"train_images": noise(1, 4, 4, 3)}, "for all or for each split, not 'images', 'labels'"),
        ({"images": noise(4, 4)}, r"must be \(N, height, width\) or .*, not \(4, 4\)"),
        ({"images": noise(0, 4, 4)}, "has no images"),
        ({"images": noise(4, 3, 32, 32)}, "channels come last"),
        ({"images": noise(4, 4, 4, 65)}, "channels come last, at most 64"),
        ({"images": noise(4, 4, 4).astype(int)}, r"uint8, or floats in \[0, 1\], not int64"),
        ({"images": noise(4, 4, 4) / 16}, r"not floats from 0.* to 15"),
        ({"images": np.full((4, 4, 4), np.nan)}, "not floats from nan"),
        ({"images": np.array([object()] * 4)}, "contains Python objects, which are never loaded"),
        ({"labels": [0, 1]}, r"one value for each of the 4 images, but is \(2,\)"),
        ({"labels": np.eye(4)}, r"but is \(4, 4\)"),
        ({"labels": [0, 1, -1, 1]}, "labels must be 0 or more, not -1"),
        ({"labels": [0, 1, 1, 1000]}, "labels reach to 1000, .* 1,000 classes at most"),
        ({"labels": [0.0, 1, 0, np.nan]}, "must be names or whole numbers, not float64"),
        ({"labels": [0, 1, 2, 1], "classes": ["a", "b"]}, "labels must be 0 to 1, .* not 2"),
        ({"labels": list("aabc"), "classes": ["a", "b"]}, "'c' is not among the classes"),
        ({"labels": ["a", "b", "", "a"]}, "the class name '' is blank"),
        ({"labels": [0, 0, 0, 0]}, "the only class is '0'"),
        ({"classes": ["a", "a"]}, "two classes are called 'a'"),
        ({"classes": ["a", "(all)"]}, "stands for every class"),
        ({"split": list("ab")}, "one value for each"),
        ({"split": [1, 2, 1, 2]}, "'split' must be text, not int64"),
        ({"split": ["a", "", "a", "a"]}, "must name a split for each image"),
        ({"group": [1.5, 2, 3, 4]}, "'group' must be text or whole numbers"),
        ({"attribute_age": [1, 2, 3, np.inf]}, "'attribute_age' must be finite"),
        ({"attribute_brightness": [1, 2, 3, 4]}, "'brightness' needs another name"),
        ({"attribute_": [1, 2, 3, 4]}, "of an attribute must have 1 to 60 letters"),
    ],
)
def test_other_arrays_are_refused(changes: dict, message: str, tmp_path: Path) -> None:
    arrays = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    with pytest.raises(UserError, match=message) as caught:
        loaded(tmp_path, **arrays)
    assert str(caught.value).startswith(f"images.path: {tmp_path / 'mine.npz'}")
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b_labels": list("xy")}, "'labels' must be text in every split or in none"),
        ({"b_images": noise(2, 4, 5)}, "one height, width and number of channels"),
        ({"b_group": [1, 2]}, "'group' must be given for every split or for none"),
        ({"b_split": ["x", "y"]}, "'b_split' is one too many"),
        ({"c_images": noise(2, 4, 4)}, "'c_labels' is missing"),
    ],
)
def test_splits_that_do_not_fit(changes: dict, message: str, tmp_path: Path) -> None:
    parts = {f"{s}_images": noise(2, 4, 4) for s in "ab"} | {f"{s}_labels": [0, 1] for s in "ab"}
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, **{**parts, **changes})


@pytest.mark.parametrize("damage", ["missing", "cut", "text", "npy", "folder"])
def test_a_damaged_file_is_named(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, **GOOD)
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "npy":
        with path.open("wb") as file:
            np.save(file, GOOD["images"])
    elif damage != "missing":
        path.write_bytes({"cut": whole[: len(whole) // 2], "text": b"images,labels\n"}[damage])
    study = study_of(untrained=True, source="arrays", path="mine.npz", evaluate="all")
    with pytest.raises(UserError, match=r"images.path: .*mine\.npz") as caught:
        load(study, tmp_path)
    assert len(str(caught.value).splitlines()) <= 2
