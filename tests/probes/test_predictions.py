"""Predictions, against plain logits and SciPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from analysis.images import Images
from analysis.networks.classifier import Classifier, build
from analysis.probes import PROBES, Subject
from analysis.project.errors import UserError
from analysis.results.schemas import RUN_TABLES
from tests.conftest import CPU, small_study

STUDY = small_study(corruptions={})


@pytest.fixture(scope="module")
def rows(learned: Classifier, digits: Images) -> pd.DataFrame:
    subject = Subject(STUDY, STUDY.runs[0], learned, digits, digits.positions("test"))
    return PROBES["predictions"](subject, {})["predictions"]


def test_rows_are_the_declared_ones_in_the_order_of_the_images(
    rows: pd.DataFrame, digits: Images, learned: Classifier
) -> None:
    """The other side gets its logits from the images, in one batch."""
    RUN_TABLES["predictions"].validate(rows)
    test = digits.positions("test")
    for column, expected in (("index", "index"), ("group", "group"), ("label", "labels")):
        assert np.array_equal(rows[column], getattr(digits, expected)[test])
    with torch.no_grad():
        logits = learned(torch.tensor(digits.pixels[test]).permute(0, 3, 1, 2) / 255).numpy()
    np.testing.assert_allclose(np.stack(rows["logits"]), logits, atol=1e-3)
    assert np.array_equal(rows["predicted"], logits.argmax(axis=1))
    np.testing.assert_allclose(rows["confidence"], softmax(logits, axis=1).max(axis=1), atol=1e-4)
    right = (rows["label"] == rows["predicted"]).mean()
    assert 0.8 < right < 1, "it has learned, and errs"


@pytest.mark.parametrize("classes", [2, 300])
def test_any_number_of_classes_and_any_shape(classes: int, digits: Images) -> None:
    names = tuple(f"class {number}" for number in range(classes))
    wide = replace(
        digits, classes=names, labels=digits.labels % classes, pixels=digits.pixels[:, 8:24]
    )
    network = build(STUDY.network, classes=classes, seed=0, device=CPU).eval()
    subject = Subject(STUDY, STUDY.runs[0], network, wide, wide.positions("test")[:5])
    rows = PROBES["predictions"](subject, {})["predictions"]
    RUN_TABLES["predictions"].validate(rows)
    assert {len(logits) for logits in rows["logits"]} == {classes}


@pytest.mark.parametrize("probe", PROBES)
def test_values_that_are_not_finite_are_an_error(
    rows: pd.DataFrame, digits: Images, probe: str
) -> None:
    network = build(STUDY.network, classes=10, seed=0, device=CPU).eval().requires_grad_(False)
    network.network.fc.weight[0, 0] = torch.inf
    subject = Subject(STUDY, STUDY.runs[0], network, digits, digits.positions("test")[:5])
    with pytest.raises(UserError, match=f"Run r0f0 of small gives .* not finite .* '{probe}'"):
        PROBES[probe](subject, {"predictions": rows[:5].assign(predicted=0)})
