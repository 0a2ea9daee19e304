"""A house number on a wall, as outlines: what is written, in which typeface, seen from where.

The *sheet* is a fine layout in which the digits' outlines are filled after the perspective. It
alone decides the masks.
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
from PIL import Image, ImageDraw, ImageFilter

# Files that matplotlib ships, so that every machine draws the same outlines. Left out: DejaVu
# Sans Mono, whose zero has a dot and would turn into an 8 when blurred, and the Computer Modern
# italics, whose old-style figures differ in height.
TYPEFACES = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmr10", "cmb10", "cmss10", "cmtt10"),
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
WIDTH, WEIGHT, GAP, WANDER = (0.65, 1.15), (0.01, 0.045), (0.06, 0.32), 0.02

# Standard deviations of the view: degrees, a ratio, and the loss of scale for each digit height
# to the side. The last is limited, so that nothing in sight gets behind the camera.
TILT_DEGREES, SHEAR, PERSPECTIVE, PERSPECTIVE_LIMIT = 5.0, 0.12, 0.06, 0.12

# Side of the crop over the digit's longer side: SVHN's boxes leave about this much air.
CROP_MARGIN = (1.08, 1.48)
# Standard deviation of the crop's centre as a share of its side: a box drawn by hand.
CROP_JITTER = 0.04
# How often there is a bar before the digits, such as a cable or a branch.
BAR_SHARE = 0.08

Layer = Image.Image
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sheet:
    """The fine layout of one photo; layers are 8-bit coverage, all of the sheet's size."""

    number: list[int]  # the digits that are written, from left to right
    digits: list[Layer]
    boxes: Floats  # (digits, 4): left, top, right, bottom of each crop, in sheet pixels
    view: Floats  # (3, 3): from digit heights around the number's middle to sheet pixels
    half_width: float  # of the number, in digit heights
    scale: float  # camera pixels in a sheet pixel

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in sheet pixels."""
        return self.digits[0].size

    @property
    def photo_size(self) -> tuple[int, int]:
        """Return width and height in camera pixels."""
        width, height = self.size
        return round(width * self.scale), round(height * self.scale)

    def fill(self, *contours: Floats) -> Layer:
        """Return the coverage of a shape: the inside of the first contour, without the others'.

        Contours (N, 2) are on the wall, in digit heights from the middle of the number.
        """
        return _fill(self.size, [project(contour, self.view) for contour in contours])

    def band(self, ends: Floats, half: float) -> Layer:
        """Return the coverage of a straight band, ``half`` to each side of the line of ``ends``."""
        across, down = ends[1] - ends[0]
        aside = np.array((-down, across)) * (half / math.hypot(across, down))
        return self.fill(np.concatenate((ends + aside, ends[::-1] - aside)))


def draw_sheet(rng: np.random.Generator) -> Sheet:
    """Return a house number on the wall as it is seen, and the crops of its digits."""
    length = 1 + int(rng.choice(len(LENGTH_SHARES), p=LENGTH_SHARES))
    first = int(rng.choice(10, p=FIRST_DIGIT_SHARES))
    number = [first, *rng.choice(10, p=LATER_DIGIT_SHARES, size=length - 1).tolist()]
    outlines = _outlines(TYPEFACES[int(rng.integers(len(TYPEFACES)))])
    width, weight, gap = (rng.uniform(*limits) for limits in (WIDTH, WEIGHT, GAP))
    photo_height = log_uniform(rng, PHOTO_HEIGHT)
    view = np.diag((SHEET_HEIGHT, SHEET_HEIGHT, 1.0)) @ _view(rng)
    row = _row(rng, [outlines[digit] for digit in number], width=width, gap=gap)
    boxes = _crop_boxes(rng, [project(body, view) for body, *_ in row])
    # The sheet is what the crops show and no more.
    left, top = (math.floor(edge) for edge in boxes[:, :2].min(axis=0))
    right, bottom = (math.ceil(edge) for edge in boxes[:, 2:].max(axis=0))
    view = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]]) @ view
    size = (right - left, bottom - top)
    shapes = [_fill(size, [project(contour, view) for contour in glyph]) for glyph in row]
    return Sheet(
        number=number,
        digits=[thicken(shape, weight) for shape in shapes],
        boxes=boxes - (left, top, left, top),
        view=view,
        half_width=float(row[-1][0][:, 0].max()),
        scale=photo_height / SHEET_HEIGHT,
    )


def bar_before(rng: np.random.Generator, sheet: Sheet) -> Layer | None:
    """Return the coverage by something thin before the number, or ``None``."""
    if rng.random() >= BAR_SHARE:
        return None
    # Never upright: it would pass for a 1, or hide one.
    slope, height, half = rng.uniform((-0.6, -0.4, 0.03), (0.6, 0.4, 0.08))
    reach = sheet.half_width + 1.5
    ends = np.array([(-reach, height - slope * reach), (reach, height + slope * reach)])
    return sheet.band(ends, half)


def log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """Return a number whose logarithm is uniform between the limits'."""
    low, high = limits
    return low * math.pow(high / low, rng.random())


def project(points: Floats, view: Floats) -> Floats:
    """Return points (N, 2) after a homography (3, 3)."""
    x, y = points.T
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in view)
    return np.stack((u / w, v / w), axis=1)


def thicken(layer: Layer, width: float) -> Layer:
    """Return the layer with edges moved outwards by about ``width`` digit heights, and rounded."""
    blurred = layer.filter(ImageFilter.GaussianBlur(width * SHEET_HEIGHT))
    # A straight edge blurred by a Gaussian has fallen to 16 % one standard deviation outside.
    return blurred.point([255 * (level > 0.16 * 255) for level in range(256)])


def _view(rng: np.random.Generator) -> Floats:
    """The homography of a wall seen from the street, up to scale and position."""
    tilt = math.radians(rng.normal(0, TILT_DEGREES))
    shear, yaw, pitch = rng.normal(0, (SHEAR, PERSPECTIVE, PERSPECTIVE / 2))
    yaw, pitch = np.clip((yaw, pitch), -PERSPECTIVE_LIMIT, PERSPECTIVE_LIMIT)
    cosine, sine = math.cos(tilt), math.sin(tilt)
    upper = [[cosine, shear * cosine - sine, 0.0], [sine, shear * sine + cosine, 0.0]]
    return np.array([*upper, [yaw, pitch, 1.0]])


@cache
def _outlines(typeface: str) -> tuple[tuple[Floats, ...], ...]:
    """The contours of the digits 0 to 9, y downwards, from each one's left edge and baseline.

    A digit's first contour is its body, the others are holes. A "1" has height 1.
    """
    font = FT2Font(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{typeface}.ttf"))
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


def _row(
    rng: np.random.Generator, glyphs: list[tuple[Floats, ...]], *, width: float, gap: float
) -> list[list[Floats]]:
    """The contours of a number's digits, in digit heights from the middle of the number."""
    widths = width * np.array([body[:, 0].max() for body, *_ in glyphs])
    rights = np.cumsum(widths + gap) - gap
    lefts = rights - widths - rights[-1] / 2
    baselines = 0.5 + rng.normal(0, WANDER, len(glyphs))
    return [
        [contour * (width, 1.0) + (left, baseline) for contour in glyph]
        for glyph, left, baseline in zip(glyphs, lefts, baselines, strict=True)
    ]


def _crop_boxes(rng: np.random.Generator, bodies: list[Floats]) -> Floats:
    """Squares (left, top, right, bottom) around the digits."""
    low = np.array([body.min(axis=0) for body in bodies])
    high = np.array([body.max(axis=0) for body in bodies])
    sides = (high - low).max(axis=1, keepdims=True) * rng.uniform(*CROP_MARGIN)
    centres = (low + high) / 2 + sides * rng.normal(0, CROP_JITTER, low.shape)
    return np.hstack((centres - sides / 2, centres + sides / 2))


def _fill(size: tuple[int, int], contours: list[Floats]) -> Layer:
    layer = Image.new("L", size)
    pen = ImageDraw.Draw(layer)
    for place, contour in enumerate(contours):
        pen.polygon(np.rint(contour).astype(int).ravel().tolist(), fill=0 if place else 255)
    return layer
