"""House-number-like digits, drawn from a seed, with the true mask of each labelled digit.

The pictures have the format of SVHN's cropped digits (Netzer et al. 2011, "format 2"): a square
cut around one digit of a house number, its neighbours showing at the edges. Unlike SVHN's they
are free to show anywhere, need no download, and say which pixels belong to the digit, which is
what a check of saliency measures needs.

A photo is drawn in three steps. The *sheet* is a fine layout in which the digits' outlines are
filled after the perspective; it alone decides the masks. The *photo* is the coloured scene at
the camera's own, coarser resolution, blurred and noisy there. A *crop* resamples the photo
around one digit, so that few pixels become many and look soft, as SVHN's do.

Random numbers are drawn in one fixed order, so the order of the calls is part of the data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from scipy.ndimage import gaussian_filter

from analysis.images.house_numbers import (
    SHEET_HEIGHT,
    Floats,
    Layer,
    Sheet,
    bar_before,
    draw_sheet,
    log_uniform,
    thicken,
)
from analysis.images.images import Images

# Side of a crop in pixels. What is drawn does not depend on it, only how finely.
SIZE = 32
CLASSES = tuple("0123456789")

# Luminance difference of digit and ground, log-normal: median, spread and limits. The low tail,
# together with the low resolutions, sets how many digits nobody could read.
CONTRAST_MEDIAN, CONTRAST_SPREAD, CONTRAST_LIMITS = 0.28, 0.60, (0.08, 0.85)
DARK_ON_LIGHT_SHARE = 0.6
# Mean distance of a colour from grey: paint in street light is far duller than paint.
TINT = 0.065

# How often a photo has each of these: a plate or frame around the number, planks or bricks,
# raised digits that throw a shadow, digits with a rim, the edge of a shadow.
PLATE_SHARE, PLANKS_SHARE, RAISED_SHARE, RIM_SHARE, SHADOW_SHARE = 0.35, 0.25, 0.25, 0.10, 0.20

# Standard deviations: the change of light over one digit height, across and down, and the mean
# one of stains and reflections on the ground, as shares of full scale.
LIGHT_SLOPE, MOTTLING = (0.06, 0.10), 0.02

# The camera: blur in its own pixels, noise as a share of full scale. Colour, noise included, is
# blurred further, as it is in compressed pictures.
BLUR, COLOUR_BLUR, NOISE = (0.5, 1.25), 0.8, (0.004, 0.03)

Pixels = NDArray[np.float32]
# Pixels uint8 (side, side, 3), the digit, the photo's number, and the mask bool (side, side).
Crop = tuple[NDArray[np.uint8], int, int, NDArray[np.bool_]]


def load(*, train: int, test: int, seed: int) -> Images:
    """Return ``train`` and ``test`` drawn images; the two splits share no photo.

    A label is the digit in the middle, and a group the crops of one photo, which share its style
    and some of its pixels. A mask has the pixels that the digit, as far as it is visible after the
    perspective and before blur and noise, covers by half or more.

    The same seed gives the same bytes in every process, and the first images of a split do not
    depend on how many follow: each photo has a random generator of its own, made from (seed,
    photo). Other processors or versions of NumPy, SciPy, Pillow or matplotlib may round some
    values differently.
    """
    # Streams of their own, so that the test images do not change with the number of training ones.
    crops = [*islice(_crops(2 * seed), train), *islice(_crops(2 * seed + 1), test)]
    pixels, labels, photos, masks = map(np.array, zip(*crops, strict=True))
    return Images.of_splits(
        {"train": train, "test": test}, pixels, labels, classes=CLASSES, group=photos, masks=masks
    )


def _crops(seed: int) -> Iterator[Crop]:
    """Give the crops of one photo after the other, from left to right."""
    for number in count():
        rng = np.random.default_rng([seed, number])
        sheet = draw_sheet(rng)
        bar = bar_before(rng, sheet)
        photo = Image.fromarray(_expose(rng, _paint(rng, sheet, bar)))
        for label, digit, box in zip(sheet.number, sheet.digits, sheet.boxes, strict=True):
            yield _cut(photo, sheet, box), label, number, _mask(digit, bar, box)


def _cut(photo: Image.Image, sheet: Sheet, box: Floats) -> NDArray[np.uint8]:
    across, down = (p / s for p, s in zip(photo.size, sheet.size, strict=True))
    left, top, right, bottom = (box * (across, down, across, down)).tolist()
    edges = (max(left, 0.0), max(top, 0.0), min(right, photo.width), min(bottom, photo.height))
    return np.asarray(photo.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=edges))


def _mask(digit: Layer, bar: Layer | None, box: Floats) -> NDArray[np.bool_]:
    visible = digit if bar is None else ImageChops.subtract(digit, bar)
    edges = tuple(box.tolist())
    return np.asarray(visible.resize((SIZE, SIZE), Image.Resampling.BOX, box=edges)) >= 128


def _paint(rng: np.random.Generator, sheet: Sheet, bar: Layer | None) -> Pixels:
    """The scene before the camera: (height, width, 3), 0 is black and 1 is white."""
    ground, ink = _colours(rng)
    digits = sheet.digits[0]
    for layer in sheet.digits[1:]:
        digits = ImageChops.lighter(digits, layer)
    scene = _ground(rng, sheet, ground, ink)
    if rng.random() < RAISED_SHARE:
        across, down = (rng.normal(0, 0.06, 2) * SHEET_HEIGHT).tolist()
        moved = (1, 0, -across, 0, 1, -down)
        shadow = digits.transform(digits.size, Image.Transform.AFFINE, moved)
        _cover(scene, sheet, shadow, ground * rng.uniform(0.4, 0.8))
    if rng.random() < RIM_SHARE:
        _cover(scene, sheet, thicken(digits, rng.uniform(0.03, 0.06)), _colour(rng, rng.random()))
    _cover(scene, sheet, digits, ink)
    if bar is not None:
        _cover(scene, sheet, bar, _colour(rng, rng.uniform(0.1, 0.8)))
    return scene * _light(rng, sheet)[..., None]


def _colours(rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """The colours of ground and digits."""
    lowest, highest = CONTRAST_LIMITS
    contrast = rng.lognormal(math.log(CONTRAST_MEDIAN), CONTRAST_SPREAD)
    contrast = min(max(contrast, lowest), highest)
    darker = rng.uniform(0.04, 0.96 - contrast)
    luminances = darker + contrast, darker
    ground, ink = luminances if rng.random() < DARK_ON_LIGHT_SHARE else luminances[::-1]
    return _colour(rng, ground), _colour(rng, ink)


def _colour(rng: np.random.Generator, luminance: float) -> Pixels:
    """A colour of this luminance: nearly grey, more often warm or cold than green or pink."""
    angle = rng.choice((0.08, 0.62)) + rng.normal(0, 0.08)
    tint = [math.cos(2 * math.pi * (angle - shift / 3)) for shift in range(3)]
    # No tint is left near black and white, where the camera would clip it.
    strength = rng.gamma(2, TINT / 2) * 2 * math.sqrt(luminance * (1 - luminance))
    colour = luminance + strength * np.array(tint)
    # Put the luminance right at the tint's expense: the contrast was chosen, the tint was not.
    colour += luminance - colour @ (0.30, 0.59, 0.11)
    return colour.astype(np.float32)


def _ground(rng: np.random.Generator, sheet: Sheet, ground: Pixels, ink: Pixels) -> Pixels:
    """What is behind the digits: a wall or, on a wall of another colour, a plate."""
    width, height = sheet.photo_size
    plated = rng.random() < PLATE_SHARE
    wall = _colour(rng, rng.uniform(0.05, 0.95)) if plated else ground
    scene = np.broadcast_to(wall, (height, width, 3)).astype(np.float32)
    if rng.random() < PLANKS_SHARE:
        _cover(scene, sheet, _planks(rng, sheet), wall * rng.uniform(0.6, 1.3))
    if plated:
        _cover_with_plate(rng, scene, sheet, ground, ink)
    return scene + _mottling(rng, sheet)


def _cover(scene: Pixels, sheet: Sheet, layer: Layer, colour: Pixels) -> None:
    """Lay a colour over the scene, in place, where the layer covers it."""
    small = layer.resize(sheet.photo_size, Image.Resampling.BOX)
    coverage = np.asarray(small, np.float32)[..., None] / 255
    scene += coverage * (colour - scene)


def _planks(rng: np.random.Generator, sheet: Sheet) -> Layer:
    """Coverage by the joints of planks or courses of bricks, upright or level."""
    upright = rng.random() < 0.4
    pitch, half = rng.uniform(0.35, 1.2), rng.uniform(0.015, 0.06)
    reach = sheet.half_width + 1.5
    joints = Image.new("L", sheet.size)
    for place in np.arange(-reach + rng.uniform(0, pitch), reach, pitch).tolist():
        ends = np.array([(-reach, place), (reach, place)])
        joint = sheet.band(ends[:, ::-1] if upright else ends, half)
        joints = ImageChops.lighter(joints, joint)
    return joints


def _cover_with_plate(
    rng: np.random.Generator, scene: Pixels, sheet: Sheet, ground: Pixels, ink: Pixels
) -> None:
    """Lay a plate over the scene, in place: an oval or a rectangle, often with a border."""
    half = np.array((sheet.half_width, 0.5)) + rng.uniform(0.12, 0.45, 2)
    # A superellipse: the larger the power, the sharper the corners.
    power = rng.choice((4.0, 10.0, 40.0))
    border = rng.uniform(0.03, 0.08) if rng.random() < 0.5 else 0.0
    turn = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    circle = np.stack((np.cos(turn), np.sin(turn)), axis=1)
    unit = np.sign(circle) * np.abs(circle) ** (2 / power)
    for inset, colour in ((0.0, ink), (border, ground)):
        _cover(scene, sheet, sheet.fill(unit * (half - inset)), colour)


def _mottling(rng: np.random.Generator, sheet: Sheet) -> Pixels:
    """Stains and reflections: smooth noise (height, width, 1), coarser than a digit's strokes."""
    width, height = sheet.photo_size
    rows = 4
    columns = max(2, round(width / height * rows))
    grid = rng.normal(0, rng.exponential(MOTTLING), (rows, columns)).astype(np.float32)
    smooth = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32).reshape(height, width, 1)


def _light(rng: np.random.Generator, sheet: Sheet) -> Pixels:
    """Brightness (height, width): a slope and, at times, the soft edge of a shadow."""
    width, height = sheet.photo_size
    unit = sheet.scale * SHEET_HEIGHT
    x = (np.arange(width, dtype=np.float32) - width / 2) / unit
    y = (np.arange(height, dtype=np.float32)[:, None] - height / 2) / unit
    across, down = rng.normal(0, LIGHT_SLOPE)
    light: Pixels = 1 + across * x + down * y
    if rng.random() < SHADOW_SHARE:
        angle, depth, softness = rng.uniform((0, 0.2, 0.03), (2 * math.pi, 0.6, 0.5))
        edge = x * math.cos(angle) + y * math.sin(angle) - rng.normal(0, 0.3)
        light = light * (1 - depth * np.clip(0.5 + edge / softness, 0, 1))
    return light.astype(np.float32)


def _expose(rng: np.random.Generator, scene: Pixels) -> NDArray[np.uint8]:
    """The camera's 8-bit picture of a scene: blurred, its colours more so, and noisy."""
    blur = log_uniform(rng, BLUR) * rng.uniform(0.8, 1.25, 2)
    noise = rng.standard_normal(scene.shape, np.float32) * log_uniform(rng, NOISE)
    picture: Pixels = gaussian_filter(scene, (*blur, 0)) + noise
    grey = picture.mean(axis=2, keepdims=True)
    picture = grey + gaussian_filter(picture - grey, (COLOUR_BLUR, COLOUR_BLUR, 0))
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
