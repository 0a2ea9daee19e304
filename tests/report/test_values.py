"""Values that the prose quotes and tables, against plain computations on the tables of runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from analysis.project.errors import UserError
from analysis.results.schemas import ALL
from analysis.results.store import Store
from analysis.study import load
from report.numbers.results import Results
from report.numbers.whose import Whose
from report.tables import claims as claims_tables
from report.tables import protocol
from report.tables import results as tables


@pytest.fixture(scope="module")
def predictions(committed) -> pd.DataFrame:
    committed("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FAILURE_MODES_RESULTS", raising=False)
        opened = Store.open(load("demo"))
    return pd.concat(opened.read(run, "predictions") for run in opened.runs)


def cells(table: str) -> list[list[str]]:
    rows = table.replace("\\", "").splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_classes_are_ranked_by_their_recall(committed, predictions):
    paper = committed("demo")
    recall = recall_score(predictions["label"], predictions["predicted"], average=None)
    worst = int(np.argmin(recall))
    assert paper.value.ranked(worst=True).startswith(f"{worst} ({100 * recall[worst]:.1f}%), ")
    assert paper.value.accuracy == f"{100 * (predictions.eval('label == predicted')).mean():.1f}%"
    rows = cells(tables.overall(paper.results))
    assert rows[worst + 1][2].startswith(f"{100 * recall[worst]:.1f}% (")


def test_what_is_misspelt_is_an_error_and_what_was_not_measured_says_so(papers):
    paper = papers()
    assert paper.value.attacked("pgd", 0.5) == "not measured"
    assert paper.value.similarity("fgsm", 0.5, native=False, measure="ssim") == "not measured"
    for call in (
        lambda: paper.value.attacked("pdg", 0.5),
        lambda: paper.value.attacked("pgd", 0.5, quantity="acuracy"),
        lambda: paper.value.similarity("fgsm", 0.5, native=False, measure="sim"),
        lambda: paper.value.calibration_error("scale"),
        lambda: paper.value.range_over_runs("worst"),
        lambda: paper.results.table("estimate"),
        lambda: paper.results.estimates("spread", layer="layer9"),
    ):
        with pytest.raises(UserError, match="nearest is"):
            call()
    with pytest.raises(UserError, match="not measured"):
        papers(analyses=("predictions",)).results.table("mean_maps")


def test_the_original_is_quoted_as_published(committed):
    paper = committed("svhn-subset")
    last = paper.results.sizes[-1]
    assert paper.value.size(last) == "0.05 (12.8 levels)"
    assert cells(tables.attacked(paper.results))[-1][-1] == "2.0%"
    matrix = paper.results.published.matrix
    assert matrix.sum() == 26_032
    shown = cells(tables.overall(paper.results))[9][3]
    assert shown.startswith(f"{100 * matrix[8, 8] / matrix[8].sum():.1f}%")
    deviations = {row[0]: row[1:] for row in cells(protocol.deviations(paper.results))}
    assert deviations["batch size"] == ["64", "64"] and "[−1, 1]" in deviations["input"][1]
    assert not [cell for row in deviations.values() for cell in row if cell in ("", "–", "None")]


def test_without_published_results_there_is_no_protocol_to_differ_from(papers):
    results = papers().results
    with pytest.raises(UserError, match="no published results"):
        protocol.deviations(results)
    assert "data" not in claims_tables.verdicts(results).splitlines()[0]
    assert len(cells(claims_tables.answer(results))[0]) == 3


def test_what_readers_saw_is_counted_by_the_rule_that_chose_the_image(papers):
    audit = pd.DataFrame(
        [("both", "prediction"), ("both", "prediction"), ("both", "label"), ("control", "label")],
        columns=["rule", "agreed"],
    )
    agreement = pd.DataFrame(
        [("a and b", "all", 4, 0.75, 0.5), ("a and b", "suspects", 3, 1.0, np.nan)],
        columns=["readers", "kind", "images", "share", "kappa"],
    )
    paper = papers()
    results = Results(paper.derived)
    results._tables |= {"audit": audit, "agreement": agreement}
    assert cells(tables.audit(results)) == [
        ["both", "3", "1", "2", "0", "0", "0"],
        ["random others", "1", "1", "0", "0", "0", "0"],
    ]
    assert Whose(results).agreement == "The two agree on 75.0% of 4 images (Cohen's κ 0.50)."


def test_masked_gradients_are_said_with_the_numbers_behind_them(papers):
    said = papers().value.masking
    row = papers().results.table("masking").iloc[0]
    assert said.startswith("Gradients are masked: " if row["masked"] else "No sign of masked")
    assert f"PGD leaves {100 * row['pgd']:.1f}% right, {100 * row['pgd_random']:.1f}% from" in said


def test_tables_show_the_worst_and_the_best_of_many_classes(papers):
    results = papers(100).results
    rows = cells(tables.overall(results))
    assert len(rows) == 1 + 20
    ranked = results.ranked["class"].tolist()
    assert {row[0] for row in rows[1:]} == {*ranked[:15], *ranked[-5:]}
    assert len(cells(tables.calibration(results))) == 1 + 20


def test_every_run_and_version_is_listed_once(committed):
    results = committed("svhn-subset").results
    runs = cells(protocol.runs(results))
    assert [row[0] for row in runs] == results.table("runs")["run"].tolist() and len(runs) == 15
    versions = dict(cells(protocol.versions(results)))
    assert set(versions) >= {"python", "torch", "numpy"}


def test_a_partial_study_says_how_many_runs_are_missing(papers):
    paper = papers()
    assert paper.study.basis == "60 images in 30 groups, 4 networks in 2 repeats"
    paper.study.runs = 2
    assert "plans 4 runs; the 2 of" in paper.section("details").replace("\\", "")


def test_accuracy_that_rises_again_under_one_large_step_is_said(committed):
    said = committed("clothing").value.rebound
    rows = committed("clothing").results.estimates("accuracy", attack="fgsm")
    rows = rows[rows["class"] == ALL].set_index("epsilon")["value"]
    for epsilon in (rows.idxmin(), rows.index.max()):
        assert f"{100 * rows[epsilon]:.1f}%" in said and f"{epsilon:g} (" in said
    assert committed("demo").value.rebound == ""
