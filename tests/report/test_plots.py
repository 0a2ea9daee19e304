"""The figures of the paper, against plain computations on the cached tables."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import confusion_matrix, recall_score

from analysis import paths, results
from report.execution import Execution
from report.paper import Paper
from report.quantities import Quantities

FOLDER = paths.ROOT / "build" / "results" / "demo"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="demo has no committed results")
FIGURES = (
    *("claims", "class_error", "confusion", "spread", "mean_maps", "fragility"),
    *("confidences", "reliability", "selective"),
)


@pytest.fixture(scope="module")
def stored() -> results.Results:
    return results.load("demo", folder=FOLDER)


@pytest.fixture(scope="module")
def paper(stored: results.Results) -> Paper:
    return Paper(Quantities(stored), Execution(print=False, study="demo", offset=""))


def without(stored: results.Results) -> results.Results:
    """Return the results as they are before the later analyses, with nothing but estimates."""
    kept = ("predictions", "saliency", "attacks")
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
    counts = paper.figures.confusion_counts.pivot(
        index="label", columns="predicted", values="images"
    )
    assert np.allclose(counts.to_numpy(), expected)
    shares = paper.figures.confusion_counts.pivot(
        index="label", columns="predicted", values="share"
    )
    assert np.allclose(shares.sum(axis=1), 1)


def test_mean_maps_weigh_each_run_by_its_images(paper, stored):
    maps = stored.table("maps").query("label == 8 and row == 1 and column == 2")
    maps = maps[maps["layer"] == paper.quantities.layer]
    expected = np.average(maps["value"], weights=maps["images"])
    data = paper.figures.mean_maps().data
    found = data.query("digit == '8' and row == 1 and column == 2")["value"].item()
    assert found == pytest.approx(expected, abs=1e-6)
    assert data.groupby("digit")["value"].sum().to_numpy() == pytest.approx(np.ones(10), abs=1e-5)


def test_a_mean_map_is_at_least_as_spread_as_the_maps_behind_it(paper):
    # Entropy is concave, so the mean of distributions has no less than the mean of entropies.
    maps = paper.figures.mean_maps().data.groupby("digit")["value"]
    spread = maps.apply(lambda values: entropy(values) / np.log(len(values)))
    rows = paper.quantities.by_digit("spread", layer=paper.quantities.layer).set_index("digit")
    assert (spread >= rows["value"] - 1e-6).all()


def test_fragility_starts_from_the_clean_accuracy_and_ends_at_the_quoted_one(paper):
    data = paper.figures.fragility().data
    every = data[data["run"] == "all"]
    starts = every[every["epsilon"] == 0]["value"]
    assert len(starts) == 2 and np.allclose(starts, paper.quantities._one("accuracy")["value"])
    end = every.query("attack == 'FGSM'").iloc[-1]
    assert paper.quantities.attacked("fgsm", -1).startswith(f"{100 * end['value']:.1f}%")


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
def test_a_figure_is_drawn_in_print_and_for_the_web_whatever_has_been_analysed(stored, name):
    quantities = Quantities(without(stored))
    for print_ in (False, True):
        context = Execution(print=print_, study="demo", offset="")
        figure = getattr(Paper(quantities, context).figures, name)()
        assert figure.svg().startswith("<svg")
    assert len(figure.data)
