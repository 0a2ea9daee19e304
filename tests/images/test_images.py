"""The form of images, their digest, and batches of them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.images import Images, batches, load
from analysis.project.errors import UserError
from tests.conftest import CPU, small_study


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": np.zeros((1090, 32, 32), np.uint8)}, "pixels must be uint8"),
        ({"pixels": np.zeros((1090, 32, 32, 3))}, "pixels must be uint8"),
        ({"labels": np.zeros(3, np.int64)}, "labels must have one value for each image"),
        ({"index": np.zeros(1090, np.int32)}, "index must be int64, not int32"),
        ({"labels": np.full(1090, 10)}, "labels must be 0 to 9"),
        ({"labels": np.full(1090, -1)}, "labels must be 0 to 9"),
        ({"classes": ("a",)}, "2 to 1000 distinct names"),
        ({"classes": ("a", "b") * 5}, "2 to 1000 distinct names"),
        ({"masks": np.zeros((1090, 32, 31), bool)}, "masks must be bool"),
        ({"attributes": {"age": np.zeros(3)}}, "attribute age must be float64 or text, one per"),
        ({"attributes": {"age": np.zeros(1090, int)}}, "attribute age must be float64 or text"),
        ({"files": ("a.png",)}, "files must have one path for each image"),
    ],
)
def test_other_forms_are_refused(digits: Images, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(digits, **changes)


def test_the_digest_depends_on_everything(digits: Images) -> None:
    masks = np.zeros((1090, 32, 32), bool)
    changes: list[dict] = [{"masks": masks}, {"masks": ~masks}, {"classes": tuple("0123456798")}]
    for name in ("pixels", "labels", "split", "index", "group"):
        changed = getattr(digits, name).copy()
        changed[5] = changed[-1] if name == "split" else changed[5] ^ 1
        changes.append({name: changed})
    found = {digits.digest(), *(replace(digits, **change).digest() for change in changes)}
    assert len(found) == 1 + len(changes)
    assert replace(digits, pixels=digits.pixels.copy()).digest() == digits.digest()
    described = replace(digits, attributes={"age": np.zeros(1090)}, notes=("one was left out",))
    assert described.digest() == digits.digest()


def test_pixels_may_be_a_memory_map(digits: Images, tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", digits.pixels)
    mapped = replace(digits, pixels=np.load(tmp_path / "pixels.npy", mmap_mode="r"))
    assert mapped.digest() == digits.digest()
    (batch,) = batches(mapped, np.array([1000, 3]), device=CPU)
    (expected,) = batches(digits, np.array([1000, 3]), device=CPU)
    assert torch.equal(batch.pixels, expected.pixels)


def test_an_image_without_a_group_is_its_own(digits: Images) -> None:
    group = digits.group.copy()
    group[[960, 961]] = -1
    units = replace(digits, group=group).units(digits.positions("test"))
    assert units[:4].tolist() == [-961, -962, 1, 1]
    assert units.dtype == np.int64


def test_batches_have_the_images_in_order(digits: Images) -> None:
    # Neither square nor 32 wide.
    images = replace(digits, pixels=digits.pixels[:, :20], masks=digits.pixels[:, :20, :, 0] > 60)
    positions = np.array([1000, 3, 7])
    first, second = batches(images, positions, device=CPU, size=2)
    assert first.pixels.shape == (2, 3, 20, 32) and first.pixels.dtype == torch.float32
    assert first.pixels.is_contiguous(memory_format=torch.channels_last)
    levels = images.pixels[positions].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(torch.cat([first.pixels, second.pixels]), levels / 255)
    assert torch.equal(second.masks, torch.from_numpy(images.masks[[7]]))
    for name in ("labels", "index", "group"):
        found = [*getattr(first, name).tolist(), *getattr(second, name).tolist()]
        assert found == getattr(images, name)[positions].tolist()
    assert list(batches(images, positions[:0], device=CPU)) == []


def test_one_evaluated_image_is_refused(tmp_path: Path) -> None:
    for count, refused in ((1, True), (2, False)):
        study = small_study(
            images={"source": "streetdigits", "draw": {"train": 3, "test": count}},
        )
        with pytest.raises(UserError, match=r"images\.evaluate") if refused else nullcontext():
            load(study, tmp_path)
