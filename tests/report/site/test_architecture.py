"""The page on the architecture: every folder, module and name on it exists."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from analysis.images import SOURCES
from analysis.probes import PROBES
from analysis.project import paths
from analysis.results.schemas import RUN_TABLES
from analysis.results.status import ANALYSES
from report.figures.figure import drawing
from report.page import Execution

PAGE = (paths.ROOT / "architecture.qmd").read_text(encoding="utf-8")
PICTURE = (paths.ROOT / "report" / "assets" / "architecture.svg").read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"


def written() -> list[str]:
    """Return the texts of the picture."""
    return [text.text or "" for text in ElementTree.fromstring(PICTURE).iter(f"{SVG}text")]


def test_every_folder_and_module_of_the_page_exists():
    text = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`([\w./-]+)`", text)
    found = [name for name in named if "/" in name or name.endswith(".toml")]
    assert len(found) >= 12
    for name in found:
        assert (paths.ROOT / name).exists(), name
    assert PROBES and ANALYSES and RUN_TABLES and SOURCES


def test_every_folder_of_the_picture_exists():
    folders = [part for text in written() for part in text.split(", ") if "/" in part]
    assert len(folders) >= 9
    for folder in folders:
        if folder != "build/site":  # which is made
            assert list(paths.ROOT.glob(folder)), folder


def test_the_picture_takes_its_colours_from_the_page_and_fits_a_phone():
    root = ElementTree.fromstring(PICTURE)
    assert {text.get("fill") for text in root.iter(f"{SVG}text")} == {"currentColor"}
    assert "max-width: 100%" in (root.get("style") or "")
    _, _, width, _ = map(float, (root.get("viewBox") or "").split())
    # On a page of 350 pixels no letter is smaller than ten.
    sizes = [float(text.get("font-size", 0)) for text in root.iter(f"{SVG}text")]
    assert min(sizes) * 350 / width >= 10


@pytest.mark.parametrize("to", ["html", "typst", "docx"])
def test_a_drawing_enters_each_format_with_its_text(to, tmp_path):
    images = tmp_path / "page_files" / "figure-docx" if to == "docx" else None
    execution = Execution(print=to != "html", study="demo", images=images)
    text = drawing(execution, PICTURE, name="architecture", alt="From *a*\nto b")
    if to == "docx":
        assert text.startswith(r"![From \*a\* to b](page_files/figure-docx/architecture.png)")
        assert (images / "architecture.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert text.startswith(f"```{{={to}}}") and "From *a* to b" in text
        assert "currentColor" in text
