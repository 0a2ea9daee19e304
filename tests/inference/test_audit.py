"""What readers saw, as tables and as corrected labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.inference import audit
from analysis.inference.evidence import Evidence
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.readings import UNREADABLE, UNSEEN
from tests.inference.simulated import World
from tests.inference.simulated import evidence as made_up

# What two readers see on the first eight images, whose labels are 0 and whose predictions are 1.
ANNA = [0, 0, 1, 1, 2, 2, UNREADABLE, UNREADABLE]
BERT = [0, 1, 1, 0, 2, 1, UNREADABLE, 0]


@pytest.fixture(scope="module")
def data() -> Evidence:
    clean = made_up(World(), groups=100, repeats=3, resamples=50, seed=0)
    label, predicted = clean.label.copy(), clean.predicted.copy()
    label[:8], predicted[:, :8] = 0, 1
    confidence = np.where(np.arange(len(label)) < 4, 0.95, 0.5) * np.ones((3, 1))
    readings = {}
    for name, seen in (("anna", ANNA), ("bert", BERT)):
        readings[name] = np.full(len(label), UNSEEN)
        readings[name][:8] = seen
    return replace(
        clean, label=label, predicted=predicted, confidence=confidence, readings=readings
    )


def test_each_image_with_what_the_readers_agree_on(data: Evidence) -> None:
    table = audit.tables(data)["audit"]
    DERIVED_TABLES["audit"].validate(table)
    assert table["index"].tolist() == list(range(8))
    assert table["rule"].tolist() == ["confident"] * 4 + ["control"] * 4
    assert table["readings"].tolist()[5:] == ["2|1", "unreadable|unreadable", "unreadable|0"]
    none = "no agreement"
    expected = ["label", none, "prediction", none, "other", none, "unreadable", none]
    assert table["agreed"].tolist() == expected


def test_agreement_by_hand(data: Evidence) -> None:
    table = audit.tables(data)["agreement"].set_index("kind")
    DERIVED_TABLES["agreement"].validate(
        table.reset_index()[["readers", "kind", *table.columns[1:]]]
    )
    assert set(table["readers"]) == {"anna and bert"} and table["images"].tolist() == [8, 4]
    assert table["share"].tolist() == [0.5, 0.5]
    # By chance: anna saw 0, 1, 2 and nothing twice each; bert 0 and 1 thrice, the others once.
    chance = (2 * 3 + 2 * 3 + 2 * 1 + 2 * 1) / 64
    assert table.loc["all", "kappa"] == pytest.approx((0.5 - chance) / (1 - chance))
    assert table.loc["suspects", "kappa"] == pytest.approx(0)


def test_labels_change_where_all_readers_agree(data: Evidence) -> None:
    found = audit.audited(data)
    assert len(found.label) == len(data.label) - 1
    assert found.label[:7].tolist() == [0, 0, 1, 0, 2, 0, 0]
    assert 6 not in found.index and found.index[:7].tolist() == [0, 1, 2, 3, 4, 5, 7]
    assert np.array_equal(found.label[7:], data.label[8:])
    # What was wrong is right, in every repeat and resample.
    assert data.wrong[:, 2].all() and not found.wrong[:, 2].any()
    kept = np.arange(len(data.label)) != 6
    assert np.array_equal(found.predicted, data.predicted[:, kept])
    for key, each in found.attacked.items():
        assert np.array_equal(each.predicted, data.attacked[key].predicted[:, kept])
    weights = data.resamples.of_images(np.flatnonzero(kept), slice(None))
    expected = (weights * (1 - found.wrong.mean(axis=0))).sum(axis=1) / weights.sum(axis=1)
    np.testing.assert_allclose(found.accuracy(), expected, rtol=1e-5)


def test_one_reader_counts_as_all(data: Evidence) -> None:
    alone = replace(data, readings={"anna": data.readings["anna"]})
    assert audit.audited(alone).label[:6].tolist() == ANNA[:6]
    assert len(audit.audited(alone).label) == len(data.label) - 2
    assert audit.tables(alone)["agreement"].empty
    assert set(audit.tables(alone)["audit"]["agreed"]) == {
        "label",
        "prediction",
        "other",
        "unreadable",
    }


def test_nobody_has_looked(data: Evidence) -> None:
    nobody = replace(data, readings={})
    assert audit.audited(nobody) is nobody
    for name, table in audit.tables(nobody).items():
        DERIVED_TABLES[name].validate(table)
        assert table.empty


def test_readers_who_saw_one_class_alone_have_no_kappa(data: Evidence) -> None:
    same = {name: np.where(seen == UNSEEN, UNSEEN, 3) for name, seen in data.readings.items()}
    table = audit.tables(replace(data, readings=same))["agreement"]
    DERIVED_TABLES["agreement"].validate(table)
    assert table["share"].tolist() == [1, 1] and table["kappa"].isna().all()
