"""Tables about confidence, and what map measures distinguish, against scikit-learn and loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from analysis.inference import confidence, measures
from analysis.inference.calibration import scaled_confidence
from analysis.inference.evidence import Evidence
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.schemas import ALL, MEASURES
from tests.inference.simulated import World, evidence


def tables_of(data: Evidence) -> dict[str, pd.DataFrame]:
    found = confidence.tables(data, level=0.95, resamples=100, epsilon=0.015)
    for name, table in found.items():
        DERIVED_TABLES[name].validate(table)
    return found


@pytest.fixture(scope="module")
def data() -> Evidence:
    return evidence(World(), groups=300, repeats=2, resamples=200, seed=1)


@pytest.fixture(scope="module")
def tables(data: Evidence) -> dict[str, pd.DataFrame]:
    return tables_of(data)


@pytest.fixture(scope="module")
def given(data: Evidence) -> np.ndarray:
    return scaled_confidence(data.logits, np.ones(data.predicted.shape), data.predicted)


def as_given(table: pd.DataFrame, name: str = ALL) -> pd.DataFrame:
    rows = table[table["scaling"] == "as given"]
    return rows[rows["class"] == name] if "class" in rows else rows


def test_reliability_is_scikit_learns_curve_for_all_and_for_each_class(data, tables, given) -> None:
    for name, members in ((ALL, data.label >= 0), ("8", data.label == 8)):
        rows = as_given(tables["reliability"], name)
        # All repeats have all images, so pooling them is the same as averaging.
        right, sure = (~data.wrong)[:, members].ravel(), given[:, members].ravel()
        accuracy, mean = calibration_curve(right, sure, n_bins=10)
        assert rows["accuracy"].to_numpy() == pytest.approx(accuracy, abs=1e-6)
        assert rows["confidence"].to_numpy() == pytest.approx(mean, abs=1e-6)
        assert rows["predictions"].sum() == right.size
        assert (rows["low"] <= rows["accuracy"]).all() and (rows["accuracy"] <= rows["high"]).all()


def test_the_calibration_error_is_near_the_plain_one_and_below_it(data, tables, given) -> None:
    plain = []
    for sure, wrong in zip(given, data.wrong, strict=True):
        inside = [(sure >= low) & (sure < low + 0.1) for low in np.arange(10) / 10]
        plain.append(sum(abs(sure[b].sum() - (~wrong)[b].sum()) for b in inside) / len(sure))
    row = as_given(tables["calibration"]).iloc[0]
    # Its bias has been subtracted.
    assert np.mean(plain) - 0.02 < row["error"] <= np.mean(plain)
    assert row["low"] <= row["error"] <= row["high"]


def test_calibrated_predictions_have_next_to_no_calibration_error() -> None:
    generator = np.random.default_rng(0)
    data = evidence(World(), groups=1500, repeats=1, resamples=200, seed=2)
    sure = generator.uniform(0.5, 1, data.label.shape)
    wrong = generator.random(sure.shape) > sure
    logits = np.zeros((1, len(sure), 10))
    predicted = np.where(wrong, (data.label + 1) % 10, data.label)
    # Softmax of one logit against nine zeros.
    np.put_along_axis(logits[0], predicted[:, None], np.log(9 * sure / (1 - sure))[:, None], 1)
    found = tables_of(replace(data, predicted=predicted[None], logits=logits))
    row = as_given(found["calibration"]).iloc[0]
    assert row["error"] < 0.01 and row["low"] == 0


def test_the_error_among_the_most_confident_is_a_sort(data, tables, given) -> None:
    rows = as_given(tables["selective"]).set_index("kept")["error"]
    assert rows[1.0] == pytest.approx(data.wrong.mean())
    for kept in (0.02, 0.5):
        expected = []
        for sure, wrong in zip(given, data.wrong, strict=True):
            order = np.argsort(-sure, kind="stable")
            expected.append(wrong[order[: int(np.ceil(kept * len(sure) - 1e-9))]].mean())
        assert rows[kept] == pytest.approx(np.mean(expected))


def test_histograms_contain_every_prediction(data, tables, given) -> None:
    rows = as_given(tables["confidences"])
    assert rows.groupby("kind")["share"].sum().to_numpy() == pytest.approx(np.ones(3))
    counts = rows.groupby("kind")["predictions"].first()
    assert counts["wrong"] == data.wrong.sum() and counts["right"] == (~data.wrong).sum()
    edges = np.linspace(0, 1, 21)
    expected = np.histogram(given[data.wrong], edges)[0] / data.wrong.sum()
    assert rows[rows["kind"] == "wrong"]["share"].to_numpy() == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3, 100])
def test_classes_without_an_image_have_no_rows_and_few_images_are_no_error(classes: int) -> None:
    for groups in (1, 5):
        world = World(error=np.full(classes, 0.3))
        few = evidence(world, groups=groups, repeats=2, resamples=100, seed=4)
        found = tables_of(few)
        for name in ("reliability", "calibration"):
            assert set(found[name]["class"]) == {ALL, *map(str, few.label)}
        if groups == 1:
            # Nothing is left to fit a temperature on.
            assert set(found["calibration"]["temperature"]) == {1.0}


def test_what_a_measure_distinguishes_is_scikit_learns_auroc(data) -> None:
    generator = np.random.default_rng(3)
    shape = data.predicted.shape
    spread = generator.normal(size=shape)
    spread[0, :5] = np.nan
    # A sample is altered, and maps that are missing stay so.
    sampled = np.arange(shape[1]) % 4 == 0
    doubled = {name: np.where(sampled, spread + 2, np.nan) for name in ("spread", "area")}
    doubled |= dict.fromkeys(("offset", "fragments"), np.full(shape, np.nan))
    maps = {name: generator.normal(size=shape) for name in MEASURES}
    maps |= {"spread": spread, "fragments": np.full(shape, np.nan)}
    random = {name: generator.normal(size=shape) + 3 for name in MEASURES}
    altered = {"doubled": {"L": doubled}, "widened": {"L": random}}
    made = replace(data, maps={"L": maps}, random_maps={"L": random}, altered=altered)
    rows = measures.table(made, level=0.95, resamples=200)
    DERIVED_TABLES["map_measures"].validate(rows)
    rows = rows.set_index(["question", "measure"])
    known = ~np.isnan(spread)
    expected = {
        "one": [
            roc_auc_score(np.repeat([1, 0], k.sum()), -np.append(s[k], s[k] + 2))
            for s, k in zip(spread, known & sampled, strict=True)
        ],
        "trained": [
            roc_auc_score(np.repeat([1, 0], [k.sum(), k.size]), -np.append(s[k], r))
            for s, r, k in zip(spread, random["spread"], known, strict=True)
        ],
    }
    for question, areas in expected.items():
        assert rows.loc[(question, "spread"), "auroc"] == pytest.approx(np.mean(areas))
        # A measure without a value has no row.
        assert (question, "fragments") not in rows.index
    number = (known & sampled).sum()
    assert rows.loc[("one", "spread"), ["yes", "no"]].tolist() == [number, number]
    assert ("narrow", "spread") in rows.index and ("one", "offset") not in rows.index
    without = measures.table(replace(made, random_maps={}, altered={}), level=0.95, resamples=200)
    assert without.empty
    DERIVED_TABLES["map_measures"].validate(without)
