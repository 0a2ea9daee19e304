"""The pixels of one photo of any shape and mode, as 8 bit of one size."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

# What a folder of photos holds; formats with a signature, by which files without an extension are
# known as well.
_SIGNED = (
    *("AVIF", "BMP", "DDS", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "PSD"),
    *("QOI", "SGI", "TIFF", "WEBP"),
)
# Formats that Pillow would read out of almost any bytes, so that the extension must say so.
_UNSIGNED = ("DIB", "PCX", "TGA")


class Form(NamedTuple):
    """What photos are stored as: ``size`` pixels wide and high, with 1 or 3 channels.

    Without ``size`` they keep their own.
    """

    size: int | None
    fit: str
    channels: int


class Damaged(Exception):
    """Why a file cannot be read, as the end of a sentence."""


def formats(path: Path) -> tuple[str, ...] | None:
    """Return the formats that a file with this extension is read as, or ``None`` for others."""
    Image.init()
    known = Image.registered_extensions().get(path.suffix.lower())
    if known not in _SIGNED + _UNSIGNED:
        return None
    signed = tuple(name for name in _SIGNED if name in Image.OPEN)
    return (*signed, known) if known in _UNSIGNED else signed


def is_photo(path: Path) -> bool:
    """Return whether a file is a photo by its extension or, without a known one, its content."""
    if formats(path):
        return True
    try:
        with Image.open(path, formats=[name for name in _SIGNED if name in Image.OPEN]):
            return True
    # Whatever its content makes Pillow raise, it is not known as a photo.
    except Exception:
        return False


def read(path: Path, form: Form) -> np.ndarray:
    """Return the pixels of the first picture in a file, uint8 (size, size, channels).

    Raises ``Damaged`` for a file that cannot be read, has no content that Pillow knows, or has
    more pixels than Pillow's limit.
    """
    try:
        if path.stat().st_size == 0:
            raise ValueError("it is empty")
        with Image.open(path, formats=formats(path)) as image:
            return of_image(image, form)
    except MemoryError:
        raise
    except Image.UnidentifiedImageError:
        raise Damaged("its content is not an image") from None
    # Each decoder has errors of its own for damage.
    except Exception as error:
        raise Damaged(" ".join(str(error).split())[:150] or type(error).__name__) from None


def of_image(image: Image.Image, form: Form) -> np.ndarray:
    """Return the pixels of a PIL image, uint8 (size, size, channels).

    It is turned upright after its EXIF data and put on white where it is transparent; 16 bits are
    scaled to 8, as are floats, which reach up to 1, 255 or 65,535. Raises ``ValueError`` for other
    values.
    """
    image.load()
    image = image.copy()
    # Broken EXIF data are no reason to do without the photo.
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    elif image.has_transparency_data:
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image.convert("RGBA"))
        image = ground
    image = _fitted(image.convert("L" if form.channels == 1 else "RGB"), form)
    return np.asarray(image).reshape(image.height, image.width, form.channels)


def of_sample(sample: Any, form: Form) -> np.ndarray:
    """Return the pixels of a PIL image, an array (H, W[, C]) or a tensor (C, H, W), uint8.

    They are (size, size, channels); images with neither 1 nor 3 channels keep those that they have.
    Raises ``ValueError`` for anything else.
    """
    if isinstance(sample, Image.Image):
        return of_image(sample, form)
    if hasattr(sample, "detach"):
        sample = sample.detach().cpu().numpy()
        sample = sample.transpose(1, 2, 0) if sample.ndim == 3 else sample
    if not isinstance(sample, np.ndarray) or sample.ndim not in (2, 3):
        raise ValueError(f"an image is {type(sample).__name__}, not a picture, array or tensor")
    return of_array(levels(sample), form)


def of_array(pixels: np.ndarray, form: Form) -> np.ndarray:
    """Return the pixels of an image that is uint8 (H, W[, C]), as ``of_sample`` does."""
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3):
        bands = [Image.fromarray(np.ascontiguousarray(band)) for band in pixels.transpose(2, 0, 1)]
        return np.stack([np.asarray(_fitted(band, form)) for band in bands], axis=-1)
    grey = pixels.ndim == 2 or pixels.shape[2] == 1
    flat = pixels.reshape(pixels.shape[:2]) if grey else pixels
    return of_image(Image.fromarray(np.ascontiguousarray(flat)), form)


def levels(pixels: np.ndarray) -> np.ndarray:
    """Return pixels that are uint8, or floats in [0, 1], as uint8 of the same shape.

    Raises ``ValueError`` for other types and values.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ValueError(f"images must be uint8, or floats in [0, 1], not {pixels.dtype}")
    low, high = (float(end(pixels)) for end in (np.min, np.max)) if pixels.size else (0.0, 1.0)
    # NaN fails every comparison.
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"images must be uint8, or floats in [0, 1], not floats from {low:.4g} to {high:.4g}"
        )
    found = np.empty(pixels.shape, np.uint8)
    # Part by part, as all of them at once take eight times the memory.
    for start in range(0, len(pixels), 1024):
        part = slice(start, start + 1024)
        found[part] = np.rint(pixels[part].astype(np.float64) * 255)
    return found


def no_warnings() -> warnings.catch_warnings:
    """Return a context in which Pillow does not warn of photos below its limit, or of EXIF data."""
    return warnings.catch_warnings(action="ignore")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    low, high = values.min(), values.max()
    limits = (1, 255, 65_535) if image.mode == "F" else (65_535,)
    limit = next((limit for limit in limits if high <= limit), None)
    if limit is None or not low >= 0:
        raise ValueError(f"its values reach from {low:.6g} to {high:.6g}, beyond 0 to 65,535")
    return Image.fromarray(np.rint(values * (255 / limit)).astype(np.uint8))


def _fitted(image: Image.Image, form: Form) -> Image.Image:
    if form.size is None:
        return image
    square = (form.size, form.size)
    if form.fit == "crop":
        return ImageOps.fit(image, square, Image.Resampling.BICUBIC)
    if form.fit == "stretch":
        return image.resize(square, Image.Resampling.BICUBIC)
    scale = form.size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    ground = Image.new(image.mode, square)
    inner = image.resize((width, height), Image.Resampling.BICUBIC)
    ground.paste(inner, ((form.size - width) // 2, (form.size - height) // 2))
    return ground
