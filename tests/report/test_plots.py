"""The figures of the paper, against plain computations on the cached tables."""

from __future__ import annotations

import re
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from analysis import paths, results
from report.execution import Execution
from report.paper import Paper
from report.quantities import ATTACKS, Quantities

FOLDER = paths.ROOT / "build" / "results" / "demo"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="demo has no committed results")
FIGURES = (
    *("claims", "class_error", "confusion", "spread", "maps", "fragility"),
    *(
        "perturbations",
        "connection",
        "aggregate",
        "explorer",
        "confidences",
        "reliability",
        "selective",
    ),
)


@pytest.fixture(scope="module")
def stored() -> results.Results:
    return results.load("demo", folder=FOLDER)


@pytest.fixture(scope="module")
def paper(stored: results.Results) -> Paper:
    return Paper(Quantities(stored), Execution(print=False, study="demo", offset=""))


def without(stored: results.Results, kept: tuple[str, ...]) -> results.Results:
    """Return the results as they are before other analyses, with nothing but estimates derived."""
    runs = {
        name: run.model_copy(
            update={"analyses": {key: run.analyses[key] for key in kept if key in run.analyses}}
        )
        for name, run in stored.manifest.runs.items()
    }
    derived = {"estimates": stored.manifest.derived["estimates"]}
    return stored.with_manifest(runs=runs, derived=derived, claims=None)


def test_the_confusion_counts_are_the_mean_over_repeats(paper, stored):
    table = stored.table("predictions")
    expected = confusion_matrix(table["label"], table["predicted"]) / len(stored.manifest.runs)
    data = paper.figures.confusion().data
    counts = data.pivot(index="label", columns="predicted", values="images")
    assert np.allclose(counts.to_numpy(), expected)
    shares = data.pivot(index="label", columns="predicted", values="share")
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)


def cells(paper: Paper) -> pd.DataFrame:
    data = paper.figures.maps().data
    return data[data["kind"] == "mean map"]


def test_mean_maps_weigh_each_run_by_its_images(paper, stored):
    maps = stored.table("maps").query("label == 8 and row == 1 and column == 2")
    maps = maps[maps["layer"] == paper.quantities.layer]
    expected = np.average(maps["value"], weights=maps["images"])
    data = cells(paper)
    found = data.query("digit == '8' and row == 1 and column == 2")["value"].item()
    assert found == pytest.approx(expected, abs=1e-6)
    assert data.groupby("digit")["value"].sum().to_numpy() == pytest.approx(np.ones(10), abs=1e-5)


def test_a_mean_map_is_at_least_as_spread_as_the_maps_behind_it(paper):
    # Entropy is concave, so the mean of distributions has no less than the mean of entropies.
    maps = cells(paper).groupby("digit")["value"]
    spread = maps.apply(lambda values: entropy(values) / np.log(len(values)))
    rows = paper.quantities.by_digit("spread", layer=paper.quantities.layer).set_index("digit")
    assert (spread >= rows["value"] - 1e-6).all()


@pytest.mark.parametrize(
    "weights, table", [("trained weights", "saliency"), ("random weights", "randomised")]
)
def test_the_quantiles_of_spread_are_those_of_single_maps(paper, stored, weights, table):
    data = paper.figures.maps().data
    data = data[(data["weights"] == weights) & (data["digit"] == "4")]
    maps = stored.table(table)
    maps = maps[(maps["layer"] == paper.quantities.layer) & (maps["label"] == 4)]
    expected = np.nanquantile(maps["spread"].to_numpy(dtype=float), [0.05, 0.25, 0.5, 0.75, 0.95])
    assert data["value"].to_numpy() == pytest.approx(expected, abs=1e-5)
    assert (data["images"] == maps["spread"].notna().sum()).all()


def test_maps_come_from_the_easiest_digit_to_the_hardest(paper, stored):
    table = stored.table("predictions")
    recall = recall_score(table["label"], table["predicted"], average=None)
    digits = paper.figures.maps().data["digit"].drop_duplicates().astype(int)
    assert (np.diff(recall[digits]) <= 1e-12).all()


def test_fragility_starts_from_the_clean_accuracy_and_ends_at_the_quoted_one(paper):
    data = paper.figures.fragility().data
    every = data[data["run"] == "all"]
    starts = every[every["epsilon"] == 0]["value"]
    assert len(starts) == 2 and np.allclose(starts, paper.quantities._one("accuracy")["value"])
    end = every.query("attack == 'FGSM'").iloc[-1]
    assert paper.quantities.attacked("fgsm", -1).startswith(f"{100 * end['value']:.1f}%")


def test_each_run_has_a_line_of_its_own_under_each_attack(paper, stored):
    data = paper.figures.fragility().data.query("epsilon == 0.015 and run != 'all'")
    expected = {}
    for name, table in (("attacks", "fgsm"), ("attacks", "random-sign"), ("controls", "pgd")):
        rows = stored.table(name).query("attack == @table and epsilon == 0.015")
        for run, each in rows.groupby("run"):
            expected[ATTACKS[table], run] = accuracy_score(each["label"], each["predicted"])
    found = data.set_index(["attack", "run"])["value"]
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-6), key


def test_perturbations_are_means_over_the_images_of_all_runs(paper, stored):
    data = paper.figures.perturbations().data
    rows = stored.table("perturbations").query(
        "attack == 'pgd' and epsilon == 0.05 and resolution == 32 and measure == 'psnr'"
    )
    found = data[(data["attack"] == ATTACKS["pgd"]) & (data["epsilon"] == 0.05)]
    found = found[found["measure"].str.contains("noise") & (found["resolution"] == 32)]
    expected = np.average(rows["mean"], weights=rows["images"])
    assert found["value"].item() == pytest.approx(expected, abs=1e-6)


def test_the_connection_is_between_errors_on_the_same_digit(paper, stored):
    data = paper.figures.connection().data.set_index("digit")
    under = stored.table("attacks").query("attack == 'fgsm' and epsilon == 0.0025")
    for table, name in ((stored.table("predictions"), "clean"), (under, "attacked")):
        recall = recall_score(table["label"], table["predicted"], average=None)
        assert np.allclose(data[name], 1 - recall, atol=1e-6)
        assert (data[f"{name}_low"] <= data[name]).all()


def test_claims_are_drawn_as_they_were_judged(paper, stored):
    data = paper.figures.claims().data
    judged = stored.claims()
    assert list(data["claim"].drop_duplicates()) == [claim.id for claim in judged.claims]
    for claim in judged.claims:
        rows = data[(data["claim"] == claim.id) & (data["source"] == "this study")]
        effects = [round(part.effect, 6) for part in claim.study.parts]
        assert rows["effect"].dropna().tolist() == pytest.approx(effects)
        if len(rows) == 1:
            assert rows["verdict"].item() == claim.study.verdict
        elif claim.study.verdict == "supported":
            assert set(rows["verdict"]) == {"supported"}


def test_the_error_of_a_digit_is_what_its_recall_lacks(paper, stored):
    table = stored.table("predictions")
    recall = recall_score(table["label"], table["predicted"], average=None)
    data = paper.figures.class_error().data.query("source == 'this study'").set_index("digit")
    assert np.allclose(data["value"], 1 - recall, atol=1e-6)
    assert (data["low"] <= data["value"]).all() and (data["value"] <= data["high"]).all()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_something_about_its_data_and_names_its_function(paper, name):
    figure = getattr(paper.figures, name)()
    assert len(figure.alt_text) > 60
    assert any(character.isdigit() for character in figure.alt_text)
    assert "nan" not in figure.alt_text
    module, _, function = figure.function.rpartition(".")
    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("kept", [("predictions", "saliency", "attacks"), ("predictions",)])
def test_a_figure_is_drawn_whatever_has_been_analysed(stored, name, kept):
    earlier = without(stored, kept)
    quantities = Quantities(earlier)
    if "attacks" not in kept:
        estimates = quantities.estimates
        quantities.estimates = estimates[
            (estimates["layer"] == "none") & (estimates["attack"] == "none")
        ]
    for print_ in (False, True):
        context = Execution(print=print_, study="demo", offset="")
        figure = getattr(Paper(quantities, context).figures, name)()
        assert figure.svg().startswith("<svg")
        assert len(figure.data) and "nan" not in figure.alt_text


def test_a_figure_without_data_gives_the_reason(stored):
    quantities = Quantities(without(stored, ("predictions",)))
    context = Execution(print=True, study="demo", offset="")
    figure = Paper(quantities, context).figures.claims()
    assert "have not been judged yet" in figure.alt_text
    assert "have not been judged yet" in re.sub(r"<[^>]*>", "", figure.svg())
