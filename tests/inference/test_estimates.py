"""Estimates of made-up evidence against scikit-learn, pandas, plain resampling and closed forms."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import accuracy_score, recall_score

from analysis.inference.bootstrap import Resamples
from analysis.inference.estimates import estimates
from analysis.inference.evidence import Attacked, Evidence
from analysis.results import published
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.schemas import ALL
from tests.conftest import data_file
from tests.inference.simulated import World, evidence

KEYS = ["source", "quantity", "attack", "epsilon", "layer", "class"]
LEVEL, REPEATS = 0.9, 2
MEASURES = ("spread", "area")


def table_of(data: Evidence, *, body: published.Published | None = None) -> pd.DataFrame:
    found = estimates(data, body, level=LEVEL)
    DERIVED_TABLES["estimates"].validate(found)
    return found.set_index(KEYS).sort_index()


@pytest.fixture(scope="module")
def data() -> Evidence:
    """Evidence with missing maps, a measure that has no value, and PGD on every third group."""
    world = World(error=np.linspace(0.1, 0.4, 10))
    data = evidence(world, groups=100, repeats=REPEATS, resamples=400, seed=5)
    generator = np.random.default_rng(0)
    maps = {
        name: np.where(generator.random(values.shape) < 0.15, np.nan, values)
        for name, values in data.maps["layer"].items()
    }
    maps["fragments"] = np.full(data.predicted.shape, np.nan)
    # The first repeat is attacked on every image, the others on a sample.
    pgd = np.where(data.group % 3 == 0, data.predicted, -1)
    pgd[0] = data.predicted[0]
    pgd[1] = np.where(data.label < 5, pgd[1], np.where(pgd[1] < 0, -1, 0))
    return replace(
        data, maps={"layer": maps}, attacked=data.attacked | {("pgd", 0.015): Attacked(pgd)}
    )


@pytest.fixture(scope="module")
def table(data: Evidence) -> pd.DataFrame:
    return table_of(data, body=published.load("notebook"))


def test_accuracy_is_scikit_learns(table: pd.DataFrame, data: Evidence) -> None:
    label = np.tile(data.label, REPEATS)
    outcomes = {("none", 0.0): data.predicted} | {
        key: outcome.predicted for key, outcome in data.attacked.items() if key[0] != "pgd"
    }
    for (attack, epsilon), predicted in outcomes.items():
        found = table.loc["study", "accuracy", attack, epsilon, "none"]
        overall = accuracy_score(label, predicted.ravel())
        assert found.loc[ALL, "value"] == pytest.approx(overall)
        recall = recall_score(label, predicted.ravel(), average=None, zero_division=0)
        assert found["value"].drop(ALL).to_numpy() == pytest.approx(recall)
        assert found["images"].drop(ALL).tolist() == np.bincount(data.label).tolist()
        assert (found["repeats"] == REPEATS).all()
        for name, members in ((ALL, data.label >= 0), ("8", data.label == 8)):
            by_repeat = (predicted == data.label)[:, members].mean(axis=1)
            expected = by_repeat.std(ddof=1)
            assert found.loc[name, "between_repeats"] == pytest.approx(expected, abs=1e-9)


def test_attacks_are_compared_on_the_images_that_pgd_was_run_on(table, data) -> None:
    sampled = data.group % 3 == 0
    for attack, epsilon in (("pgd", 0.015), ("fgsm", 0.015)):
        predicted = data.attacked[attack, epsilon].predicted[:, sampled]
        row = table.loc["study", "accuracy on the sample", attack, epsilon, "none", ALL]
        assert row["value"] == pytest.approx((predicted == data.label[sampled]).mean())
        assert row["images"] == sampled.sum()


def test_intervals_are_quantiles_over_groups_drawn_one_by_one(table, data) -> None:
    right = (~data.wrong).mean(axis=0)
    found = table.loc["study", "accuracy", "none", 0.0, "none"]
    for name, members in ((ALL, data.label >= 0), ("8", data.label == 8)):
        drawn = []
        for times in data.resamples.weights[1:].astype(int):
            images = np.repeat(np.arange(len(right)), times[data.group] * members)
            if len(images):
                drawn.append(right[images].mean())
        expected = np.quantile(drawn, [0.05, 0.95])
        assert found.loc[name, ["low", "high"]].to_numpy(float) == pytest.approx(expected, abs=1e-6)
    assert (found["low"] <= found["value"]).all() and (found["value"] <= found["high"]).all()


def test_the_interval_is_as_wide_as_groups_make_it() -> None:
    """Images of a group that are right or wrong together; alone they have the binomial's error."""
    group, label = np.arange(300) // 3, np.zeros(300, int)
    predicted = (group % 4 == 0).astype(int)[None]
    widths = []
    for unit in (group, np.arange(300)):
        data = Evidence(("a", "b"), label, predicted, unit, 0, Resamples(unit, 1000, 0))
        row = table_of(data).loc["study", "accuracy", "none", 0.0, "none", ALL]
        assert row["value"] == pytest.approx(0.75)
        widths.append((row["high"] - row["low"]) / 2 / norm.ppf(0.95))
    error = np.sqrt(0.75 * 0.25 / 300)
    assert widths == pytest.approx([np.sqrt(3) * error, error], rel=0.12)


def test_map_measures_are_averaged_for_each_image_then_over_images(table, data) -> None:
    for name in MEASURES:
        values = pd.DataFrame(data.maps["layer"][name])
        found = table.loc["study", name, "none", 0.0, "layer"]
        for group, members in ((ALL, data.label >= 0), ("1", data.label == 1)):
            by_image = values.loc[:, members].mean()
            assert found.loc[group, "value"] == pytest.approx(by_image.mean())
            assert found.loc[group, "images"] == by_image.count() <= members.sum()
            expected = values.loc[:, members].mean(axis=1).std()
            assert found.loc[group, "between_repeats"] == pytest.approx(expected)
    assert "fragments" not in table.index.get_level_values("quantity")


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_a_class_without_an_image_is_a_row_that_says_so(classes: int) -> None:
    world = World(error=np.full(classes, 0.1))
    data = evidence(world, groups=300, repeats=1, resamples=100, seed=0)
    label = np.where(data.label == 1, 0, data.label)
    found = table_of(replace(data, label=label)).loc["study"]
    clean = found.loc["accuracy", "none", 0.0, "none"]
    assert set(clean.index) == {ALL, *data.classes}
    assert clean.loc["1", ["images", "repeats"]].tolist() == [0, 0]
    assert clean.loc["1", ["value", "low", "high", "between_repeats"]].isna().all()
    assert clean.drop("1")["value"].notna().all()
    # Nothing is said about it anywhere else.
    others = found.drop(index=[("accuracy", "none", 0.0, "none")])
    assert "1" not in others.index.get_level_values("class") and (others["images"] > 0).all()


def test_one_repeat_has_no_deviation_and_no_publication_no_rows(data: Evidence) -> None:
    one = replace(data, predicted=data.predicted[:1], attacked={}, maps={})
    found = table_of(one)
    assert found["between_repeats"].isna().all() and (found["repeats"] == 1).all()
    assert set(found.index.get_level_values("source")) == {"study"}


def test_published_accuracies_have_wilsons_interval(table: pd.DataFrame) -> None:
    """Wilson (1927): the proportions from which the observed one lies at most z errors away."""
    found = table.loc["published", "accuracy", "none", 0.0, "none"]
    assert found.loc[ALL, "value"] == pytest.approx(24_359 / 26_032)
    # The official test split's images of each digit.
    official = [1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595]
    assert found["images"].drop(ALL).tolist() == official and found.loc[ALL, "images"] == 26_032
    assert found.loc["8", "value"] == pytest.approx(1499 / 1660)
    z = norm.ppf((1 + LEVEL) / 2)
    for row in found.itertuples():
        share, n = row.value, row.images
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        assert (row.low, row.high) == pytest.approx((middle - half, middle + half))
    attacked = table.loc["published", "accuracy", "fgsm", 0.05, "none"]
    assert attacked.loc[ALL, "value"] == 0.020 and list(attacked.index) == [ALL]


def test_the_published_numbers_are_those_that_were_printed() -> None:
    printed = json.loads(data_file("original_results.json").read_text(encoding="utf-8"))
    body = published.load("notebook")
    assert body.accuracy == printed["test_accuracy"]
    assert body.matrix.tolist() == printed["confusion_matrix_rows_true_columns_predicted"]
    pairs = [(row["epsilon_normalised"], row["accuracy"]) for row in printed["fgsm"]]
    assert [(row.epsilon, row.accuracy) for row in body.attacked] == pairs
