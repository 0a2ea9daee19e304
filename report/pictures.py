"""Single images on a page: the picture, what the attack adds, and where the network looks.

The pictures lie finished in a file beside the results; here they are only put into the page.
"""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass

import pandas as pd

from analysis import pictures, results
from analysis.errors import UserError
from analysis.results import Results
from report import execution
from report.figures import Markdown, raw_html
from report.formats import levels
from report.quantities import Quantities

_SUREST = 0.9995


@dataclass(frozen=True)
class Gallery:
    """The single images of one study; ``table`` is ``None`` where there are none, for ``reason``.

    Pages are published: those that show other images than drawn ones must be ``local``.
    """

    results: Results
    table: pd.DataFrame | None
    reason: str

    @classmethod
    def open(cls) -> Gallery:
        """Return the gallery of the study that is being rendered.

        Raises ``UserError`` for images that are not this project's, but under the profile local.
        """
        context = execution.current()
        return cls.of(results.load(context.study), local=context.local)

    @classmethod
    def of(cls, stored: Results, *, local: bool) -> Gallery:
        """Return the gallery of some results. Raises ``UserError`` as ``open`` does."""
        if stored.study.data.name not in pictures.DRAWN and not local:
            raise UserError(
                f"Single images of {stored.study.name} are not for publication.\n"
                "Render them with `quarto render --profile local`."
            )
        try:
            return cls(stored, pictures.read(stored), "")
        except pictures.NotThere as reason:
            return cls(stored, None, str(reason))

    @property
    def quantities(self) -> Quantities:
        """Return what the foot of the page quotes."""
        return Quantities(self.results)

    @property
    def note(self) -> Markdown:
        """Return why there is nothing to see, or nothing."""
        return Markdown(self.reason.replace("\n", " "))

    @property
    def layer(self) -> Markdown:
        """Return the layer whose maps are shown."""
        return Markdown(f"`{self.results.study.saliency.layers[0]}`")

    @property
    def epsilon(self) -> str:
        """Return the size of the perturbation, in [0, 1] pixel units and in levels."""
        epsilon = self.results.study.controls.logits_epsilon
        return f"{epsilon:g} ({levels(epsilon)} levels)"

    @property
    def magnification(self) -> int:
        """Return how many times larger than it is the perturbation is drawn."""
        return pictures.MAGNIFICATION

    def group(self, name: str) -> Markdown:
        """Return the images of a group, each with its five panels."""
        if name not in pictures.GROUPS:
            raise ValueError(f"there is no group {name!r}")
        if self.table is None:
            return Markdown("*Not drawn yet.*")
        rows = self.table[self.table["group"] == name]
        if rows.empty:
            return Markdown("*There is none that is not shown above.*")
        return Markdown("\n\n".join(raw_html(figure(row)) for row in rows.itertuples()))


def figure(row: tuple) -> str:
    """Return one image as HTML: a caption, and panels with alternative text."""
    read = _read(row.predicted, row.confidence)
    attacked = _read(row.attacked_predicted, row.attacked_confidence)
    subject = f"an image labelled {row.label}"
    about = f"FGSM at ε = {row.epsilon:g}"
    panels = [
        _panel(row.clean, f"image: {read}", f"{subject}, {read}"),
        _panel(
            row.perturbation,
            f"perturbation, ×{pictures.MAGNIFICATION}",
            f"perturbation of {subject} by {about}, magnified {pictures.MAGNIFICATION} times",
            kind="perturbation",
        ),
        _panel(row.attacked, f"attacked: {attacked}", f"{subject} under {about}, {attacked}"),
        _map(row.clean_map, "Grad-CAM, image", f"Grad-CAM of {subject}, {read}"),
        _map(
            row.attacked_map,
            "Grad-CAM, attacked",
            f"Grad-CAM of {subject} under {about}, {attacked}",
        ),
    ]
    caption = (
        f"Labelled {row.label}, read as {row.predicted}, under attack as {row.attacked_predicted}. "
        f"Image {row.index} of {row.split}, run {row.run}."
    )
    return (
        f'<figure class="single-image" id="{row.split}-{row.index}" '
        f'style="--image: url({_address(row.clean)})">\n<div class="panels">\n'
        + "\n".join(panels)
        + f"\n</div>\n<figcaption>{html.escape(caption)}</figcaption>\n</figure>"
    )


def _panel(image: bytes, caption: str, alt: str, *, kind: str = "plain") -> str:
    return (
        f'<div class="panel"><img class="{kind}" src="{_address(image)}" '
        f'alt="{html.escape(alt, quote=True)}"><span>{html.escape(caption)}</span></div>'
    )


def _map(image: bytes | None, caption: str, alt: str) -> str:
    """Return the panel of a map, which lies over the image, or of one that is zero everywhere."""
    if image is None:
        return f'<div class="panel"><span>{html.escape(caption)}: zero everywhere</span></div>'
    return _panel(image, caption, alt, kind="map")


def _address(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def _read(digit: int, confidence: float) -> str:
    sure = "over 99.9%" if confidence > _SUREST else f"{100 * confidence:.1f}%"
    return f"read as {digit} ({sure})"
