"""The committed results agree with their own predictions, and with the data if it is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from analysis import study
from analysis.images import divide, load
from analysis.inference.evidence import Tables
from analysis.results import store as stores
from analysis.results.schemas import ALL
from analysis.results.store import Store
from tests.conftest import data_file


@pytest.fixture(scope="module", params=["demo", "svhn-subset"])
def opened(request: pytest.FixtureRequest) -> Store:
    return Store.open(study.load(request.param))


def test_estimates_follow_from_the_predictions(opened: Store) -> None:
    derived = stores.derived(opened.study.name)
    rows = Tables(opened, opened.shown_repeats()).frame("predictions")
    pairs = [(each["label"], each["predicted"]) for _, each in rows.groupby("repeat")]
    table = derived.table("estimates").query(
        "source == 'study' and quantity == 'accuracy' and attack == 'none'"
    )
    values = table.set_index("class")["value"]
    overall = np.mean([accuracy_score(*pair) for pair in pairs])
    by_class = np.mean([recall_score(*pair, average=None) for pair in pairs], axis=0)
    assert values[ALL] == pytest.approx(overall, abs=1e-9)
    np.testing.assert_allclose(values[list(derived.record.classes)], by_class, atol=1e-9)
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert set(table["repeats"]) == {len(pairs)}
    runs = derived.table("runs").set_index("run")["accuracy"]
    for run, each in rows.groupby("run"):
        assert runs[run] == pytest.approx(accuracy_score(each["label"], each["predicted"]))


def test_networks_learned_and_random_signs_do_less_than_fgsm(opened: Store) -> None:
    for run in opened.runs:
        loss = opened.read(run, "history")["train_loss"]
        assert loss.iloc[-1] < 0.5 * loss.iloc[0]
    table = stores.derived(opened.study.name).table("estimates")
    table = table[(table["quantity"] == "accuracy") & (table["class"] == ALL)]
    under = table[table["epsilon"] == max(opened.study.attacks.epsilons)]
    under = under[under["source"] == "study"].set_index("attack")["value"]
    assert under["fgsm"] < under["random-sign"]


def test_labels_groups_and_folds_are_those_of_the_data(opened: Store) -> None:
    folder = Path()
    if opened.study.images.source == "svhn-subset":
        folder = data_file("svhn_subset.npz").parent
    images = load(opened.study, folder)
    for run in opened.study.runs:
        record = opened.runs[run.name]
        assert record.images == images.digest() and record.classes == images.classes
        _, evaluated = divide(opened.study, run, images)
        rows = opened.read(run.name, "predictions")
        np.testing.assert_array_equal(rows["index"], images.index[evaluated])
        np.testing.assert_array_equal(rows["label"], images.labels[evaluated])
        np.testing.assert_array_equal(rows["group"], images.group[evaluated])
