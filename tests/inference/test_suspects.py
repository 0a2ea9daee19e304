"""Suspected wrong labels, on made-up evidence in which some labels are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from analysis.inference import suspects
from analysis.inference.attributes import places
from analysis.inference.evidence import Evidence
from analysis.results.derived_schemas import DERIVED_TABLES
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


def test_labels_in_another_order_are_suspected() -> None:
    label = np.array([1, 2, 3, 4, 5, 6, 7, 7, 8, 1, 9])
    group = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 4])
    # 123 read as 321 twice; 45 as 54 once; 6 as 9; 778 as 787 and 877; 19 as 91 and 99.
    predicted = np.array(
        [
            [3, 2, 1, 5, 4, 9, 7, 8, 7, 9, 1],
            [3, 2, 1, 4, 5, 9, 8, 7, 7, 9, 9],
            [1, 2, 3, 4, 5, 9, 7, 7, 8, 1, 9],
        ]
    )
    plain = evidence(World(), groups=5, repeats=1, resamples=0, seed=0)
    data = replace(
        plain,
        label=label,
        group=group,
        predicted=predicted,
        confidence=np.full(predicted.shape, 0.95),
        index=np.arange(11),
        attributes=places(group, np.arange(11)),
        sequence=True,
    )
    assert np.flatnonzero(suspects.by_rule(data)["permuted"]).tolist() == [0, 2, 8]
    table = suspects.table(data)
    DERIVED_TABLES["suspects"].validate(table)
    assert table["rule"].tolist() == ["permuted", "permuted", "confident", "permuted"]
    assert table["index"].tolist() == [0, 2, 5, 8]
    assert table["predicted"].tolist() == ["3", "1", "9", "7"]
    assert np.flatnonzero(suspects.suspects(data)).tolist() == [0, 2, 5, 8]
    # Without an order there is nothing to be out of.
    assert suspects.table(replace(data, sequence=False))["index"].tolist() == [5]
    # Both rules: every repeat reads 123 as 321.
    every = np.repeat(predicted[:1], 3, axis=0)
    rules = suspects.table(replace(data, predicted=every)).set_index("index")["rule"]
    assert rules[0] == rules[2] == "both"


def test_two_repeats_are_not_enough(data: Evidence) -> None:
    two = replace(data, predicted=data.predicted[:2], confidence=data.confidence[:2])
    table = suspects.table(two)
    DERIVED_TABLES["suspects"].validate(table)
    assert table.empty


def test_one_network_suspects_what_it_is_surer_of_than_of_that_label(data: Evidence) -> None:
    generator = np.random.default_rng(3)
    count = len(data.label)
    logits = generator.normal(size=(1, count, 10)).astype(np.float32)
    logits[0, np.arange(count), data.predicted[0]] += 3
    shares = softmax(logits[0].astype(float), axis=1)
    label = np.where(data.label == 4, 5, data.label)
    one = replace(
        data,
        label=label,
        predicted=logits.argmax(axis=2),
        logits=logits,
        confidence=shares.max(axis=1)[None],
    )
    mean = [shares[label == k, k].mean() if (label == k).any() else np.inf for k in range(10)]
    expected = [
        image
        for image, (own, best) in enumerate(zip(label, shares.argmax(axis=1), strict=True))
        if own != best and shares[image, best] >= mean[best]
    ]
    table = suspects.table(one)
    DERIVED_TABLES["suspects"].validate(table)
    assert table["index"].tolist() == one.index[expected].tolist() and expected
    assert set(table["rule"]) == {"one network"} and "4" not in set(table["predicted"])
    # Without them there would be no confident errors, so that is no other choice.
    assert not suspects.agreed(one).any()
