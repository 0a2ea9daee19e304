"""Suspected wrong labels, on made-up evidence in which some labels are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.claims.errors import error_difference, error_gap, error_ratio
from analysis.inference import suspects
from analysis.inference.evidence import Evidence
from analysis.results.schemas import DERIVED_TABLES
from tests.inference.simulated import World, evidence

MISLABELLED = 30


@pytest.fixture(scope="module")
def data() -> Evidence:
    """Images of 8 that are labelled 3, which every repeat reads as 8 with confidence."""
    clean = evidence(World(sure=0.0), groups=600, repeats=3, resamples=100, seed=5)
    predicted = clean.predicted.copy()
    confidence = np.where(clean.wrong, 0.5, 0.95)
    moved = np.flatnonzero(clean.label == 3)[:MISLABELLED]
    predicted[:, moved], confidence[:, moved] = 8, 0.99
    index = np.arange(len(clean.label)) * 2
    return replace(clean, predicted=predicted, confidence=confidence, index=index)


def test_what_all_repeats_read_alike_with_confidence_is_suspected(data: Evidence) -> None:
    moved = np.flatnonzero(data.label == 3)[:MISLABELLED]
    table = suspects.table(data)
    DERIVED_TABLES["suspects"].validate(table)
    assert set(table["label"]) == {"3"} and set(table["predicted"]) == {"8"}
    assert table["index"].tolist() == (2 * moved).tolist()
    assert np.allclose(table["confidence"], 0.99)
    # One repeat that is unsure, or reads another class.
    confidence, predicted = data.confidence.copy(), data.predicted.copy()
    confidence[1, moved[0]], predicted[2, moved[1]] = 0.89, 7
    chosen = suspects.suspects(replace(data, confidence=confidence, predicted=predicted))
    assert np.flatnonzero(chosen).tolist() == moved[2:].tolist()


def test_two_repeats_are_not_enough(data: Evidence) -> None:
    two = replace(data, predicted=data.predicted[:2], confidence=data.confidence[:2])
    table = suspects.table(two)
    DERIVED_TABLES["suspects"].validate(table)
    assert table.empty


def test_claims_are_reported_without_suspects_and_without_other_errors(data: Evidence) -> None:
    kept = np.setdiff1d(np.arange(len(data.label)), np.flatnonzero(data.label == 3)[:MISLABELLED])
    error, label = data.wrong.mean(axis=0)[kept], data.label[kept]
    found = error_ratio(data, classes=("8", "9"))
    shown = {(one.kind, one.part): one.value for one in found.reported}
    expected = error[label == 8].mean() / error[label < 8].mean()
    assert shown["without suspects", "8"] == pytest.approx(expected)
    # The error of 3 falls, and that of the others with it; without random errors it falls less.
    assert found.parts["8"][0] < shown["without suspects", "8"]
    assert shown["without random errors", "8"] < shown["without suspects", "8"]
    difference = error_difference(data, classes=("0",)).reported[0].value
    expected = error[label == 0].mean() - error[label > 0].mean()
    assert difference == pytest.approx(expected, abs=1e-6)
    unsure = replace(data, confidence=np.full(data.predicted.shape, 0.5))
    assert not any("without" in one.kind for one in error_gap(unsure, splits=5).reported)
