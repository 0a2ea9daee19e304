"""The notebook for readers: it runs anywhere, and finds what the derived tables say."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from analysis.project import paths
from analysis.results import store
from report.site import citation

NOTEBOOK = paths.ROOT / "walkthrough.ipynb"
STUDY = "svhn-subset"


def cells() -> list[str]:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def derived() -> store.Derived:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FAILURE_MODES_RESULTS", raising=False)
        found = store.derived_if_any(STUDY)
        if found is None:
            pytest.skip(f"{STUDY} has no committed results")
        return found


@pytest.fixture(scope="module")
def ran(derived: store.Derived) -> SimpleNamespace:
    """Return the names that the notebook leaves, and in ``shown`` the text of each cell."""
    names: dict[str, Any] = {}
    shown = []
    for source in cells():
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, NOTEBOOK.name, "exec"), names)
        if last is not None:
            code = compile(ast.Expression(last.value), NOTEBOOK.name, "eval")
            value = eval(code, names)
            shown.append(str(getattr(value, "data", value)))
    return SimpleNamespace(**names, shown=shown)


def one(table: pd.DataFrame, **values: object) -> pd.Series:
    for name, value in values.items():
        table = table[table[name.removesuffix("_")] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_it_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    # Each is introduced by text, and short enough to be read.
    kinds = [cell.cell_type for cell in notebook.cells]
    assert ("code", "code") not in zip(kinds, kinds[1:], strict=False)
    assert max(len(cell.source.splitlines()) for cell in code) <= 16


def test_it_computes_what_the_derived_tables_say(ran, derived):
    estimates = derived.table("estimates")
    estimates = estimates[estimates["source"] == "study"]
    accuracy = estimates[estimates["quantity"] == "accuracy"]

    def under(attack: str, epsilon: float) -> float:
        row = one(accuracy, attack=attack, epsilon=epsilon, class_="(all)", layer="none")
        return float(row["value"])

    assert ran.accuracy == pytest.approx(under("none", 0.0), abs=1e-7)
    for attack in ("fgsm", "pgd", "random-sign"):
        assert ran.right[attack] == pytest.approx(under(attack, 0.015), abs=1e-7)
    claims = {claim.id: claim.study for claim in derived.record.claims}
    reported = {each.kind: each for each in claims["uneven"].reported}
    for kind, name in (("worst", -1), ("best", 0)):
        expected = reported[f"error of the {kind} class"]
        assert getattr(ran, kind) == pytest.approx(expected.value, abs=1e-7)
        assert str(ran.by_digit.index[name]) == expected.part
    certain = derived.table("attack_confidence")
    fgsm = one(certain, attack="fgsm", epsilon=0.015, images="all")
    pgd = one(certain, attack="pgd", epsilon=0.015, images="sample")
    assert (ran.fgsm, ran.pgd) == pytest.approx((fgsm["auroc"], pgd["auroc"]), abs=1e-7)
    errors = derived.table("confident_errors")
    for body, found in (
        ("as labelled", ran.confident),
        ("without suspects", ran.confident_others),
    ):
        assert found == pytest.approx(one(errors, body=body, confidence=0.9)["share"], abs=1e-7)
    slices = derived.table("slices")
    for place in ("middle", "first"):
        error = one(slices, attribute="place", slice=place)["error"]
        assert getattr(ran, place) == pytest.approx(error, abs=1e-7)


def test_each_cell_ends_with_the_numbers_that_it_computed(ran, derived):
    text = "\n".join(ran.shown)
    for number in (ran.accuracy, ran.worst, ran.best, ran.middle, ran.first, ran.confident):
        assert f"{number:.1%}" in text
    assert f"FGSM: {ran.fgsm:.3f}, PGD: {ran.pgd:.3f}" in text
    assert f"the study {STUDY};" in ran.shown[-1] and citation.digest(derived) in ran.shown[-1]


def test_it_runs_next_to_the_unpacked_archive_without_the_project(derived, tmp_path):
    (tmp_path / STUDY).symlink_to(derived.folder)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    below = tmp_path / "below"
    below.mkdir()
    NotebookClient(notebook, resources={"metadata": {"path": str(below)}}).execute()
    first = next(cell for cell in notebook.cells if cell.cell_type == "code" and cell.outputs)
    assert "30,000 predictions of 10,000 images" in str(first.outputs)


def test_without_results_it_says_what_to_unpack(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"Unpack svhn-subset-results\.zip"):
        exec(cells()[0], {})


def test_it_finds_results_that_lie_elsewhere_as_in_a_copy_that_is_rendered(derived, tmp_path):
    given = {"FAILURE_MODES_RESULTS": str(derived.folder.parent), "PYTHONPATH": str(tmp_path)}
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").touch()
    command = [sys.executable, "-c", cells()[0] + "\nprint(results)"]
    environment = os.environ | given
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(derived.folder), done.stderr


def test_it_needs_nothing_of_this_project():
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
        for source in cells()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert imported == {"hashlib", "importlib.util", "IPython.display", "os", "pandas", "pathlib"}
