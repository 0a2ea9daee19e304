"""Which single images are shown: the rules again, in plain loops."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from analysis.inference import pictures, suspects
from analysis.inference.evidence import Evidence
from analysis.results.image_schemas import IMAGE_TABLES
from analysis.results.schemas import FGSM, PAIR
from tests.inference.simulated import World, evidence

EPSILON = 0.015
RUNS = ("r0f0", "r0f1", "r1f0", "r1f1", "r2f0", "r2f1")


@pytest.fixture(scope="module")
def found() -> Evidence:
    """Three repeats of two folds, with confidences that all differ and two attributes."""
    made = evidence(World(np.full(5, 0.2)), groups=400, repeats=3, resamples=10, seed=3)
    draw = np.random.default_rng(1)
    count = len(made.label)
    attacked = made.attacked[FGSM, EPSILON]
    assert attacked.confidence is not None
    sure = draw.uniform(0.2, 1, attacked.confidence.shape)
    error = made.wrong.mean(axis=0)
    worst = np.where(draw.random(count) < 0.2 + 0.6 * error, "hard", "easy")
    rare = np.where(np.arange(count) % 50 == 0, "rare", "usual")
    # All wrong, but too few, and what is not known is no slice.
    rare[np.flatnonzero(error == 1)[:20]] = "rare"
    return replace(
        made,
        confidence=draw.uniform(0.2, 1, made.predicted.shape),
        network=2 * np.arange(3)[:, None] + made.group % 2,
        attacked={(FGSM, EPSILON): replace(attacked, confidence=sure)},
        attributes={"rarity": rare, "kind": worst, "none": np.full(count, "unknown")},
        index=np.arange(count) + 1000,
    )


@pytest.fixture(scope="module")
def chosen(found: Evidence) -> pd.DataFrame:
    return pictures.choose(found, runs=RUNS, epsilon=EPSILON)


def of(chosen: pd.DataFrame, group: str) -> pd.DataFrame:
    return chosen[chosen["group"] == group]


def middle(values: list[float]) -> list[float]:
    """Return values with the median first and the extremes last."""
    ordered = sorted(values)
    between = (len(ordered) - 1) / 2
    return sorted(ordered, key=lambda value: (abs(ordered.index(value) - between), value))


def test_the_table_has_its_schema_and_an_image_is_shown_once(chosen: pd.DataFrame) -> None:
    IMAGE_TABLES["pictures"].validate(chosen)
    paper = chosen[chosen["group"] != PAIR]
    assert not paper["index"].duplicated().any()
    counts = chosen["group"].value_counts(sort=False).to_dict()
    # No label of this made-up study is suspected.
    assert counts == {"example": 4, "confusion": 12, "slice": 6, "pair": 12}
    # Under 50, so that they are thumbnails and not a data set.
    assert len(chosen) < 50
    for _, rows in chosen.groupby("group"):
        assert rows["place"].tolist() == list(range(len(rows)))


def test_examples_are_the_median_flips_of_the_classes_with_most(
    found: Evidence, chosen: pd.DataFrame
) -> None:
    attacked = found.attacked[FGSM, EPSILON]
    flips: dict[int, list[float]] = {}
    for image, label in enumerate(found.label):
        first = found.group[image] % 2 == 0
        if first and found.predicted[0, image] == label != attacked.predicted[0, image]:
            flips.setdefault(label, []).append(attacked.confidence[0, image])
    most = sorted(flips, key=lambda label: (-len(flips[label]), label))[:4]
    rows = of(chosen, "example")
    assert rows["label"].tolist() == [str(label) for label in sorted(most)]
    assert set(rows["run"]) == {"r0f0"} and (rows["label"] == rows["predicted"]).all()
    assert rows["attacked_confidence"].tolist() == [middle(flips[n])[0] for n in sorted(most)]
    assert (rows["attacked_predicted"] != rows["label"]).all()


def test_confusions_are_the_commonest_with_median_confidence(
    found: Evidence, chosen: pd.DataFrame
) -> None:
    errors = [(r, n) for r, n in zip(*np.nonzero(found.wrong), strict=True)]
    pairs = Counter((found.label[n], found.predicted[r, n]) for r, n in errors)
    shown = set(of(chosen, "example")["index"])
    expected = []
    for pair in sorted(pairs, key=lambda pair: (-pairs[pair], pair))[:6]:
        # An image that several repeats confuse alike counts with the first of them.
        sure = {}
        for r, n in errors:
            if (found.label[n], found.predicted[r, n]) == pair:
                sure.setdefault(n, (found.confidence[r, n], RUNS[found.network[r, n]]))
        place = {value: (n, run) for n, (value, run) in sure.items()}
        ordered = [
            (place[value][0] + 1000, place[value][1], value) for value in middle(list(place))
        ]
        new = [each for each in ordered if each[0] not in shown][:2]
        shown |= {index for index, *_ in new}
        expected += new
    rows = of(chosen, "confusion")
    assert list(rows[["index", "run", "confidence"]].itertuples(index=False, name=None)) == expected


def test_suspects_are_quoted_for_all_networks(found: Evidence) -> None:
    # Every repeat takes these for the class 4, with confidence.
    images = np.flatnonzero(found.label == 0)[:20]
    predicted, confidence = found.predicted.copy(), found.confidence.copy()
    predicted[:, images], confidence[:, images] = 4, np.array([[0.99], [0.93], [0.95]])
    sure = replace(found, predicted=predicted, confidence=confidence)
    assert set(images) <= set(np.flatnonzero(suspects.suspects(sure)))
    rows = of(pictures.choose(sure, runs=RUNS, epsilon=EPSILON), "suspect")
    known = rows[rows["index"].isin(images + 1000)]
    assert len(rows) == 8 and len(known) > 0
    assert set(known["predicted"]) == {"4"} and set(known["confidence"]) == {0.93}
    assert set(rows["run"]) == {""}


def test_errors_are_of_the_worst_slice_that_is_large_enough(
    found: Evidence, chosen: pd.DataFrame
) -> None:
    rows = of(chosen, "slice")
    assert set(rows["slice"]) == {"kind: hard"} and set(of(chosen, "pair")["slice"]) == {""}
    positions = rows["index"] - 1000
    assert set(found.attributes["kind"][positions]) == {"hard"}
    assert (rows["label"] != rows["predicted"]).all()


def test_pairs_are_random_and_the_same_every_time(found: Evidence, chosen: pd.DataFrame) -> None:
    again = pictures.choose(found, runs=RUNS, epsilon=EPSILON)
    pd.testing.assert_frame_equal(again, chosen)
    sides, indices = [], []
    for seed in range(60):
        pairs = of(pictures.choose(replace(found, seed=seed), runs=RUNS, epsilon=EPSILON), PAIR)
        sides += pairs["side"].tolist()
        indices += pairs["index"].tolist()
    assert np.mean(np.array(sides) == "left") == pytest.approx(0.5, abs=0.06)
    # Right ones and wrong ones alike, all of the first network.
    images = np.array(indices) - 1000
    assert (found.group[images] % 2 == 0).all()
    error = found.wrong[0][found.group % 2 == 0].mean()
    assert found.wrong[0][images].mean() == pytest.approx(error, abs=0.06)


def test_what_a_study_has_not_measured_has_no_picture(found: Evidence) -> None:
    rows = pictures.choose(replace(found, attacked={}, attributes={}), runs=RUNS, epsilon=None)
    assert set(rows["group"]) <= {"confusion", "suspect"}
    right = replace(found, predicted=np.tile(found.label, (3, 1)))
    rows = pictures.choose(right, runs=RUNS, epsilon=EPSILON)
    assert set(rows["group"]) == {"example", "pair"}
    alone = replace(found, alone=True)
    assert pictures.tables(alone, runs=RUNS, level=0.95, epsilon=None) == {}


def test_the_intervals_of_all_scores_are_in_a_table(found: Evidence) -> None:
    rows = pictures.tables(found, runs=RUNS, level=0.95, epsilon=EPSILON)["guesses"]
    IMAGE_TABLES["guesses"].validate(rows)
    twelve = rows[rows["pairs"] == 12]
    assert twelve["right"].tolist() == list(range(13))
    assert all(one < other for one, other in pairwise(twelve["low"]))
