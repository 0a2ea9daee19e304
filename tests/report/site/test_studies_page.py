"""The page of all studies: which it shows, what it says of them, and where it leads."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis import derivation
from analysis.project import paths
from analysis.project.errors import UserError
from analysis.results import store
from analysis.results.store import Derived
from report.numbers.formats import per_cent
from report.numbers.results import Results
from report.site.citation import Publication
from report.site.studies_page import Studies
from report.tables.studies import numbers
from tests import made_up
from tests.report.test_pictures import Made

TITLE = 'A <b>title</b> | `x` {{< include y >}} "z"'


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Derived]:
    """Return a function that derives results of a study of some name, which nothing computed."""
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "results"))

    def write(name: str, above: float = 0.1, *, attacked: bool = True) -> Derived:
        claims = f"""claims = []\nclaim = [{{ id = "right", statement = "It | is right.",
            test = "accuracy", above = {above} }}]\n"""
        text = claims.replace("\n            ", " ") + made_up.STUDY
        text = text.replace('title = "Made-up results"', f"title = '''{TITLE}'''")
        if not attacked:
            text = "\n".join(line for line in text.splitlines() if not line.startswith("attacks"))
        found = made_up.made_up_study(tmp_path, text, name=name)
        parts = ("attributes", "duplicates", "predictions", *(["attacks"] if attacked else []))
        derivation.derive(made_up.filled(found, analyses=parts), say=lambda line: None)
        return store.derived(name)

    return write


def cells(table: str) -> list[list[str]]:
    """Return the rows of a pipe table without its heading, as text."""
    lines = [line for line in table.replace("\\|", "¦").splitlines() if line.startswith("|")]
    return [
        [cell.strip().replace("\\", "") for cell in line.split("|")[1:-1]] for line in lines[2:]
    ]


def test_every_study_has_its_numbers_and_its_verdicts(results) -> None:
    first, second = results("first"), results("second", 0.95, attacked=False)
    found = Studies.around(second)
    assert [each.study.name for each in found.shown] == ["second", "first"]
    assert "<b>" not in found.titles and "{{" not in found.titles and "`x`" not in found.titles
    rows = cells(found.numbers)
    for derived, row in zip((second, first), rows, strict=True):
        estimates = derived.table("estimates").set_index(["quantity", "attack", "class"])
        estimates = estimates["value"].sort_index()
        clean = estimates["accuracy", "none"].drop("(all)")
        counts = "`<br>`{=html} ".join(["60 images", "3 classes", "4 networks"])
        assert row[:2] == [derived.study.name, counts]
        assert row[2].startswith(per_cent(estimates["accuracy", "none", "(all)"]))
        assert row[3].startswith(f"{per_cent(clean.min())}`<br>`{{=html}} (")
        assert row[3].endswith(f"`<br>`{{=html}} {clean.idxmin()}")
        assert row[4].startswith("0.")
    assert rows[0][5] == "–" and rows[1][5].endswith("ε of 3.8 levels")
    # Two thresholds are two claims, of one study each.
    claims = [row[1:] for row in cells(found.claims)]
    assert claims == [["> 95.0%", "✕\xa0does not hold", "–"], ["> 10.0%", "–", "●\xa0holds"]]


def test_masked_gradients_are_said_with_the_accuracy_under_attack(results) -> None:
    derived = results("first")
    for masked in (False, True):
        given = Made(derived, {"masking": pd.DataFrame({"masked": [masked]})})
        (row,) = cells(numbers([Results(given)], {}))
        assert row[5].endswith("gradients masked" if masked else "levels")


@pytest.mark.parametrize("output", ["plain", "gfm"])
def test_lines_of_a_cell_are_kept_apart_in_every_format(results, output: str) -> None:
    pandoc = shutil.which("quarto") and ["quarto", "pandoc"]
    if not pandoc:
        pytest.skip("no Quarto on the PATH")
    text = Studies.around(results("first")).numbers
    done = subprocess.run(
        [*pandoc, "-t", output, "--columns=400"], input=text, capture_output=True, text=True
    )
    found = re.sub(r"<br>", " ", done.stdout)
    assert re.search(r"60 images\s+3 classes\s+4 networks", found), done.stderr


def test_a_claim_of_both_is_one_row(results) -> None:
    results("first")
    (row,) = cells(Studies.around(results("second")).claims)
    assert row[0] == "It ¦ is right. *right*" and row[2:] == ["●\xa0holds"] * 2


def test_a_study_whose_results_are_damaged_is_named_and_the_others_are_shown(results) -> None:
    own, other = results("own"), results("other")
    (path,) = other.folder.glob("estimates-*")
    path.write_bytes(b"")
    (other.folder.parent / "empty").mkdir()
    found = Studies.around(own)
    assert [each.study.name for each in found.shown] == ["own"]
    assert "Not shown" in found.titles and "estimates" in found.titles
    with pytest.raises(UserError, match="estimates"):
        assert Studies.around(other).numbers


def test_somebodys_own_studies_are_shown_without_those_of_the_publication(results) -> None:
    published = Publication.read().studies[-1]
    mine = results("mine")
    results("other")
    # Under a name of the publication's, as its results are in the same folder.
    made = results("made")
    (made.folder).rename(made.folder.with_name(published))
    found = Studies.around(mine)
    assert [each.study.name for each in found.shown] == ["mine", "other"]
    assert found.links == {} and not found.notes


@pytest.mark.parametrize(
    ("url", "name", "expected"),
    [
        (None, "svhn-subset", {"svhn-subset": "./index.html", "demo": "demo/index.html"}),
        (None, "demo", {"svhn-subset": "../index.html", "demo": "./index.html"}),
        ("https://x.org/y/", "demo", {"demo": "https://x.org/y/demo/index.html"}),
    ],
)
def test_reports_are_linked_where_they_are_published(
    monkeypatch: pytest.MonkeyPatch, url: str | None, name: str, expected: dict[str, str]
) -> None:
    monkeypatch.delenv("FAILURE_MODES_RESULTS", raising=False)
    monkeypatch.setenv("QUARTO_PROFILE", "demo")
    publication = Publication("T", url=url, studies=("svhn-subset", "svhn", "demo"))
    monkeypatch.setattr(Publication, "read", classmethod(lambda cls: publication))
    derived = store.derived_if_any(name)
    if derived is None:
        pytest.skip(f"{name} has no committed results")
    found = Studies.around(derived)
    assert expected.items() <= found.links.items() and "svhn" not in found.links
    assert f"[{derived.study.name}](" in found.numbers.replace("\\", "")


def test_the_page_is_one_of_every_profile_of_the_publication() -> None:
    for name in ("svhn-subset", "demo"):
        text = (paths.ROOT / f"_quarto-{name}.yml").read_text(encoding="utf-8")
        assert "    - studies.qmd\n" in text and "href: studies.qmd" in text
