"""Single images on pages: how one is shown, and on which pages none may be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis import paths, pictures, results
from analysis.errors import UserError
from analysis.results import Results
from report import execution
from report.pictures import Gallery, figure
from report.preview import configuration

PROFILES = ("demo", "local")


@pytest.fixture(scope="module")
def demo() -> Results:
    folder = paths.ROOT / "build" / "results" / "demo"
    if not folder.is_dir():
        pytest.skip("demo has no committed results")
    return results.load("demo", folder=folder)


def of_svhn(stored: Results) -> Results:
    """Return results that say that they are of other images."""
    changed = stored.study.model_copy(
        update={"name": "other", "data": stored.study.data.model_copy(update={"name": "svhn"})}
    )
    return stored.with_manifest(study=changed)


# ------------------------------------------------------------------------------ which pages


def test_every_page_is_rendered_but_single_images_only_under_two_profiles():
    pages = {path.name for path in paths.ROOT.glob("*.qmd")}
    default = configuration(paths.ROOT, None)
    assert set(default["project"]["render"]) == pages - {"pictures.qmd"}
    assert "pictures.qmd" not in json.dumps(default["website"])
    for profile in PROFILES:
        found = configuration(paths.ROOT, profile)
        assert set(found["project"]["render"]) == pages
        assert {"href": "pictures.qmd", "text": "Single images"} in found["website"]["navbar"][
            "left"
        ]


def test_only_the_profile_local_is_local_and_its_pages_lie_where_git_does_not_look():
    names = [path.stem.removeprefix("_quarto-") for path in paths.ROOT.glob("_quarto-*.yml")]
    for name in (None, *names):
        found = configuration(paths.ROOT, name)
        assert found.get("local") is (True if name == "local" else None)
        output = Path(found["project"]["output-dir"])
        assert output.is_relative_to("build/local") == (name == "local")


def test_nothing_that_publishes_names_the_profile_local():
    files = [paths.ROOT / "Makefile", *(paths.ROOT / ".github" / "workflows").iterdir()]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"profile[ =]+local|build/local|analysis pictures|QUARTO_PROFILE", text
        )


@pytest.mark.parametrize(("local", "told"), [(True, True), (None, False), ("false", False)])
def test_a_page_knows_that_it_is_local(tmp_path, monkeypatch, local, told):
    metadata = {"study": "demo"} | ({} if local is None else {"local": local})
    info = {
        "document-path": str(tmp_path / "pictures.qmd"),
        "format": {"pandoc": {"to": "html"}, "metadata": metadata},
    }
    (tmp_path / "info.json").write_text(json.dumps(info), encoding="utf-8")
    monkeypatch.setenv("QUARTO_EXECUTE_INFO", str(tmp_path / "info.json"))
    monkeypatch.setenv("QUARTO_PROJECT_ROOT", str(tmp_path))
    assert execution.current().local is told


def test_a_page_that_the_profile_does_not_have_is_told_so(tmp_path, monkeypatch):
    info = {
        "document-path": str(tmp_path / "pictures.qmd"),
        "format": {"pandoc": {"to": "html"}, "metadata": {}},
    }
    (tmp_path / "info.json").write_text(json.dumps(info), encoding="utf-8")
    monkeypatch.setenv("QUARTO_EXECUTE_INFO", str(tmp_path / "info.json"))
    monkeypatch.delenv("QUARTO_PROJECT_ROOT", raising=False)
    with pytest.raises(UserError, match=r"pictures.qmd is not a page of this profile\.\nRender"):
        Gallery.open()


def test_images_that_are_not_drawn_are_refused_on_pages_that_may_be_published(demo, monkeypatch):
    stored = of_svhn(demo)
    # Even where the pictures are at hand.
    monkeypatch.setattr(pictures, "read", lambda stored: pytest.fail("was read"))
    with pytest.raises(UserError, match=r"not for publication\.\nRender them with .* local"):
        Gallery.of(stored, local=False)


def test_without_pictures_the_page_says_how_to_draw_them(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    for stored, local in ((demo, False), (of_svhn(demo), True)):
        gallery = Gallery.of(stored, local=local)
        assert f"`python -m analysis pictures {stored.study.name}`" in gallery.note
        assert "\n" not in gallery.note and str(tmp_path) not in gallery.note
        assert {gallery.group(name) for name in pictures.GROUPS} == {"*Not drawn yet.*"}


# ------------------------------------------------------------------------------ one image


def test_each_group_shows_its_images_and_no_others(demo):
    gallery = Gallery.of(demo, local=False)
    assert gallery.note == ""
    for name in pictures.GROUPS:
        rows = gallery.table[gallery.table["group"] == name]
        shown = re.findall(r'id="test-(\d+)"', gallery.group(name))
        assert [int(index) for index in shown] == rows["index"].tolist()
    with pytest.raises(ValueError, match="no group 'confusions'"):
        gallery.group("confusions")


def test_every_panel_has_alternative_text_with_digit_prediction_confidence_and_attack():
    row = SimpleNamespace(
        **dict.fromkeys(pictures.PANELS, pictures.SIGNATURE),
        **{"split": "test", "index": 7, "run": "r0f0", "label": 3, "epsilon": 0.015},
        **{"predicted": 3, "confidence": 0.871, "attacked_predicted": 8},
        attacked_confidence=0.99996,
    )
    content = figure(row)
    clean = "an image labelled 3, read as 3 (87.1%)"
    under = "an image labelled 3 under FGSM at ε = 0.015, read as 8 (over 99.9%)"
    assert re.findall(r'alt="([^"]*)"', content) == [
        clean,
        "perturbation of an image labelled 3 by FGSM at ε = 0.015, magnified 20 times",
        under,
        f"Grad-CAM of {clean}",
        f"Grad-CAM of {under}",
    ]
    row.attacked_map = None
    assert "Grad-CAM, attacked: zero everywhere" in figure(row)
    assert figure(row).count("<img") == 4
