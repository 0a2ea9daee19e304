"""The committed results: whole, of the study files here, and true to their own predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, recall_score

from analysis import paths, results, state, study
from analysis.datasets import svhn_subset
from analysis.results import Results
from analysis.split import divide
from tests.conftest import data_file
from tests.stored_files import expected_files, vouched_files

STUDIES = ("demo", "svhn-subset")


def committed(name: str) -> Results:
    """Return the committed results of a study, or skip the test where there are none yet."""
    folder = paths.ROOT / "build" / "results" / name
    if not (folder / results.MANIFEST).is_file():
        pytest.skip(f"there are no committed results of {name} yet")
    return results.load(name, folder=folder)


@pytest.fixture(scope="module", params=STUDIES)
def stored(request: pytest.FixtureRequest) -> Results:
    return committed(request.param)


@pytest.fixture(scope="module")
def demo() -> Results:
    return committed("demo")


@pytest.fixture(scope="module")
def subset() -> Results:
    return committed("svhn-subset")


# ------------------------------------------------------------------------------ every study


def test_every_file_agrees_with_the_manifest_and_its_schema(stored: Results) -> None:
    assert vouched_files(stored) == expected_files(stored.study, stored.manifest.runs)


def test_the_results_are_of_the_study_file_here(stored: Results) -> None:
    assert stored.study == study.load(stored.study.name)


def test_whatever_is_there_is_current(stored: Results) -> None:
    found = [run for run in state.states(stored.study, stored) if run.training != "missing"]
    assert [run.run.name for run in found] == list(stored.manifest.runs)
    assert [run.run.name for run in found if not run.done] == []
    assert state.estimates_state(stored.study, stored) == "done"
    assert state.claims_state(stored.study, stored) == "done"


def test_predictions_follow_from_their_logits(stored: Results) -> None:
    table = stored.table("predictions")
    logits = table[[f"logit_{digit}" for digit in range(10)]].to_numpy(float)
    np.testing.assert_array_equal(logits.argmax(axis=1), table["predicted"])
    largest = softmax(logits, axis=1).max(axis=1)
    np.testing.assert_allclose(largest, table["confidence"], atol=1e-5)


def test_every_analysis_is_of_the_same_images(stored: Results) -> None:
    columns = ["run", "index", "label", "predicted"]
    clean = stored.table("predictions")[columns].sort_values(["run", "index"], ignore_index=True)
    attacks = stored.table("attacks")
    assert attacks["epsilon"].drop_duplicates().tolist() == list(stored.study.attack.epsilons)
    for _, rows in attacks.groupby(["attack", "epsilon"]):
        rows = rows.sort_values(["run", "index"], ignore_index=True)
        pd.testing.assert_frame_equal(rows[columns[:3]], clean[columns[:3]])
        if rows["epsilon"].iloc[0] == 0:
            pd.testing.assert_frame_equal(rows[columns], clean)
    saliency = stored.table("saliency")
    assert tuple(saliency["layer"].drop_duplicates()) == stored.study.saliency.layers
    for _, rows in saliency.groupby("layer"):
        rows = rows.sort_values(["run", "index"], ignore_index=True)
        pd.testing.assert_frame_equal(rows[columns[:3]], clean[columns[:3]])
        # Another pass over the same images: ties may fall otherwise, and nothing else.
        assert (rows["predicted"] == clean["predicted"]).mean() > 0.999
        assert ((rows["label"] == rows["predicted"]) == rows["correct"]).all()


def test_estimates_are_those_of_the_predictions(stored: Results) -> None:
    predictions = stored.table("predictions")
    repeats = stored.complete_repeats()
    pooled = [predictions[predictions["run"].isin(runs)] for runs in repeats.values()]
    labels_and_predicted = [(rows["label"], rows["predicted"]) for rows in pooled]
    overall = np.mean([accuracy_score(*pair) for pair in labels_and_predicted])
    by_digit = np.mean([recall_score(*pair, average=None) for pair in labels_and_predicted], axis=0)
    estimates = stored.table("estimates").query("quantity == 'accuracy' and attack == 'none'")
    estimates = estimates.set_index("group")
    assert estimates.loc["all", "value"] == pytest.approx(overall, abs=1e-9)
    digits = [str(digit) for digit in range(10)]
    np.testing.assert_allclose(estimates.loc[digits, "value"], by_digit, atol=1e-9)
    assert (estimates["low"] <= estimates["value"]).all()
    assert (estimates["value"] <= estimates["high"]).all()
    assert set(estimates["repeats"]) == {len(repeats)}


def test_networks_learned(stored: Results) -> None:
    history = stored.table("history")
    for _, rows in history.groupby("run"):
        assert rows["epoch"].tolist() == list(range(1, stored.study.training.epochs + 1))
        assert rows["train_loss"].iloc[-1] < 0.5 * rows["train_loss"].iloc[0]


def test_random_signs_do_less_than_the_gradient_s(stored: Results) -> None:
    # Not a finding, but a check that the two were not mixed up.
    estimates = stored.table("estimates").query("quantity == 'accuracy' and group == 'all'")
    largest = max(stored.study.attack.epsilons)
    under = estimates[estimates["epsilon"] == largest].set_index("attack")["value"]
    assert under["fgsm"] < under["random-sign"]


# ------------------------------------------------------------------------------ the demo


def test_the_demo_is_complete_and_its_networks_are_neither_poor_nor_perfect(demo: Results) -> None:
    assert all(run.done for run in state.states(demo.study, demo))
    assert len(demo.manifest.runs) == 2
    predictions = demo.table("predictions")
    for _, rows in predictions.groupby("run"):
        assert len(rows) == demo.study.data.test
        assert 0.80 <= accuracy_score(rows["label"], rows["predicted"]) <= 0.98


# ------------------------------------------------------------------------------ svhn-subset


def test_every_test_digit_is_predicted_once_in_a_repeat(subset: Results) -> None:
    repeats = subset.complete_repeats()
    assert repeats, "not one repeat is complete"
    predictions = subset.table("predictions")
    assert set(predictions["split"]) == {"test"}
    for runs in repeats.values():
        rows = predictions[predictions["run"].isin(runs)]
        assert sorted(rows["index"]) == list(range(10_000))
        # Digits of one photo share pixels, so they are never on both sides of a fold.
        assert (rows.groupby("photo")["run"].nunique() == 1).all()


def test_the_network_is_the_original_s_at_the_original_s_size(subset: Results) -> None:
    assert (subset.study.model.name, subset.study.model.size) == ("resnet18", 128)


def test_every_complete_repeat_reads_street_digits_well(subset: Results) -> None:
    predictions = subset.table("predictions")
    for runs in subset.complete_repeats().values():
        rows = predictions[predictions["run"].isin(runs)]
        assert accuracy_score(rows["label"], rows["predicted"]) >= 0.93


def test_labels_and_photos_are_the_data_set_s(subset: Results) -> None:
    images = svhn_subset.load(data_file(svhn_subset.FILE).parent)
    assert images.digest() == subset.manifest.data_digest
    test = images.positions("test")
    official = pd.DataFrame({"label": images.labels[test], "photo": images.photo[test]})
    for name, rows in subset.table("predictions").groupby("run"):
        expected = official.loc[rows["index"]]
        np.testing.assert_array_equal(rows["label"], expected["label"])
        np.testing.assert_array_equal(rows["photo"], expected["photo"])
        run = next(run for run in subset.study.runs if run.name == name)
        _, evaluated = divide(subset.study, run, images)
        np.testing.assert_array_equal(rows["index"], images.index[evaluated])
