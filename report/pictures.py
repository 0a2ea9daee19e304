"""Single images in the paper: each group as one block, with what the labels and networks say.

Which images they are follows from rules, and what is drawn of them is in a file next to the
results; here they only enter the page. A group that a study has no pictures of is empty.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.project.errors import UserError
from analysis.results import pictures
from analysis.results.schemas import CONFUSION, EXAMPLE, PAIR, SLICE, SUSPECT
from report import page
from report.numbers.results import Results, checked
from report.page import Execution, Markdown, raw
from report.safe import safe

GROUPS = {
    "examples": EXAMPLE,
    "confusions": CONFUSION,
    "suspects": SUSPECT,
    "worst": SLICE,
    "pairs": PAIR,
}
_PNG, _JPEG = b"\x89PNG", b"\xff\xd8"
_SUREST = 0.995
_WORDS = (
    *("no", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
# Columns of the print, where a caption is as wide as its image.
_COLUMNS, _WIDE_COLUMNS = 6, 4


@dataclass(frozen=True)
class Picture:
    """An image file with its alternative text and caption; without a file, the caption alone."""

    content: bytes | None
    alt: str
    caption: str = ""
    heading: str = ""

    @property
    def pixelated(self) -> bool:
        """Return whether it is small enough to be enlarged pixel by pixel: others are JPEG."""
        return self.content is not None and self.content.startswith(_PNG)

    def html(self) -> str:
        """Return the picture for the web, its heading above and its caption below."""
        heading = f'<b class="kind">{safe(self.heading, "html")}</b>' if self.heading else ""
        shown = ""
        if self.content is not None:
            kind = ' class="pixelated"' if self.pixelated else ""
            shown = f'<img{kind} src="{address(self.content)}" alt="{safe(self.alt, "html")}">'
        return f"{heading}{shown}<span>{safe(self.caption, 'html')}</span>"

    def typst(self, width: str) -> str:
        """Return the picture for print, as a cell of a grid."""
        parts = []
        if self.content is not None:
            content = ", ".join(map(str, self.content))
            scaling = ', scaling: "pixelated"' if self.pixelated else ""
            alt = safe(self.alt, "typst")
            parts.append(f"image(bytes(({content})), width: {width}, alt: {alt}{scaling})")
        if self.caption:
            parts.append(f"text(size: 7pt, {safe(self.caption, 'typst')})")
        return f"stack(spacing: 3pt, {', '.join(parts)})"


def address(content: bytes) -> str:
    """Return a data URI of a PNG, JPEG or WebP file."""
    kind = "png" if content.startswith(_PNG) else "jpeg" if content.startswith(_JPEG) else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


class Pictures:
    """The single images of one study in one execution of a page.

    ``note`` says why there are none, if so.
    """

    def __init__(self, results: Results, execution: Execution) -> None:
        self._results, self._execution, self.note = results, execution, Markdown()
        self._table = pd.DataFrame(columns=["group"])
        try:
            self._table = pictures.read(results.derived)
        except UserError as reason:
            self.note = Markdown(safe(reason))

    def has(self, name: str) -> bool:
        """Return whether a group has pictures. Raises ``UserError`` for a misspelt name."""
        return not self.group(name).empty

    def group(self, name: str) -> pd.DataFrame:
        """Return the rows of a group in their order. Raises ``UserError`` for a misspelt name."""
        group = GROUPS[checked("group of pictures", name, GROUPS)]
        rows = self._table[self._table["group"] == group]
        return rows.sort_values("place") if len(rows) else rows

    @property
    def terms(self) -> Markdown:
        """Return where the images come from and under which licence, as a sentence, if known."""
        terms = self._results.study.images.terms.rstrip(".") if len(self._table) else ""
        return Markdown(safe(f"Images: {terms}.")) if terms else Markdown()

    @property
    def examples(self) -> Markdown:
        """Return images with what the attack adds, and where the network looks, a row each."""
        mapped = bool(self._results.record.layers)
        rows = [_panels(row, mapped=mapped) for row in self.group("examples").itertuples()]
        return self._block("examples", rows, title="")

    @property
    def confusions(self) -> Markdown:
        """Return images of the commonest confusions."""
        return self._crops("confusions", "The commonest confusions")

    @property
    def suspects(self) -> Markdown:
        """Return images whose labels are suspected, with what readers saw on them, if they did."""
        return self._crops("suspects", "Suspected labels")

    @property
    def worst(self) -> Markdown:
        """Return errors of the slice with the largest error."""
        return self._crops("worst", f"Errors of the worst slice, {self._slice}")

    def rule(self, name: str) -> Markdown:
        """Return the rule by which a group is chosen, as a sentence, empty without pictures."""
        rows, nouns = self.group(name), self._results.nouns
        if rows.empty:
            return Markdown()
        count = _WORDS[len(rows)].capitalize()
        pairs = len(rows[["label", "predicted"]].drop_duplicates())
        commonest = f"{_WORDS[pairs]} commonest confusions" if pairs > 1 else "commonest confusion"
        suspected = len(self._results.table("suspects"))
        some = f"{count} of the {suspected:,} suspected labels, drawn at random."
        readers = " Readers saw neither label nor prediction." if self._readings else ""
        rules = {
            "examples": f"Shown are the {nouns} with the most images that the attack turns from "
            "right to wrong (first network); of each, the image with the median confidence under "
            "attack.",
            "confusions": f"Images of the {commonest}, at most two of each: those with the median "
            "confidence.",
            "suspects": (some if suspected > len(rows) else "All suspected labels.") + readers,
            "worst": f"{count} error{'s' * (len(rows) > 1)}, drawn at random, of the slice with "
            f"the largest error, {self._slice}.",
            "pairs": f"{count} of the images that the first network evaluates were drawn at "
            "random, right and wrong ones alike.",
        }
        return Markdown(safe(rules[name]))

    @cached_property
    def _slice(self) -> str:
        return next(iter(self.group("worst").get("slice", [])), "")

    @cached_property
    def _readings(self) -> dict[int, str]:
        """Return what readers saw, by index."""
        if not self._results.has("audit"):
            return {}
        audit = self._results.table("audit").set_index("index")["readings"]
        return {int(index): said.replace("|", ", ") for index, said in audit.items()}

    def _crops(self, name: str, title: str) -> Markdown:
        found = []
        for row in self.group(name).itertuples():
            said = f"labelled {row.label}, read as {row.predicted} ({sure(row.confidence)})"
            readings = self._readings.get(row.index) if name == "suspects" else None
            seen = f"; readers: {readings}" if readings else ""
            found.append(Picture(row.clean, f"an image {said}", said + seen))
        return self._block(name, [found], title=title)

    def _block(self, name: str, rows: Sequence[list[Picture]], *, title: str) -> Markdown:
        """Return rows of pictures as one block of the page's format."""
        if self.group(name).empty:
            return Markdown()
        if self._execution.images is not None:
            return self._files(name, rows, title=title)
        if self._execution.print:
            return raw("typst", _typst(name, rows, title=title))
        return raw("html", _html(name, rows, title=title))

    def _files(self, name: str, rows: Sequence[list[Picture]], *, title: str) -> Markdown:
        """Return rows of pictures for formats that have images in files."""
        lines = [safe(title)] if title else []
        for number, row in enumerate(rows):
            for place, each in enumerate(row):
                said = safe(": ".join(filter(None, [each.heading, each.caption])))
                if each.content is not None:
                    file = f"{name}-{number}-{place}"
                    shown = page.image(self._execution, each.content, name=file, alt=each.alt)
                    said = f"{shown} {said}"
                lines.append(said)
        return Markdown("\n\n".join(lines))


def sure(confidence: float) -> str:
    """Return a confidence as whole per cent."""
    return "over 99%" if confidence > _SUREST else f"{100 * confidence:.0f}%"


def _panels(row: Any, *, mapped: bool) -> list[Picture]:
    """Return the panels of an example, a row of the table of pictures."""
    clean = f"read as {row.predicted} ({sure(row.confidence)})"
    under = f"read as {row.attacked_predicted} ({sure(row.attacked_confidence)})"
    subject, times = f"an image of class {row.label}", pictures.MAGNIFICATION
    change = f"what the attack adds to {subject}, magnified {times} times"
    found = [
        Picture(row.clean, f"{subject}, {clean}", clean, "clean"),
        Picture(row.perturbation, change, "", f"perturbation ×{times}"),
        Picture(row.attacked, f"{subject} under attack, {under}", under, "attacked"),
    ]
    maps = (
        (row.clean_map, f"Grad-CAM of {subject}, {clean}", "evidence (Grad-CAM)"),
        (row.attacked_map, f"Grad-CAM of {subject} under attack, {under}", "evidence under attack"),
    )
    for content, alt, heading in maps if mapped else ():
        found.append(Picture(content, alt, "" if content else "zero everywhere", heading))
    return found


def _html(name: str, rows: Sequence[list[Picture]], *, title: str) -> str:
    lists = [
        f'<ul class="{"panels" if name == "examples" else "crops"}" role="list">\n'
        + "\n".join(f"<li>{each.html()}</li>" for each in row)
        + "\n</ul>"
        for row in rows
    ]
    head = f'<p class="pictures-title">{safe(title, "html")}</p>\n' if title else ""
    return f'<div class="pictures">\n{head}' + "\n".join(lists) + "\n</div>"


def _typst(name: str, rows: Sequence[list[Picture]], *, title: str) -> str:
    examples = name == "examples"
    columns = len(rows[0]) if examples else _WIDE_COLUMNS if name == "suspects" else _COLUMNS
    width = "2.3cm" if examples else "1.7cm"
    cells = [each.typst(width) for row in rows for each in row]
    if examples:
        heads = [f"text(size: 7.5pt, {safe(each.heading, 'typst')})" for each in rows[0]]
        cells = [*heads, *cells]
    head = f"#text(size: 8pt, {safe(title, 'typst')})\n\n" if title else ""
    return (
        f"{head}#grid(columns: (1fr,) * {columns}, gutter: 5pt, align: left,\n"
        + ",\n".join(cells)
        + ")"
    )
