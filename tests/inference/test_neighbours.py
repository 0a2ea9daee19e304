"""Errors that read a neighbour, on made-up house numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.inference import neighbours
from analysis.inference.attributes import places
from analysis.inference.evidence import Evidence
from analysis.results.derived_schemas import DERIVED_TABLES
from tests.inference.simulated import World
from tests.inference.simulated import evidence as made_up


def numbers(seed: int, read: float) -> Evidence:
    """Return evidence in which this share of the errors reads the image before, if it can."""
    clean = made_up(World(error=np.full(10, 0.2)), groups=3000, repeats=2, resamples=200, seed=seed)
    index = np.arange(len(clean.label))
    before = np.where(np.r_[True, clean.group[1:] != clean.group[:-1]], -1, index - 1)
    other = (before >= 0) & (clean.label[before] != clean.label)
    taken = clean.wrong & other
    taken &= np.random.default_rng(seed).random(clean.wrong.shape) < read
    predicted = np.where(taken, clean.label[before], clean.predicted)
    return replace(clean, predicted=predicted, attributes=places(clean.group, index), sequence=True)


def test_the_share_is_what_counting_gives() -> None:
    data = numbers(seed=3, read=0.3)
    table = neighbours.table(data, level=0.95)
    DERIVED_TABLES["neighbours"].validate(table)
    errors = hits = 0
    for image, label in enumerate(data.label):
        near = [
            data.label[other]
            for other in (image - 1, image + 1)
            if 0 <= other < len(data.label) and data.group[other] == data.group[image]
        ]
        if all(one == label for one in near):
            continue
        for predicted in data.predicted[:, image]:
            errors += predicted != label
            hits += predicted != label and predicted in near
    row = table.iloc[0]
    assert row["errors"] == errors and row["share"] == pytest.approx(hits / errors)
    assert row["low"] < row["share"] < row["high"] and row["chance_high"] < row["low"]


def test_by_chance_nothing_is_read_more_often() -> None:
    row = neighbours.table(numbers(seed=4, read=0.0), level=0.95).iloc[0]
    assert row["chance_low"] < row["share"] < row["chance_high"]
    # Most have one neighbour, and an error falls on each other class alike: a little above 1 in 9.
    assert 1 / 9 < row["chance"] < 1.6 / 9


def test_without_an_order_or_an_error_there_is_no_row() -> None:
    data = numbers(seed=5, read=0.0)
    right = replace(data, predicted=np.stack([data.label, data.label]))
    for each in (replace(data, sequence=False), right):
        table = neighbours.table(each, level=0.95)
        DERIVED_TABLES["neighbours"].validate(table)
        assert table.empty
