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
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.path import Path as Outline
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

# Raised by hand when the same seed gives other pictures: results from the old ones are stale.
VERSION = 1

# Below this a crop has too few pixels for its mask to follow a thin stroke.
SMALLEST_SIZE = 16

# Files that matplotlib ships, so that every machine draws the same outlines. Left out: DejaVu
# Sans Mono, whose zero has a dot and would turn into an 8 when blurred, and the Computer Modern
# italics, whose old-style figures differ in height.
TYPEFACES = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSans-BoldOblique.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSerif-Italic.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralBol.ttf",
    "STIXGeneralItalic.ttf",
    "STIXGeneralBolIta.ttf",
    "cmr10.ttf",
    "cmb10.ttf",
    "cmss10.ttf",
    "cmtt10.ttf",
)

# Shares of numbers with 1 to 4 digits: close to SVHN's test photos, two digits on average.
LENGTH_SHARES = (0.20, 0.62, 0.16, 0.02)
# House numbers start low and never with 0. The later digits make up for it, so that every digit
# is at least 6 % of all crops and none is too rare to measure.
FIRST_DIGIT_SHARES = (0.0, 0.25, 0.17, 0.12, 0.10, 0.09, 0.07, 0.07, 0.065, 0.065)
LATER_DIGIT_SHARES = (0.16, 0.12, 0.11, 0.09, 0.09, 0.09, 0.085, 0.085, 0.085, 0.085)

# Height of a digit on the sheet, in sheet pixels: enough for masks three times SVHN's size.
SHEET_HEIGHT = 96
# Height of a digit in the photo, in camera pixels. The low end makes digits hard to read.
PHOTO_HEIGHT = (10.0, 32.0)

# The number on the wall, in digit heights: ranges, and for the ups and downs of its digits a
# standard deviation. Width is relative to the typeface's own, weight is added to the strokes.
WIDTH = (0.65, 1.15)
WEIGHT = (0.01, 0.045)
GAP = (0.06, 0.32)
WANDER = 0.02

# Standard deviations of the view: degrees, a ratio, and the loss of scale for each digit height
# to the side. The last is limited, so that nothing in sight gets behind the camera.
TILT_DEGREES = 5.0
SHEAR = 0.12
PERSPECTIVE = 0.06
PERSPECTIVE_LIMIT = 0.12

# Side of the crop over the digit's longer side: SVHN's boxes leave about this much air.
CROP_MARGIN = (1.08, 1.48)
# Standard deviation of the crop's centre as a share of its side: a box drawn by hand.
CROP_JITTER = 0.04

# Luminance difference of digit and ground, log-normal: median, spread and limits. The low tail,
# together with the low resolutions, sets how many digits nobody could read.
CONTRAST_MEDIAN = 0.28
CONTRAST_SPREAD = 0.60
CONTRAST_LIMITS = (0.08, 0.85)
DARK_ON_LIGHT_SHARE = 0.6
# Mean distance of a colour from grey: paint in street light is far duller than paint.
TINT = 0.065

# How often a photo has each of these: a plate or frame around the number, planks or bricks,
# raised digits that throw a shadow, digits with a rim, a shadow's edge, a bar before the digits.
PLATE_SHARE = 0.35
PLANKS_SHARE = 0.25
RAISED_SHARE = 0.25
RIM_SHARE = 0.10
SHADOW_SHARE = 0.20
BAR_SHARE = 0.08

# Standard deviations: the change of light over one digit height, across and down, and the mean
# one of stains and reflections on the ground, as shares of full scale.
LIGHT_SLOPE = (0.06, 0.10)
MOTTLING = 0.02

# The camera: blur in its own pixels, noise as a share of full scale. Colour, noise included, is
# blurred further, as it is in compressed pictures.
BLUR = (0.5, 1.25)
COLOUR_BLUR = 0.8
NOISE = (0.004, 0.03)

Layer = Image.Image
Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Drawing:
    """Drawn crops, in the order of their photos.

    ``images`` is uint8 (N, size, size, 3), RGB; ``labels`` uint8 (N,), the centre digit, 0 to 9;
    ``photo`` int32 (N,), which photo a crop was cut from, from 0; ``masks`` bool (N, size, size),
    the visible pixels of the centre digit after the perspective and before blur and noise: those
    that it covers by half or more. Crops of one photo stand together and share its style and
    some of its pixels: the independent unit is the photo, not the crop.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    photo: NDArray[np.int32]
    masks: NDArray[np.bool_]


def draw(count: int, *, seed: int, size: int = 32) -> Drawing:
    """Return ``count`` crops of ``size`` × ``size`` pixels.

    The same seed gives the same bytes in every process, and the first crops do not depend on
    ``count``: each photo has a random generator of its own, made from (seed, photo). What is
    drawn does not depend on ``size`` either, only how finely it is resampled. Other processors
    or versions of NumPy, SciPy, Pillow or matplotlib may round some values differently.

    Raises ``ValueError`` for a count below 1, a size below ``SMALLEST_SIZE`` or a negative seed.
    """
    _check(count, seed=seed, size=size)
    images = np.empty((count, size, size, 3), np.uint8)
    labels = np.empty(count, np.uint8)
    photos = np.empty(count, np.int32)
    masks = np.empty((count, size, size), np.bool_)
    done = photo = 0
    while done < count:
        crops = _draw_photo(np.random.default_rng([seed, photo]), size=size)
        for label, image, mask in crops[: count - done]:
            labels[done], images[done], masks[done] = label, image, mask
            photos[done] = photo
            done += 1
        photo += 1
    return Drawing(images=images, labels=labels, photo=photos, masks=masks)


def _check(count: int, *, seed: int, size: int) -> None:
    if count < 1:
        raise ValueError(f"streetdigits: count must be at least 1, not {count}")
    if size < SMALLEST_SIZE:
        raise ValueError(f"streetdigits: size must be at least {SMALLEST_SIZE} pixels, not {size}")
    if seed < 0:
        raise ValueError(f"streetdigits: seed must be 0 or more, not {seed}")


# ---------------------------------------------------------------------------------- one photo


@dataclass(frozen=True)
class _Style:
    """What the digits of one number share. Lengths are in digit heights."""

    typeface: str
    width: float
    weight: float
    gap: float
    photo_height: float
    view: Floats


@dataclass(frozen=True)
class _Sheet:
    """The fine layout of one photo; layers are 8-bit coverage, all of the sheet's size."""

    digits: list[Layer]
    boxes: Floats  # (digits, 4): left, top, right, bottom of each crop, in sheet pixels
    view: Floats  # (3, 3): from digit heights around the number's middle to sheet pixels
    half_width: float  # of the number, in digit heights
    scale: float  # camera pixels in a sheet pixel

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in sheet pixels."""
        return self.digits[0].size

    @property
    def photo_size(self) -> tuple[int, int]:
        """Width and height in camera pixels."""
        width, height = self.size
        return round(width * self.scale), round(height * self.scale)


def _draw_photo(
    rng: np.random.Generator, *, size: int
) -> list[tuple[int, NDArray[np.uint8], NDArray[np.bool_]]]:
    """The crops of one photo as (label, image, mask), from left to right."""
    number = _house_number(rng)
    sheet = _lay_out(rng, number, _sample_style(rng))
    bar = _bar(rng, sheet)
    photo = Image.fromarray(_expose(rng, _paint(rng, sheet, bar)))
    return [
        (digit, _cut(photo, sheet, box, size=size), _mask(layer, bar, box, size=size))
        for digit, layer, box in zip(number, sheet.digits, sheet.boxes, strict=True)
    ]


def _house_number(rng: np.random.Generator) -> list[int]:
    length = 1 + int(rng.choice(len(LENGTH_SHARES), p=LENGTH_SHARES))
    first = int(rng.choice(10, p=FIRST_DIGIT_SHARES))
    later = rng.choice(10, p=LATER_DIGIT_SHARES, size=length - 1)
    return [first, *(int(digit) for digit in later)]


def _sample_style(rng: np.random.Generator) -> _Style:
    return _Style(
        typeface=TYPEFACES[int(rng.integers(len(TYPEFACES)))],
        width=rng.uniform(*WIDTH),
        weight=rng.uniform(*WEIGHT),
        gap=rng.uniform(*GAP),
        photo_height=_log_uniform(rng, PHOTO_HEIGHT),
        view=_sample_view(rng),
    )


def _sample_view(rng: np.random.Generator) -> Floats:
    """The homography of a wall seen from the street, up to scale and position."""
    tilt = math.radians(rng.normal(0, TILT_DEGREES))
    shear, yaw, pitch = rng.normal(0, (SHEAR, PERSPECTIVE, PERSPECTIVE / 2))
    yaw, pitch = np.clip((yaw, pitch), -PERSPECTIVE_LIMIT, PERSPECTIVE_LIMIT)
    cosine, sine = math.cos(tilt), math.sin(tilt)
    return np.array(
        [
            [cosine, shear * cosine - sine, 0.0],
            [sine, shear * sine + cosine, 0.0],
            [yaw, pitch, 1.0],
        ]
    )


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = limits
    return low * math.pow(high / low, rng.random())


def _cut(photo: Image.Image, sheet: _Sheet, box: Floats, *, size: int) -> NDArray[np.uint8]:
    across, down = (p / s for p, s in zip(photo.size, sheet.size, strict=True))
    left, top, right, bottom = (box * (across, down, across, down)).tolist()
    edges = (max(left, 0.0), max(top, 0.0), min(right, photo.width), min(bottom, photo.height))
    return np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC, box=edges))


def _mask(digit: Layer, bar: Layer | None, box: Floats, *, size: int) -> NDArray[np.bool_]:
    visible = digit if bar is None else ImageChops.subtract(digit, bar)
    edges = tuple(box.tolist())
    return np.asarray(visible.resize((size, size), Image.Resampling.BOX, box=edges)) >= 128


# ---------------------------------------------------------------------------------- the sheet


@cache
def _outlines(typeface: str) -> tuple[tuple[Floats, ...], ...]:
    """The contours of the digits 0 to 9, y downwards, from each one's left edge and baseline.

    A digit's first contour is its body, the others are holes. A "1" has height 1.
    """
    font = FT2Font(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / typeface))
    # Large and unhinted: hinting would fit the outlines to a pixel grid that is not the photo's.
    font.set_size(256, 72)
    glyphs = []
    for digit in range(10):
        font.load_char(ord(str(digit)), flags=LoadFlags.NO_HINTING)
        contours = [np.asarray(c) for c in Outline(*font.get_path()).to_polygons()]
        glyphs.append(sorted(contours, key=_area, reverse=True))
    height = glyphs[1][0][:, 1].max()
    return tuple(
        tuple((c - (glyph[0][:, 0].min(), 0.0)) * (1 / height, -1 / height) for c in glyph)
        for glyph in glyphs
    )


def _area(contour: Floats) -> float:
    (x0, y0), (x1, y1) = contour[:-1].T, contour[1:].T
    return abs(float((x0 * y1 - x1 * y0).sum())) / 2


def _lay_out(rng: np.random.Generator, number: list[int], style: _Style) -> _Sheet:
    """Put the digits on the wall, look at them, and choose the crops."""
    row = _row(rng, number, style)
    view = np.diag((SHEET_HEIGHT, SHEET_HEIGHT, 1.0)) @ style.view
    boxes = _crop_boxes(rng, [_project(body, view) for body, *_ in row])
    # The sheet is what the crops show and no more.
    left, top = (math.floor(edge) for edge in boxes[:, :2].min(axis=0))
    right, bottom = (math.ceil(edge) for edge in boxes[:, 2:].max(axis=0))
    view = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]]) @ view
    size = (right - left, bottom - top)
    return _Sheet(
        digits=[_thicken(_fill(size, _project_all(glyph, view)), style.weight) for glyph in row],
        boxes=boxes - (left, top, left, top),
        view=view,
        half_width=float(row[-1][0][:, 0].max()),
        scale=style.photo_height / SHEET_HEIGHT,
    )


def _row(rng: np.random.Generator, number: list[int], style: _Style) -> list[list[Floats]]:
    """The contours of a number's digits, in digit heights from the middle of the number."""
    glyphs = [_outlines(style.typeface)[digit] for digit in number]
    widths = style.width * np.array([body[:, 0].max() for body, *_ in glyphs])
    rights = np.cumsum(widths + style.gap) - style.gap
    lefts = rights - widths - rights[-1] / 2
    baselines = 0.5 + rng.normal(0, WANDER, len(number))
    return [
        [contour * (style.width, 1.0) + (left, baseline) for contour in glyph]
        for glyph, left, baseline in zip(glyphs, lefts, baselines, strict=True)
    ]


def _project(points: Floats, view: Floats) -> Floats:
    x, y = points.T
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in view)
    return np.stack((u / w, v / w), axis=1)


def _project_all(contours: list[Floats], view: Floats) -> list[Floats]:
    return [_project(contour, view) for contour in contours]


def _crop_boxes(rng: np.random.Generator, bodies: list[Floats]) -> Floats:
    """Squares (left, top, right, bottom) around the digits."""
    low = np.array([body.min(axis=0) for body in bodies])
    high = np.array([body.max(axis=0) for body in bodies])
    sides = (high - low).max(axis=1, keepdims=True) * rng.uniform(*CROP_MARGIN)
    centres = (low + high) / 2 + sides * rng.normal(0, CROP_JITTER, low.shape)
    return np.hstack((centres - sides / 2, centres + sides / 2))


def _fill(size: tuple[int, int], contours: list[Floats]) -> Layer:
    """Coverage of a shape: the first contour's inside, without the others'."""
    layer = Image.new("L", size)
    pen = ImageDraw.Draw(layer)
    for place, contour in enumerate(contours):
        pen.polygon(np.rint(contour).astype(int).ravel().tolist(), fill=0 if place else 255)
    return layer


def _thicken(layer: Layer, width: float) -> Layer:
    """The layer with edges moved outwards by about ``width`` digit heights, corners rounded."""
    blurred = layer.filter(ImageFilter.GaussianBlur(width * SHEET_HEIGHT))
    # A straight edge blurred by a Gaussian has fallen to 16 % one standard deviation outside.
    return blurred.point([255 * (level > 0.16 * 255) for level in range(256)])


def _bar(rng: np.random.Generator, sheet: _Sheet) -> Layer | None:
    """Coverage by something thin before the number, a cable or a branch; seldom there."""
    if rng.random() >= BAR_SHARE:
        return None
    # Never upright: it would pass for a 1, or hide one.
    slope, height, half = rng.uniform((-0.6, -0.4, 0.03), (0.6, 0.4, 0.08))
    reach = sheet.half_width + 1.5
    ends = np.array([(-reach, height - slope * reach), (reach, height + slope * reach)])
    return _band(sheet, ends, half)


def _band(sheet: _Sheet, ends: Floats, half: float) -> Layer:
    """Coverage of a straight band on the wall, reaching ``half`` to each side of its middle."""
    across, down = ends[1] - ends[0]
    aside = np.array((-down, across)) * (half / math.hypot(across, down))
    corners = np.concatenate((ends + aside, ends[::-1] - aside))
    return _fill(sheet.size, [_project(corners, sheet.view)])


# ---------------------------------------------------------------------------------- the photo


def _paint(rng: np.random.Generator, sheet: _Sheet, bar: Layer | None) -> Pixels:
    """The scene before the camera: (height, width, 3), 0 is black and 1 is white."""
    ground, ink = _colours(rng)
    digits = sheet.digits[0]
    for layer in sheet.digits[1:]:
        digits = ImageChops.lighter(digits, layer)
    scene = _ground(rng, sheet, ground, ink)
    if rng.random() < RAISED_SHARE:
        _cover(scene, sheet, _shift(digits, rng.normal(0, 0.06, 2)), ground * rng.uniform(0.4, 0.8))
    if rng.random() < RIM_SHARE:
        _cover(scene, sheet, _thicken(digits, rng.uniform(0.03, 0.06)), _colour(rng, rng.random()))
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


def _ground(rng: np.random.Generator, sheet: _Sheet, ground: Pixels, ink: Pixels) -> Pixels:
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


def _cover(scene: Pixels, sheet: _Sheet, layer: Layer, colour: Pixels) -> None:
    """Lay a colour over the scene, in place, where the layer covers it."""
    small = layer.resize(sheet.photo_size, Image.Resampling.BOX)
    coverage = np.asarray(small, np.float32)[..., None] / 255
    scene += coverage * (colour - scene)


def _planks(rng: np.random.Generator, sheet: _Sheet) -> Layer:
    """Coverage by the joints of planks or courses of bricks, upright or level."""
    upright = rng.random() < 0.4
    pitch, half = rng.uniform(0.35, 1.2), rng.uniform(0.015, 0.06)
    reach = sheet.half_width + 1.5
    joints = Image.new("L", sheet.size)
    for place in np.arange(-reach + rng.uniform(0, pitch), reach, pitch).tolist():
        ends = np.array([(-reach, place), (reach, place)])
        joint = _band(sheet, ends[:, ::-1] if upright else ends, half)
        joints = ImageChops.lighter(joints, joint)
    return joints


def _cover_with_plate(
    rng: np.random.Generator, scene: Pixels, sheet: _Sheet, ground: Pixels, ink: Pixels
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
        edge = _project(unit * (half - inset), sheet.view)
        _cover(scene, sheet, _fill(sheet.size, [edge]), colour)


def _mottling(rng: np.random.Generator, sheet: _Sheet) -> Pixels:
    """Stains and reflections: smooth noise (height, width, 1), coarser than a digit's strokes."""
    width, height = sheet.photo_size
    rows = 4
    columns = max(2, round(width / height * rows))
    grid = rng.normal(0, rng.exponential(MOTTLING), (rows, columns)).astype(np.float32)
    smooth = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32).reshape(height, width, 1)


def _shift(layer: Layer, by: Floats) -> Layer:
    across, down = (by * SHEET_HEIGHT).tolist()
    return layer.transform(layer.size, Image.Transform.AFFINE, (1, 0, -across, 0, 1, -down))


def _light(rng: np.random.Generator, sheet: _Sheet) -> Pixels:
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
    blur = _log_uniform(rng, BLUR) * rng.uniform(0.8, 1.25, 2)
    noise = rng.standard_normal(scene.shape, np.float32) * _log_uniform(rng, NOISE)
    picture: Pixels = gaussian_filter(scene, (*blur, 0)) + noise
    grey = picture.mean(axis=2, keepdims=True)
    picture = grey + gaussian_filter(picture - grey, (COLOUR_BLUR, COLOUR_BLUR, 0))
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
