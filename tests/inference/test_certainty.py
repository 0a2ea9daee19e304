"""How sure wrong answers are, against plain loops and scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from analysis.inference import certainty
from analysis.inference.evidence import Attacked, Evidence
from analysis.results.schemas import FGSM, PGD
from tests.inference.simulated import World, evidence

EPSILON = 0.015


@pytest.fixture(scope="module")
def data() -> Evidence:
    """Evidence in which PGD attacked a sample that differs from repeat to repeat."""
    found = evidence(World(error=np.full(10, 0.2)), groups=300, repeats=3, resamples=60, seed=2)
    generator = np.random.default_rng(0)
    shape = found.predicted.shape
    sample = np.arange(shape[1]) % 3 == 0
    known = sample | (np.arange(3) == 0)[:, None]
    predicted = np.where(known, (found.label + generator.integers(0, 2, shape)) % 10, -1)
    pgd = Attacked(predicted, np.where(known, generator.uniform(0.3, 1, shape), np.nan))
    attacked = {
        (FGSM, 0.0): Attacked(found.predicted, found.confidence),
        (FGSM, EPSILON): found.attacked[FGSM, EPSILON],
        (PGD, EPSILON): pgd,
    }
    return replace(found, confidence=generator.uniform(0.2, 1, shape), attacked=attacked)


def area(
    data: Evidence, one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> float:
    """Return the mean over repeats of scikit-learn's AUROC of scores where the masks are."""
    areas = []
    for r in range(data.repeats):
        high, low = one[0][r][one[1][r]], other[0][r][other[1][r]]
        truth = np.repeat([1, 0], [len(high), len(low)])
        areas.append(roc_auc_score(truth, np.concatenate([high, low])))
    return float(np.mean(areas))


def test_the_auroc_is_the_mean_over_repeats(data: Evidence) -> None:
    found = certainty.auroc(data, data.confidence, ~data.wrong, data.confidence, data.wrong)
    expected = area(data, (data.confidence, ~data.wrong), (data.confidence, data.wrong))
    assert found[0] == pytest.approx(expected) and found.shape == (61,)


def test_confident_errors_are_shares_of_the_errors(data: Evidence) -> None:
    table = certainty.tables(data, level=0.9)["confident_errors"]
    assert set(table["body"]) == {"as labelled"}
    errors = data.confidence[data.wrong]
    for row in table.itertuples():
        assert row.share == pytest.approx(np.mean(errors >= row.confidence))
        assert row.low <= row.share <= row.high


def test_without_suspects_and_with_audited_labels_are_bodies_of_their_own(data: Evidence) -> None:
    predicted, confidence = data.predicted.copy(), data.confidence.copy()
    predicted[:, :30], confidence[:, :30] = (data.label[:30] + 1) % 10, 0.995
    # A reader who agrees with every label.
    found = replace(
        data, predicted=predicted, confidence=confidence, readings={"reader": data.label.copy()}
    )
    table = certainty.tables(found, level=0.9)["confident_errors"]
    shares = table[table["confidence"] == 0.98].set_index("body")["share"]
    assert list(shares.index) == ["as labelled", "without suspects", "audited labels"]
    rest = (predicted != data.label)[:, 30:]
    expected = np.mean(confidence[:, 30:][rest] >= 0.98)
    assert shares["without suspects"] == pytest.approx(expected)
    assert shares["audited labels"] == shares["as labelled"] > expected


def test_confidence_under_attack_is_compared_on_the_same_images(data: Evidence) -> None:
    table = certainty.tables(data, level=0.9)["attack_confidence"]
    rows = table.set_index(["attack", "images"])
    assert list(rows.index) == [(FGSM, "all"), (FGSM, "sample"), (PGD, "all"), (PGD, "sample")]
    sample = np.arange(len(data.label)) % 3 == 0
    for (attack, images), row in rows.iterrows():
        outcome = data.attacked[attack, EPSILON]
        known = (outcome.predicted >= 0) & (sample | (images == "all"))
        right, errors = known & ~data.wrong, known & data.wrong
        made = right & (outcome.predicted != data.label)
        assert row["predictions"] == made.sum()
        assert row["median"] == pytest.approx(np.median(outcome.confidence[made]))
        assert row["median_right"] == pytest.approx(np.median(data.confidence[right]))
        assert row["median_errors"] == pytest.approx(np.median(data.confidence[errors]))
        under, clean = (outcome.confidence, made), data.confidence
        assert row["auroc"] == pytest.approx(area(data, (clean, right), under))
        assert row["auroc_errors"] == pytest.approx(area(data, under, (clean, errors)))
        assert row["low"] < row["auroc"] < row["high"]


def test_an_attack_that_changes_nothing_has_no_row(data: Evidence) -> None:
    still = replace(data, attacked={(FGSM, EPSILON): Attacked(data.predicted, data.confidence)})
    assert certainty.tables(still, level=0.9)["attack_confidence"].empty
