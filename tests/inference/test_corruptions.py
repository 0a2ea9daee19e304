"""Accuracy and confidence on corrupted images against pandas and plain resampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.inference import corruptions, evidence
from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Tables
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.schemas import CORRUPTIONS
from tests.inference import stored

CLASSES = ("a", "b", "c")
LEVEL, RESAMPLES = 0.9, 200
STRENGTHS = {"noise": [0.1, 0.2], "contrast": [0.8, 0.2]}
Frames = tuple[Tables, evidence.Evidence, pd.DataFrame]


def corrupted(run: dict[str, pd.DataFrame], generator: np.random.Generator) -> pd.DataFrame:
    """Return made-up predictions for images of two in three groups, many of them errors."""
    rows = run["predictions"][run["predictions"]["group"] % 3 > 0]
    parts = []
    for name, strengths in STRENGTHS.items():
        for place, strength in enumerate(strengths):
            wrong = generator.random(len(rows)) < 0.2 + 0.3 * place
            found = rows[["index", "label"]].assign(
                corruption=name,
                strength=float(strength),
                predicted=np.where(wrong, (rows["label"] + 1) % 3, rows["label"]),
                confidence=generator.random(len(rows)).astype(np.float32),
            )
            parts.append(found)
    names = ["corruption", "strength", "index", "label", "predicted", "confidence"]
    return pd.concat(parts, ignore_index=True)[names]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    study = stored.study(corruptions={"sample": 30})
    content = stored.run_tables(study, images=240, classes=3)
    generator = np.random.default_rng(1)
    for run in content.values():
        run["corruptions"] = corrupted(run, generator)
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("results")
        opened = stored.store(folder, patch, study, content, CLASSES)
        tables = Tables(opened, opened.shown_repeats())
        found = evidence.of_study(tables, study, CLASSES, resamples=RESAMPLES)
    result = corruptions.tables(tables, found, level=LEVEL, resamples=RESAMPLES)
    DERIVED_TABLES["corruption_errors"].validate(result["corruption_errors"])
    return tables, found, result["corruption_errors"]


def test_every_strength_has_its_accuracy_and_its_median_confidence(frames: Frames) -> None:
    tables, _, table = frames
    rows = tables.frame("corruptions")
    for (name, strength), part in rows.groupby(["corruption", "strength"]):
        chosen = (table["corruption"] == name) & (table["strength"] == strength)
        (row,) = table[chosen].itertuples()
        assert row.value == pytest.approx((part["predicted"] == part["label"]).mean())
        assert row.confidence == pytest.approx(part["confidence"].median())
        assert row.images == part["index"].nunique()
        assert row.low <= row.value <= row.high
        assert row.low_confidence <= row.confidence <= row.high_confidence


def test_the_weakest_comes_first_after_the_images_as_they_are(frames: Frames) -> None:
    tables, _, table = frames
    strengths = table.groupby("corruption", sort=False)["strength"].apply(list).to_dict()
    assert strengths == {"noise": [0, 0.1, 0.2], "contrast": [0, 0.8, 0.2], "fgsm": [0, 0.015]}
    assert [name for name in strengths if name != "fgsm"] == [
        name for name in CORRUPTIONS if name in STRENGTHS
    ]
    # Clean images and FGSM are those of the sample alone.
    sample = tables.frame("corruptions")["index"].unique()
    for epsilon, rows in ((0, tables.frame("predictions")), (0.015, tables.frame("attacks"))):
        rows = rows if epsilon == 0 else rows.query("attack == 'fgsm' and epsilon == @epsilon")
        rows = rows[rows["index"].isin(sample)]
        (row,) = table.query("corruption == 'fgsm' and strength == @epsilon").itertuples()
        assert row.value == pytest.approx((rows["predicted"] == rows["label"]).mean())
        assert row.confidence == pytest.approx(rows["confidence"].median())


def test_intervals_are_those_of_groups_drawn_one_by_one(frames: Frames) -> None:
    tables, found, table = frames
    rows = tables.frame("corruptions").query("corruption == 'noise' and strength == 0.2")
    units = np.unique(found.group)
    accuracy, median = [], []
    for times in found.resamples.weights[1:].astype(int):
        group = found.group[np.searchsorted(tables.index, rows["index"])]
        drawn = rows.loc[rows.index.repeat(times[np.searchsorted(units, group)])]
        accuracy.append((drawn["predicted"] == drawn["label"]).mean())
        median.append(drawn["confidence"].median())
    (row,) = table.query("corruption == 'noise' and strength == 0.2").itertuples()
    for ends, drawn in (
        ((row.low, row.high), accuracy),
        ((row.low_confidence, row.high_confidence), median),
    ):
        assert ends == pytest.approx(tuple(np.quantile(drawn, [0.05, 0.95])), abs=1e-6)


def test_a_resample_without_an_image_has_no_median() -> None:
    resamples = Resamples(np.arange(3), 400, 0)
    found = corruptions.medians(resamples, np.array([[0.25], [0.75]]), np.array([1]))
    drawn = resamples.weights[:, 1] > 0
    assert found[drawn] == pytest.approx(np.full(drawn.sum(), 0.5))
    assert np.isnan(found[~drawn]).all() and (~drawn).any()


def test_without_corruptions_there_is_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = stored.study()
    content = stored.run_tables(study, images=120, classes=3)
    opened = stored.store(tmp_path, monkeypatch, study, content, CLASSES)
    tables = Tables(opened, opened.shown_repeats())
    found = evidence.of_study(tables, study, CLASSES, resamples=50)
    assert corruptions.tables(tables, found, level=LEVEL, resamples=50) == {}
