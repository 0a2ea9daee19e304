"""Precision, recall, F1 and AUROC of each class, against scikit-learn and exact resamples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from analysis.inference import classes, statistics
from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Evidence
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.schemas import ALL

COUNT = 12


def data(*, repeats: int = 1, images: int = 400, seed: int = 0, resamples: int = 200) -> Evidence:
    """Return evidence of classes that differ in size and in how hard they are, in groups of two."""
    generator = np.random.default_rng(seed)
    label = np.sort(generator.choice(COUNT, images, p=np.arange(1, COUNT + 1) / 78))
    logits = generator.normal(size=(repeats, images, COUNT))
    logits[:, np.arange(images), label] += label / 3
    group = generator.permutation(images) // 2
    return Evidence(
        tuple(f"c{number}" for number in range(COUNT)),
        label,
        logits.argmax(axis=2),
        group,
        seed,
        Resamples(group, resamples, seed),
        logits=logits.astype(np.float32),
        confidence=softmax(logits, axis=2).max(axis=2),
    )


def of(found: Evidence, measure: str) -> np.ndarray:
    table = classes.table(found, level=0.95)
    DERIVED_TABLES["classes"].validate(table)
    rows = table[table["measure"] == measure].set_index("class")
    assert ((rows["low"] <= rows["value"]) & (rows["value"] <= rows["high"]))[
        rows["low"].notna()
    ].all()
    assert rows["value"][ALL] == pytest.approx(rows["value"].iloc[1:].mean())
    return rows["value"].iloc[1:].to_numpy()


def test_precision_recall_and_f1_are_those_of_scikit_learn() -> None:
    found = data()
    expected = precision_recall_fscore_support(
        found.label, found.predicted[0], zero_division=np.nan
    )
    for measure, values in zip(classes.MEASURES, expected[:3], strict=False):
        assert of(found, measure) == pytest.approx(values, rel=1e-5)


def test_predictions_of_all_repeats_are_taken_together() -> None:
    found = data(repeats=3)
    label, predicted = np.tile(found.label, 3), found.predicted.ravel()
    expected = precision_recall_fscore_support(label, predicted, zero_division=np.nan)
    for measure, values in zip(classes.MEASURES, expected[:3], strict=False):
        assert of(found, measure) == pytest.approx(values, rel=1e-5)
    areas = [
        [roc_auc_score(found.label == k, log_softmax(each, axis=1)[:, k]) for k in range(COUNT)]
        for each in found.logits
    ]
    assert of(found, "AUROC") == pytest.approx(np.mean(areas, axis=0), abs=1e-5)


def test_equal_probabilities_count_half() -> None:
    found = data()
    # As trees give them: many are 0, and all together are one up to an error of rounding.
    votes = np.random.default_rng(1).multinomial(7, softmax(found.logits[0].astype(float), axis=1))
    shares = (votes / 7).round(4)
    logits = np.log(np.maximum(shares, 1.2e-38)).astype(np.float32)
    expected = [roc_auc_score(found.label == k, shares[:, k]) for k in range(COUNT)]
    assert of(replace(found, logits=logits[None]), "AUROC") == pytest.approx(expected, abs=1e-5)


def test_replicates_of_the_auroc_are_those_of_weighted_images() -> None:
    found = data(images=900, resamples=100)
    scores = log_softmax(found.logits[0], axis=1)
    replicates = classes.auroc(found)
    for number in (2, 7, 11):
        inside = np.flatnonzero(found.label == number)
        rest = np.flatnonzero(found.label != number)
        exact = statistics.auroc(
            scores[inside, number],
            scores[rest, number],
            found.resamples.of_images(inside, slice(0, 101)),
            found.resamples.of_images(rest, slice(0, 101)),
        )
        assert replicates[0, number] == pytest.approx(exact[0], abs=1e-5)
        difference = replicates[:, number] - exact
        assert np.abs(difference).max() < 0.15 * exact.std() * 4
        assert replicates[1:, number].std() == pytest.approx(exact[1:].std(), rel=0.05)


def test_what_is_not_defined_is_missing() -> None:
    found = data()
    label = np.where(found.label == 0, 1, found.label)
    label[0] = 2
    predicted = np.where(found.predicted == 3, 4, found.predicted)
    found = replace(found, label=label, predicted=predicted)
    table = classes.table(found, level=0.95).set_index(["class", "measure"])["value"]
    assert table.loc["c0"].isna().tolist() == [False, True, False, True]
    assert table["c0", "precision"] == table["c0", "F1"] == 0
    assert table.loc["c3"].isna().tolist() == [True, False, False, False]
    one = classes.table(replace(found, label=np.zeros_like(label)), level=0.95)
    assert one[(one["class"] == "c0") & (one["measure"] == "AUROC")]["value"].isna().all()
