"""The page on the architecture: every folder, module and name on it exists."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from analysis.images import SOURCES
from analysis.probes import PROBES
from analysis.project import paths
from analysis.results.schemas import RUN_TABLES
from analysis.results.status import ANALYSES

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


def test_the_picture_says_what_it_shows_and_fits_a_phone():
    root = ElementTree.fromstring(PICTURE)
    (said,) = re.findall(r"!\[(.*?)\]\(report/assets/architecture\.svg\)", PAGE)
    assert all(word in said for word in ("study.toml", "networks", "claims.json", "the site"))
    _, _, width, _ = map(float, (root.get("viewBox") or "").split())
    # On a page of 350 pixels no letter is smaller than ten.
    sizes = [float(text.get("font-size", 0)) for text in root.iter(f"{SVG}text")]
    assert min(sizes) * 350 / width >= 10
