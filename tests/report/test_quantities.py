"""What the prose quotes, against plain computations on the cached tables."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import recall_score

from analysis import paths, published, results, study, timings
from report import deviations
from report.execution import Execution
from report.findings import listed
from report.formats import counted
from report.paper import Paper
from report.quantities import Quantities

FOLDER = paths.ROOT / "build" / "results" / "demo"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="demo has no committed results")


@pytest.fixture(scope="module")
def stored() -> results.Results:
    return results.load("demo", folder=FOLDER)


@pytest.fixture(scope="module")
def paper(stored: results.Results) -> Paper:
    return Paper(Quantities(stored), Execution(print=False, study="demo", offset=""))


def test_digits_are_ranked_by_their_recall(paper, stored):
    table = stored.table("predictions")
    recall = recall_score(table["label"], table["predicted"], average=None)
    worst = int(np.argmin(recall))
    assert paper.quantities.ranked(1, worst=True) == f"{worst} ({100 * recall[worst]:.1f}%)"
    assert paper.quantities.gap == f"{100 * (recall.max() - recall.min()):.1f}"


def test_the_original_is_quoted_as_published(paper):
    assert paper.quantities.original_accuracy == "93.6%"
    assert paper.quantities.epsilon(-1) == "0.05 (12.8 levels)"
    assert paper.quantities.original_attacked(-1) == "2.0%"
    matrix = published.confusion_matrix()
    assert matrix.sum() == 26_032
    row = paper.tables.overall().splitlines()[2 + 1 + 8]
    assert f"{100 * matrix[8, 8] / matrix[8].sum():.1f}%" in row


@pytest.mark.parametrize("name", study.names())
def test_deviations_follow_from_the_study(name):
    chosen = study.load(name)
    table = deviations.table(chosen, runs=1, trained_on="9").set_index("")
    assert str(chosen.training.batch_size) == table.loc["batch size", "this study"]
    assert f"{chosen.model.size}×{chosen.model.size}" in table.loc["input", "this study"]
    assert "[−1, 1]" in table.loc["input", "this study"]
    assert not table.isna().any().any()


def test_the_study_svhn_departs_least():
    table = deviations.table(study.load("svhn"), runs=5, trained_on="73,257").set_index("")
    for part in ("schedule", "batch size", "augmentation", "averaged weights"):
        assert table.loc[part, "the original"] == table.loc[part, "this study"], part


def test_words_around_numbers():
    assert counted(1, "network") == "1 network"
    assert counted(1500, "image") == "1,500 images"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a"]) == "a"


def test_only_complete_repeats_are_shown(stored):
    first, second = stored.manifest.runs.items()
    # The second network becomes one fold of two, whose other fold has not been run.
    split = stored.study.split.model_copy(update={"folds": 2})
    folds = stored.study.model_copy(update={"split": split})
    other = second[1].model_copy(update={"repeat": 0, "fold": 1})
    third = first[1].model_copy(update={"repeat": 1, "fold": 0})
    runs = {first[0]: first[1], "r0f1": other, "r1f0": third}
    partial = Quantities(stored.with_manifest(study=folds, runs=runs))
    assert partial.repeats == 1 and list(partial.shown) == [first[0], "r0f1"]
    assert set(partial.predictions["run"]) == {first[0], "r0f1"}
    assert set(partial.of_layer("maps", partial.layer)["run"]) == {first[0], "r0f1"}
    assert partial.completeness.startswith("The study plans 4 runs")


# ------------------------------------------------------------------------------ the benchmark


def test_the_benchmark_is_told_as_it_was_kept(paper, monkeypatch):
    spread = timings.Spread(median=2, low=1, high=3)
    kept = timings.Timings(
        quick=False,
        device="a processor",
        system="a system",
        cores=2,
        load=None,
        packages={"torch": "2.0"},
        revision=None,
        finished="2025-01-02T00:00:00+00:00",
        comparisons=(
            timings.Comparison(
                name="a",
                against="b",
                kind="peer",
                unit="s",
                ours=spread,
                theirs=spread,
                ratio=spread,
                rounds=3,
            ),
        ),
        peaks=(timings.Peak(name="float32", mebibytes=1234.5),),
    )
    monkeypatch.setattr(timings, "read", lambda: kept)
    assert paper.tables.benchmark().splitlines()[-1].endswith("| 2 (1 to 3) |")
    said = paper.quantities.benchmark
    assert "a processor, with torch 2.0, on 2025-01-02" in said and "1,234 MiB" in said


def test_without_a_benchmark_the_page_says_so(paper, monkeypatch):
    monkeypatch.setattr(timings, "read", lambda: None)
    assert paper.tables.benchmark() == "No benchmark has been kept."
    assert paper.quantities.benchmark == "It has not been made yet"
