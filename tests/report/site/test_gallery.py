"""Single images on pages: how one is shown, and on which pages none may be."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from analysis.project import paths
from analysis.project.errors import UserError
from analysis.results import pictures
from analysis.study import load, names
from report.site.gallery import Gallery, figure
from report.site.preview import configuration
from tests.report.site.conftest import HOSTILE, write_results


def table(**changes: object) -> pd.DataFrame:
    """Return the table of one picture."""
    values: dict[str, object] = dict.fromkeys(pictures.PANELS, b"PNG") | {"group": "error"}
    values |= {"run": "r0f0", "index": 7, "label": "3", "predicted": "3", "confidence": 0.871}
    values |= {"attacked_predicted": "8", "attacked_confidence": 0.99996}
    return pd.DataFrame([values | changes])


def shown(**changes: object) -> str:
    (row,) = table(**changes).itertuples()
    return figure(row, epsilon=0.015, split="test")


@pytest.fixture
def gallery(derived, tmp_path, monkeypatch) -> Gallery:
    """The gallery of one drawn picture, read back from its file."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    pictures.write(derived, table())
    return Gallery(derived)


def test_every_page_is_rendered_but_single_images_only_of_studies_that_may_show_them():
    pages = {path.name for path in paths.ROOT.glob("*.qmd")}
    default = configuration(paths.ROOT, None)
    assert set(default["project"]["render"]) == pages - {"pictures.qmd"}
    assert "pictures.qmd" not in json.dumps(default["website"])
    for path in paths.ROOT.glob("_quarto-*.yml"):
        found = configuration(paths.ROOT, path.stem.removeprefix("_quarto-"))
        if "pictures.qmd" in found["project"]["render"]:
            assert load(found["study"]).images.show
    assert {name for name in names() if load(name).images.show} == {"demo", "clothing"}


def test_images_that_must_not_be_shown_are_refused_even_if_they_are_drawn(gallery):
    hidden = gallery.derived.study.images.model_copy(update={"show": False})
    with pytest.raises(UserError, match="must not be shown"):
        Gallery(write_results(images=hidden))


def test_each_group_shows_its_images_and_no_others(gallery):
    assert gallery.note == ""
    found = {name: re.findall(r'id="test-(\d+)"', gallery.group(name)) for name in pictures.GROUPS}
    assert found == {"confusion": [], "suspect": [], "error": ["7"], "flipped": []}


def test_without_pictures_the_page_says_how_to_draw_them(gallery):
    pictures.path("demo").unlink()
    empty = Gallery(gallery.derived)
    assert "analysis pictures demo" in empty.note.replace("\\", "")
    assert {empty.group(name) for name in pictures.GROUPS} == {"*Not drawn yet.*"}


def test_every_panel_has_an_alternative_text(gallery):
    content = gallery.group("error")
    clean = "an image of class 3, predicted as 3 (87.1%)"
    under = "an image of class 3 under FGSM at ε = 0.015, predicted as 8 (over 99.9%)"
    assert re.findall(r'alt="([^"]*)"', content) == [
        clean,
        "perturbation of an image of class 3 by FGSM at ε = 0.015, magnified 20 times",
        under,
        f"Grad-CAM of {clean}",
        f"Grad-CAM of {under}",
    ]


def test_a_map_that_is_zero_everywhere_is_named():
    content = shown(attacked_map=None)
    assert "Grad-CAM, attacked: zero everywhere" in content and content.count("<img") == 4


def test_hostile_class_names_are_text():
    content = shown(label=HOSTILE, predicted=f"a\n```\n{HOSTILE}")
    assert "{{<" not in content and "<b>" not in content and "\n```" not in content
    assert '"x"' not in content and content.count("<img") == 5
