"""Single images on a page: the image, what the attack adds, and where the network looks.

The pictures are in a file next to the results; here they only enter the page.
"""

from __future__ import annotations

import base64
from typing import Any

import pandas as pd

from analysis.results import pictures
from analysis.results.schemas import BY_ONE_NETWORK
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

    def __init__(self, derived: Derived) -> None:
        self.derived, attacks, maps = derived, derived.study.attacks, derived.study.maps
        layers = derived.record.layers or (maps.layers if maps else ())
        self._layer = next(iter(layers), "")
        self._epsilon = attacks.logits_epsilon if attacks else 0.0
        self.note, self._table = Markdown(), pd.DataFrame()
        try:
            self._table = pictures.read(derived)
        except pictures.NotDrawn as reason:
            drawn = attacks is not None and maps is not None
            unmeasured = "Images are drawn of studies with attacks and maps alone."
            self.note = Markdown(safe(reason if drawn else unmeasured))

    @property
    def explanation(self) -> Markdown:
        """Return what the panels of an image are, or nothing if there are none."""
        if not self._epsilon:
            return Markdown()
        return Markdown(
            "Each image here was chosen by a rule from the cached tables, none by eye. It is shown "
            "once, under the first rule that chooses it, with the network of the run that "
            "evaluated it. From left to right: the image; the perturbation that FGSM adds at "
            f"ε = {self._epsilon:g} ({levels(self._epsilon)} levels), magnified "
            f"{pictures.MAGNIFICATION} times and centred on grey; the attacked image; and Grad-CAM "
            f"of the layer {safe(self._layer)} for the predicted class, over the image in grey, "
            "before and under attack. Percentages are confidences."
        )

    @property
    def suspected(self) -> Markdown:
        """Return by which rule labels are suspected."""
        rules = set(self.derived.table("suspects")["rule"]) if "suspects" in self.derived else set()
        what = (
            "Images of which the network is surer that they are of another class than it is, on "
            "average, of the images with that label"
            if BY_ONE_NETWORK in rules
            else "Images that every repeat confidently takes for the same other class, or whose "
            "group is predicted as its labels in another order"
        )
        return Markdown(
            f"{what}; eight at most. Whether the label is wrong is for the reader to see."
        )

    def group(self, name: str) -> Markdown:
        """Return the images of a group, each with its five panels."""
        if self.note:
            return Markdown("*Not drawn yet.*")
        rows = self._table[self._table["group"] == name]
        if rows.empty:
            return Markdown("*There is none that is not shown above.*")
        split = self.derived.study.images.evaluate
        shown = (figure(row, epsilon=self._epsilon, split=split) for row in rows.itertuples())
        return Markdown("\n\n".join(raw("html", each) for each in shown))


def figure(row: Any, *, epsilon: float, split: str) -> str:
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
        f"{attacked}. Image {row.index} of {safe(split, 'html')}, run {run}.</figcaption>\n"
        "</figure>"
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
