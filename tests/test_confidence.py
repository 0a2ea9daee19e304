"""Reliability, calibration and selective prediction against plain loops over predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from analysis import confidence, sanity
from analysis.calibration import scaled_confidence
from analysis.evidence import Evidence
from analysis.tables import SCHEMAS
from tests.simulated import World, evidence


@pytest.fixture(scope="module")
def data() -> Evidence:
    return evidence(World(), photos=300, repeats=2, resamples=200, seed=1)


@pytest.fixture(scope="module")
def tables(data: Evidence) -> dict[str, pd.DataFrame]:
    return confidence.tables(data, level=0.95, resamples=100)


@pytest.fixture(scope="module")
def given(data: Evidence) -> np.ndarray:
    return scaled_confidence(data.logits, np.ones(data.predicted.shape), data.predicted)


def test_tables_have_their_schemas(tables) -> None:
    for name, table in tables.items():
        SCHEMAS[name].validate(table)


def test_reliability_is_scikit_learn_s_curve(data, tables, given) -> None:
    rows = tables["reliability"].query("scaling == 'as given' and group == 'all'")
    # All repeats have all images, so pooling them is the same as averaging.
    accuracy, mean = calibration_curve((~data.wrong).ravel(), given.ravel(), n_bins=10)
    assert rows["accuracy"].to_numpy() == pytest.approx(accuracy, abs=1e-6)
    assert rows["confidence"].to_numpy() == pytest.approx(mean, abs=1e-6)
    assert rows["predictions"].sum() == data.wrong.size
    assert (rows["low"] <= rows["accuracy"]).all() and (rows["accuracy"] <= rows["high"]).all()


def test_groups_are_the_digits(data, tables) -> None:
    rows = tables["reliability"].query("scaling == 'scaled'").groupby("group")["predictions"].sum()
    assert rows["8"] == 2 * (data.label == 8).sum()
    assert rows["all"] == rows.drop("all").sum()


def test_the_calibration_error_is_near_the_plain_one_and_below_it(data, tables, given) -> None:
    plain = []
    for sure, wrong in zip(given, data.wrong, strict=True):
        inside = [(sure >= low) & (sure < low + 0.1) for low in np.arange(10) / 10]
        plain.append(
            sum(abs(sure[bin_].sum() - (~wrong)[bin_].sum()) for bin_ in inside) / len(sure)
        )
    row = tables["calibration"].query("scaling == 'as given' and group == 'all'").iloc[0]
    # Its bias has been taken off.
    assert np.mean(plain) - 0.02 < row["error"] <= np.mean(plain)
    assert row["low"] <= row["error"] <= row["high"]


def test_what_is_calibrated_has_next_to_no_calibration_error() -> None:
    generator = np.random.default_rng(0)
    data = evidence(World(), photos=1500, repeats=1, resamples=200, seed=2)
    sure = generator.uniform(0.5, 1, data.label.shape)
    wrong = generator.random(sure.shape) > sure
    logits = np.zeros((1, len(sure), 10))
    predicted = np.where(wrong, (data.label + 1) % 10, data.label)
    # Softmax of one logit against nine zeros.
    np.put_along_axis(logits[0], predicted[:, None], np.log(9 * sure / (1 - sure))[:, None], 1)
    made = replace(data, predicted=predicted[None], logits=logits)
    rows = confidence.tables(made, level=0.95, resamples=100)["calibration"]
    row = rows.query("scaling == 'as given' and group == 'all'").iloc[0]
    assert row["error"] < 0.01 and row["low"] == 0


def test_keeping_all_leaves_the_error_and_keeping_few_that_of_the_surest(
    data, tables, given
) -> None:
    rows = tables["selective"].query("scaling == 'as given'")
    assert rows["error"].iloc[-1] == pytest.approx(data.wrong.mean())
    expected = []
    for sure, wrong in zip(given, data.wrong, strict=True):
        surest = np.argsort(-sure, kind="stable")[: int(np.ceil(0.5 * len(sure)))]
        expected.append(wrong[surest].mean())
    half = rows.iloc[(rows["kept"] - 0.5).abs().argmin()]
    assert half["error"] == pytest.approx(np.mean(expected))


def test_histograms_hold_every_prediction(data, tables) -> None:
    rows = tables["confidences"].query("scaling == 'as given'")
    assert rows.groupby("kind")["share"].sum().to_numpy() == pytest.approx(np.ones(3))
    counts = rows.groupby("kind")["predictions"].first()
    assert counts["wrong"] == data.wrong.sum() and counts["right"] == (~data.wrong).sum()


def test_what_a_measure_can_tell_is_scikit_learn_s_auroc(data) -> None:
    generator = np.random.default_rng(3)
    shape = data.predicted.shape
    pointed = (generator.random(shape) < 0.7).astype(float)
    spread = generator.normal(size=shape) - 2 * pointed
    spread[0, :5] = np.nan
    measures = {name: generator.normal(size=shape) for name in ("area", "offset")}
    measures |= {"spread": spread, "fragments": np.full(shape, np.nan)}
    made = replace(data, saliency={"layer": measures}, pointed={"layer": pointed})
    rows = sanity.table(made, level=0.95, resamples=200)
    SCHEMAS["sanity"].validate(rows)
    rows = rows.set_index("measure")
    there = ~np.isnan(spread)
    expected = [
        roc_auc_score(pointed[r][there[r]], -spread[r][there[r]]) for r in range(len(spread))
    ]
    assert rows.loc["spread", "auroc"] == pytest.approx(np.mean(expected))
    assert rows.loc["spread", "verdict"] == "supported"
    assert rows.loc["area", "verdict"] == "refuted"
    # A measure without a value has nothing to tell, and says so by its absence.
    assert "fragments" not in rows.index
    assert rows.loc["spread", "yes"] == pointed[there].sum()


def test_without_maps_there_is_nothing_to_ask(data) -> None:
    rows = sanity.table(replace(data, saliency={}), level=0.95, resamples=200)
    assert rows.empty
    SCHEMAS["sanity"].validate(rows)


@pytest.mark.parametrize("photos", [1, 2, 5])
def test_few_images_say_nothing_of_digits_that_none_of_them_shows(photos: int) -> None:
    few = evidence(World(), photos=photos, repeats=2, resamples=100, seed=4)
    shown = {"all", *map(str, few.label)}
    assert len(shown) < 11
    found = confidence.tables(few, level=0.95, resamples=100)
    for name, table in found.items():
        SCHEMAS[name].validate(table)
    for name in ("reliability", "calibration"):
        assert set(found[name]["group"]) == shown
    if photos == 1:
        # Nothing is left to fit a temperature on.
        assert set(found["calibration"]["temperature"]) == {1.0}
