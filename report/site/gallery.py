"""Single images on a page: the image, what the attack adds, and where the network looks.

The pictures are in a file next to the results; here they only enter the page.
"""

from __future__ import annotations

import base64
from typing import Any

import pandas as pd

from analysis.results import pictures
from analysis.results.store import Derived
from report.numbers.formats import levels
from report.page import Markdown, raw
from report.safe import safe

_SUREST = 0.9995


class Gallery:
    """The single images of one study.

    ``note`` says why there is nothing to see, if so. Raises ``UserError`` unless the study allows
    its images to be shown.
    """

    magnification = pictures.MAGNIFICATION

    def __init__(self, derived: Derived) -> None:
        self.derived, self._epsilon = derived, derived.study.attacks.logits_epsilon
        self.epsilon = f"{self._epsilon:g} ({levels(self._epsilon)} levels)"
        self.layer = Markdown(safe(derived.study.maps.layers[0]))
        self.note, self._table = Markdown(), pd.DataFrame()
        try:
            self._table = pictures.read(derived)
        except pictures.NotDrawn as reason:
            self.note = Markdown(safe(reason))

    def group(self, name: str) -> Markdown:
        """Return the images of a group, each with its five panels."""
        if self.note:
            return Markdown("*Not drawn yet.*")
        rows = self._table[self._table["group"] == name]
        if rows.empty:
            return Markdown("*There is none that is not shown above.*")
        shown = (raw("html", figure(row, epsilon=self._epsilon)) for row in rows.itertuples())
        return Markdown("\n\n".join(shown))


def figure(row: Any, *, epsilon: float) -> str:
    """Return one image, a row of the table of pictures, as HTML: five panels and a caption."""
    label, predicted, attacked, run = (
        safe(text, "html") for text in (row.label, row.predicted, row.attacked_predicted, row.run)
    )
    clean = f"predicted as {predicted} ({_sure(row.confidence)})"
    under = f"predicted as {attacked} ({_sure(row.attacked_confidence)})"
    subject, fgsm = f"an image of class {label}", f"FGSM at ε = {epsilon:g}"
    times = pictures.MAGNIFICATION
    attacked_image = f"{subject} under {fgsm}, {under}"
    change = f"perturbation of {subject} by {fgsm}, magnified {times} times"
    panels = (
        ("plain", row.clean, f"image: {clean}", f"{subject}, {clean}"),
        ("perturbation", row.perturbation, f"perturbation, ×{times}", change),
        ("plain", row.attacked, f"attacked: {under}", attacked_image),
        ("map", row.clean_map, "Grad-CAM, image", f"Grad-CAM of {subject}, {clean}"),
        ("map", row.attacked_map, "Grad-CAM, attacked", f"Grad-CAM of {attacked_image}"),
    )
    return (
        f'<figure class="single-image" id="test-{row.index}" '
        f'style="--image: url({_address(row.clean)})">\n<div class="panels">\n'
        + "\n".join(_panel(*panel) for panel in panels)
        + f"\n</div>\n<figcaption>Labelled {label}, predicted as {predicted}, under attack as "
        f"{attacked}. Image {row.index} of test, run {run}.</figcaption>\n</figure>"
    )


def _panel(kind: str, image: bytes | None, caption: str, alt: str) -> str:
    """Return a panel; a map that is zero everywhere has no image."""
    if image is None:
        return f'<div class="panel"><span>{caption}: zero everywhere</span></div>'
    picture = f'<img class="{kind}" src="{_address(image)}" alt="{alt}">'
    return f'<div class="panel">{picture}<span>{caption}</span></div>'


def _address(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def _sure(confidence: float) -> str:
    return "over 99.9%" if confidence > _SUREST else f"{100 * confidence:.1f}%"
