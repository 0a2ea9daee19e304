"""Photos of any kind that a folder can hold become 8-bit pixels of one form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.images.photos.pixels import Damaged, Form, levels, of_image, of_sample, read

COLOUR, GREY = Form(8, "crop", 3), Form(8, "crop", 1)
RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


def colour(*values: int) -> np.ndarray:
    return np.full((8, 8, len(values)), values, np.uint8)


def palette(transparent: bool) -> Image.Image:
    image = Image.fromarray(colour(200, 40, 10)).quantize(4)
    if transparent:
        image.info["transparency"] = image.getpixel((0, 0))
    return image


def sixteen(mode: str) -> Image.Image:
    values = RAMP.astype(np.uint32) * 257
    if mode == "I":
        return Image.fromarray(values.astype(np.int32))
    image = Image.fromarray(values.astype(np.uint16))
    return image if mode == "I;16" else image.convert("I").convert(mode)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (8, 8), (200, 40, 10)), (200, 40, 10)),
        (Image.new("L", (8, 8), 90), (90, 90, 90)),
        (Image.new("1", (8, 8), 1), (255, 255, 255)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.new("LA", (8, 8), (0, 0)), (255, 255, 255)),
        (Image.new("LA", (8, 8), (70, 255)), (70, 70, 70)),
        (Image.new("RGBA", (8, 8), (200, 0, 100, 0)), (255, 255, 255)),
        # Half of the colour and half of the white ground.
        (Image.new("RGBA", (8, 8), (200, 0, 100, 128)), (227, 127, 177)),
        (palette(transparent=False), (200, 40, 10)),
        (palette(transparent=True), (255, 255, 255)),
        (Image.new("F", (8, 8), 1.0), (255, 255, 255)),
        (Image.new("F", (8, 8), 100.0), (100, 100, 100)),
        (Image.new("HSV", (8, 8), (0, 255, 255)), (255, 0, 0)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_mode_becomes_colour(image: Image.Image, expected: tuple[int, ...]) -> None:
    found = of_image(image, COLOUR).astype(int)
    assert found.shape == (8, 8, 3)
    assert abs(found - expected).max() <= 1


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I"])
def test_sixteen_bits_are_scaled_not_clipped(mode: str) -> None:
    assert np.array_equal(of_image(sixteen(mode), GREY)[..., 0], RAMP)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_in_a_file(suffix: str, tmp_path: Path) -> None:
    sixteen("I;16").save(tmp_path / f"a.{suffix}")
    assert np.array_equal(read(tmp_path / f"a.{suffix}", GREY)[..., 0], RAMP)


@pytest.mark.parametrize("values", [-1.0, 70_000.0, np.nan])
def test_values_without_a_scale_are_refused(values: float) -> None:
    with pytest.raises(ValueError, match="beyond 0 to 65,535"):
        of_image(Image.fromarray(np.full((8, 8), values, np.float32)), COLOUR)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(orientation: int, tmp_path: Path) -> None:
    upright = np.zeros((8, 8), np.uint8)
    upright[:2, :5] = 255
    # How the camera stored it, by the definition of the tag: first row and first column.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    image = Image.fromarray(stored)
    exif = image.getexif()
    exif[0x0112] = orientation
    for suffix in ("png", "tif", "webp"):
        path = tmp_path / f"a.{suffix}"
        image.save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
        assert np.array_equal(read(path, GREY)[..., 0], upright), suffix


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_the_first_of_several_frames_is_taken(suffix: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (value,) * 3) for value in (30, 200)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    assert abs(read(tmp_path / f"a.{suffix}", GREY).astype(int) - 30).max() <= 1


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        # The middle third of a wide picture, with borders, and everything.
        ("crop", np.full((8, 8), 100)),
        ("pad", np.repeat([0, 100, 0], [3, 2, 3])[:, None] * np.ones(8)),
        ("stretch", None),
    ],
)
def test_a_wide_photo_is_cropped_padded_or_stretched(fit: str, expected: np.ndarray | None) -> None:
    wide = np.full((60, 240), 100, np.uint8)
    wide[:, :80] = wide[:, 160:] = 0 if fit != "pad" else 100
    for pixels in (wide, wide.T):
        found = of_image(Image.fromarray(pixels), Form(8, fit, 1))[..., 0]
        found = found if pixels is wide else found.T
        if expected is not None:
            assert np.array_equal(found, expected)
        else:
            assert found[:, :2].max() == 0 and found[:, 3:5].min() > 95


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (7, 9)])
def test_any_shape_comes_in(fit: str, size: tuple[int, int]) -> None:
    found = of_image(Image.new("RGB", size, "white"), Form(16, fit, 3))
    assert found.shape == (16, 16, 3) and found.max() == 255


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "webp", "tif", "ppm", "tga", "jp2"])
def test_damage_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    assert read(path, COLOUR).shape == (8, 8, 3)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"\xff" * 400, b"<html>not found</html>", b""):
        path.write_bytes(content)
        with pytest.raises(Damaged, match=r"\w{3}"):
            read(path, COLOUR)


def test_more_pixels_than_pillow_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (100, 100)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with pytest.raises(Damaged, match="exceeds limit"):
        read(tmp_path / "a.png", COLOUR)


def test_samples_of_any_library() -> None:
    import torch

    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    for sample in (Image.fromarray(picture), picture, tensor, tensor / 255, picture / 255):
        assert np.array_equal(of_sample(sample, COLOUR), picture)
    assert np.array_equal(of_sample(picture[..., 0], GREY)[..., 0], picture[..., 0])
    five = np.concatenate([picture, picture[..., :2]], axis=2)
    assert np.array_equal(of_sample(five, COLOUR), five)
    assert of_sample(five, Form(4, "pad", 3)).shape == (4, 4, 5)
    for wrong in (None, "a.png", picture.ravel(), picture.astype(int), picture * 1.0):
        with pytest.raises(ValueError, match="image"):
            of_sample(wrong, COLOUR)


def test_floats_become_the_nearest_level() -> None:
    every = np.linspace(0, 1, 4000).reshape(2000, 2)
    assert abs(levels(every) / 255 - every).max() <= 0.5 / 255 + 1e-9
    assert np.array_equal(levels(levels(every) / 255), levels(every))
