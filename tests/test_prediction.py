"""Predictions and their batches, against scikit-learn and SciPy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import recall_score

from analysis import probes
from analysis.batches import batches
from analysis.datasets import ImageSet
from analysis.model import Classifier
from analysis.prediction import predict
from analysis.tables import SCHEMAS
from tests.conftest import CPU, small_study

LOGITS = [f"logit_{digit}" for digit in range(10)]


@pytest.fixture(scope="module")
def rows(learned: Classifier, digits: ImageSet) -> pd.DataFrame:
    study = small_study()
    subject = probes.Subject(study, study.runs[0], learned, digits, digits.positions("test"))
    return probes.predictions(subject, {})["predictions"]


def test_the_table_is_the_declared_one(rows: pd.DataFrame) -> None:
    SCHEMAS["predictions"].validate(rows)
    assert len(rows) == 130


def test_accuracy_by_class_is_scikit_learn_s_recall(
    rows: pd.DataFrame, learned: Classifier, digits: ImageSet
) -> None:
    """The other side gets its predictions from the images, in one batch."""
    test = digits.positions("test")
    pixels = torch.tensor(digits.images[test]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        chosen = learned(pixels).argmax(dim=1).numpy()
    expected = recall_score(digits.labels[test], chosen, average=None)
    found = (rows["label"] == rows["predicted"]).groupby(rows["label"]).mean()
    assert np.allclose(found, expected)
    assert 0.8 < expected.mean() < 1, "it has learned, and errs: the comparison says something"


def test_the_confidence_is_the_softmax_of_the_predicted_digit(rows: pd.DataFrame) -> None:
    shares = softmax(rows[LOGITS].to_numpy(float), axis=1)
    assert np.array_equal(rows["predicted"], shares.argmax(axis=1))
    assert np.allclose(rows["confidence"], shares.max(axis=1), atol=1e-6)
    assert rows["confidence"].between(0.1, 1).all()


def test_rows_stand_in_the_order_of_the_images(rows: pd.DataFrame, digits: ImageSet) -> None:
    test = digits.positions("test")
    for column in ("split", "index", "photo"):
        assert np.array_equal(rows[column], getattr(digits, column)[test])
    assert np.array_equal(rows["label"], digits.labels[test])


def test_the_size_of_a_batch_makes_no_difference(
    rows: pd.DataFrame, learned: Classifier, digits: ImageSet
) -> None:
    test = digits.positions("test")
    parts = [predict(learned, batch) for batch in batches(digits, test, device=CPU, size=17)]
    assert [len(part) for part in parts] == [17] * 7 + [11]
    other = pd.concat(parts, ignore_index=True)
    assert np.allclose(other[LOGITS], rows[LOGITS], atol=1e-4)
    assert np.array_equal(other["predicted"], rows["predicted"])


def test_predicting_leaves_no_graph_and_no_gradient(learned: Classifier, digits: ImageSet) -> None:
    batch = next(batches(digits, digits.positions("test"), device=CPU))
    predict(learned, batch)
    assert all(weight.grad is None for weight in learned.parameters())


def test_a_batch_holds_shares_of_the_levels(digits: ImageSet) -> None:
    positions = np.array([1000, 3, 7])
    (batch,) = batches(digits, positions, device=CPU)
    assert batch.pixels.shape == (3, 3, 32, 32)
    assert batch.pixels.dtype == torch.float32
    levels = digits.images[positions].transpose(0, 3, 1, 2)
    assert np.allclose(batch.pixels.numpy(), levels / 255)
    assert batch.labels.tolist() == digits.labels[positions].tolist()
    assert batch.split.tolist() == ["test", "train", "train"]
    assert batch.index.tolist() == [40, 3, 7]


def test_no_images_make_no_batch(digits: ImageSet) -> None:
    assert list(batches(digits, np.array([], dtype=int), device=CPU)) == []
