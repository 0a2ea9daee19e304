"""Candidates for a wrong label, on made-up evidence in which some labels are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis import label_noise
from analysis.claims.errors import easy_digits, hard_digits, uneven
from analysis.evidence import Evidence
from analysis.tables import SCHEMAS
from tests.simulated import World, evidence

MISLABELLED = 30


@pytest.fixture(scope="module")
def data() -> Evidence:
    """Images of 8 that are labelled 3, which every repeat sees, and surely."""
    clean = evidence(World(sure=0.0), photos=600, repeats=3, resamples=100, seed=5)
    label, predicted = clean.label.copy(), clean.predicted.copy()
    confidence = np.where(clean.wrong, 0.5, 0.95)
    moved = np.flatnonzero(label == 3)[:MISLABELLED]
    predicted[:, moved] = 8
    confidence[:, moved] = 0.99
    index = np.arange(len(label)) * 2
    return replace(clean, predicted=predicted, confidence=confidence, index=index)


def test_what_all_repeats_see_surely_is_a_candidate(data: Evidence) -> None:
    table = label_noise.table(data)
    SCHEMAS["suspects"].validate(table)
    assert len(table) == MISLABELLED
    assert set(table["label"]) == {3} and set(table["predicted"]) == {8}
    assert table["index"].tolist() == (2 * np.flatnonzero(data.label == 3)[:MISLABELLED]).tolist()
    assert np.allclose(table["confidence"], 0.99)


def test_one_unsure_or_differing_repeat_makes_no_candidate(data: Evidence) -> None:
    first, second = np.flatnonzero(data.label == 3)[:2]
    confidence, predicted = data.confidence.copy(), data.predicted.copy()
    confidence[1, first], predicted[2, second] = 0.89, 7
    chosen = label_noise.candidates(replace(data, confidence=confidence, predicted=predicted))
    assert not chosen[first] and not chosen[second]
    assert chosen.sum() == MISLABELLED - 2


def test_two_repeats_are_not_enough(data: Evidence) -> None:
    two = replace(data, predicted=data.predicted[:2], confidence=data.confidence[:2])
    assert not label_noise.candidates(two).any()
    assert label_noise.table(two).empty


def test_leaving_candidates_out_is_shown_beside_leaving_out_others(data: Evidence) -> None:
    beside = {one.name: one.value for one in easy_digits(data).beside}
    # The error of 3 falls, and with it that of the others that 0, 1 and 2 are set against.
    part = easy_digits(data).parts["digit 0"][0]
    assert beside["digit 0, without candidates for a wrong label"] > part
    assert "digit 0, without as many errors at random" in beside
    kept = np.setdiff1d(np.arange(len(data.label)), np.flatnonzero(data.label == 3)[:MISLABELLED])
    error = data.wrong.mean(axis=0)[kept]
    label = data.label[kept]
    expected = error[label == 8].mean() / error[label < 8].mean()
    shown = {one.name: one.value for one in hard_digits(data).beside}
    assert shown["digit 8, without candidates for a wrong label"] == pytest.approx(expected)


def test_without_candidates_nothing_is_left_out(data: Evidence) -> None:
    unsure = replace(data, confidence=np.full(data.predicted.shape, 0.5))
    assert not any("without" in one.name for one in uneven(unsure, splits=5).beside)
