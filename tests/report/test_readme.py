"""The pictures of the README say what the cached results say."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from analysis import paths
from report import readme

SVG = "{http://www.w3.org/2000/svg}"


def told(content: str) -> list[str]:
    """Return what a picture says: its texts, and the values that its marks are labelled with."""
    root = ElementTree.fromstring(content)
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    return texts + [label for mark in root.iter() if (label := mark.get("aria-label"))]


@pytest.fixture(scope="module")
def pictures() -> dict[str, str]:
    return readme.pictures()


@pytest.mark.parametrize("name", readme.FIGURES)
def test_a_picture_is_that_of_the_committed_results(pictures, name):
    path = readme.FOLDER / f"{name}.svg"
    assert told(path.read_text(encoding="utf-8")) == told(pictures[name]), (
        f"{path.name} is of other results: run python -m report.readme"
    )


def test_the_readme_shows_them_on_white_with_a_text_instead(pictures):
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[([^]]+)\]\(([^)]+)\)", text)
    assert {path for _, path in shown} == {
        f"report/assets/readme/{name}.svg" for name in readme.FIGURES
    }
    assert all(len(instead) > 20 for instead, _ in shown)
    for content in pictures.values():
        background = next(ElementTree.fromstring(content).iter(f"{SVG}rect"))
        assert background.get("fill") == "white"


def test_other_results_are_seen(pictures):
    content = pictures["fragility"]
    value = next(
        label for label in told(content) if "attack: FGSM" in label and "value: 0." in label
    )
    assert told(content.replace(value, value.replace("0.", "0.9"))) != told(content)


def test_writing_replaces_what_was_there(tmp_path):
    (tmp_path / "claims.svg").write_text("old")
    assert [path.name for path in readme.write(tmp_path)] == ["claims.svg", "fragility.svg"]
    assert (tmp_path / "claims.svg").read_text().startswith("<svg")
