"""Estimates of made-up results, against scikit-learn, pandas and closed forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import accuracy_score, recall_score

from analysis import estimates, paths, published, results, statistics
from analysis.results import AnalysisEntry, Manifest, Results, RunEntry, TrainingEntry
from analysis.study import Study
from analysis.tables import SCHEMAS
from tests.conftest import data_file, small_study

IMAGES, REPEATS, FOLDS = 120, 2, 2
RUNS = [f"r{repeat}f{fold}" for repeat in range(REPEATS) for fold in range(FOLDS)]
KEYS = ["quantity", "attack", "epsilon", "layer", "group"]
PROVENANCE = {
    "digest": "0",
    "device": "none",
    "packages": {},
    "revision": None,
    "finished": "2025-01-01T00:00:00+00:00",
    "seconds": 1.0,
}
Tables = dict[str, dict[str, pd.DataFrame]]


@pytest.fixture(scope="module")
def study() -> Study:
    return small_study(
        split={"kind": "photo-folds", "folds": FOLDS, "repeats": REPEATS},
        bootstrap={"resamples": 400, "level": 0.9},
        seed=5,
    )


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Predictions, attacks and saliency of four runs, as chance has it, with holes."""
    generator = np.random.default_rng(0)
    photo = np.sort(generator.integers(0, 50, IMAGES)).astype(np.int32)
    label = generator.permutation(np.arange(IMAGES) % 10).astype(np.uint8)
    found: Tables = {}
    for repeat in range(REPEATS):
        side = generator.integers(0, FOLDS, 50)[photo]
        for fold in range(FOLDS):
            index = np.flatnonzero(side == fold).astype(np.int32)
            found[f"r{repeat}f{fold}"] = run_tables(index, photo[index], label[index], generator)
    return found


def run_tables(index, photo, label, generator) -> dict[str, pd.DataFrame]:
    identity = pd.DataFrame({"index": index, "label": label})
    predictions = identity.assign(
        split="test",
        photo=photo,
        predicted=wrong(label, 0.2, generator),
        confidence=confidence(index),
    ).assign(**{f"logit_{digit}": np.float32(0) for digit in range(10)})
    attacks = [
        identity.assign(
            attack=attack,
            epsilon=epsilon,
            predicted=wrong(label, 0.2 + 4 * epsilon, generator),
            confidence=confidence(index),
        )
        for attack in ("fgsm", "random-sign")
        for epsilon in (0.0, 0.1)
    ]
    saliency = []
    for layer, side in (("layer4.1", 4), ("layer3.1", 8)):
        values = generator.random((4, len(index))).astype(np.float32)
        values[:, generator.random(len(index)) < 0.15] = np.nan
        saliency.append(
            identity.assign(
                layer=layer,
                predicted=predictions["predicted"],
                correct=predictions["predicted"] == label,
                spread=values[0],
                area=values[1],
                offset=values[2],
                fragments=np.ceil(values[3] * 3) if side == 8 else np.float32(np.nan),
            )
        )
    found = {
        "predictions": predictions,
        "attacks": pd.concat(attacks, ignore_index=True),
        "saliency": pd.concat(saliency, ignore_index=True),
    }
    return {name: table[list(SCHEMAS[name].columns)] for name, table in found.items()}


def wrong(label: np.ndarray, share: float, generator) -> np.ndarray:
    """Return the label, or with the given chance the next digit."""
    return ((label + (generator.random(len(label)) < share)) % 10).astype(np.uint8)


def confidence(index: np.ndarray) -> np.ndarray:
    return np.full(len(index), 0.5, np.float32)


@pytest.fixture
def store(study: Study, tables: Tables, tmp_path: Path) -> Callable[..., Results]:
    """Write chosen runs into a results store."""

    def write(
        runs: list[str] = RUNS,
        *,
        without: dict[str, set[str]] | None = None,
        content: Tables = tables,
        of: Study = study,
    ) -> Results:
        entries = {}
        for run in of.runs:
            if run.name not in runs:
                continue
            analyses = {
                name: AnalysisEntry(
                    **PROVENANCE,
                    tables={name: results.write_table(tmp_path, name, table, run=run.name)},
                )
                for name, table in content[run.name].items()
                if name not in (without or {}).get(run.name, set())
            }
            history = pd.DataFrame(
                {"epoch": [1], "train_loss": [0.1], "learning_rate": [0.1], "seconds": [1.0]}
            ).astype({"epoch": "int32"})
            training = TrainingEntry(
                **PROVENANCE,
                weights_sha256="0",
                training_images=1,
                history=results.write_table(tmp_path, "history", history, run=run.name),
            )
            entries[run.name] = RunEntry(
                repeat=run.repeat,
                fold=run.fold,
                seed=run.seed,
                training=training,
                analyses=analyses,
            )
        manifest = Manifest(study=of, study_digest=of.digest(), data_digest="0", runs=entries)
        return Results(tmp_path, manifest)

    return write


@pytest.fixture
def table(store) -> pd.DataFrame:
    return estimates.estimate(store()).set_index(KEYS).sort_index()


def of_all(tables: Tables, name: str, runs: list[str] = RUNS) -> pd.DataFrame:
    parts = [tables[run][name].assign(repeat=int(run[1])) for run in runs]
    return pd.concat(parts, ignore_index=True)


# ------------------------------------------------------------------------------ accuracy


def test_the_table_is_the_declared_one(store) -> None:
    SCHEMAS["estimates"].validate(estimates.estimate(store()))


def test_accuracy_is_scikit_learn_s(table: pd.DataFrame, tables: Tables) -> None:
    rows = of_all(tables, "predictions")
    found = table.loc["accuracy", "none", 0.0, "none"]
    overall = accuracy_score(rows["label"], rows["predicted"])
    assert found.loc["all", "value"] == pytest.approx(overall)
    recall = recall_score(rows["label"], rows["predicted"], average=None)
    for digit in range(10):
        assert found.loc[str(digit), "value"] == pytest.approx(recall[digit])
        assert found.loc[str(digit), "images"] == 12
    assert found.loc["all", "images"] == IMAGES
    assert (found["repeats"] == REPEATS).all()


def test_the_spread_between_repeats_is_that_of_whole_repeats(
    table: pd.DataFrame, tables: Tables
) -> None:
    rows = of_all(tables, "predictions")
    right = (rows["label"] == rows["predicted"]).groupby(rows["repeat"]).mean()
    found = table.loc["accuracy", "none", 0.0, "none"]
    assert found.loc["all", "between_repeats"] == pytest.approx(right.std(ddof=1))
    eights = rows[rows["label"] == 8]
    right = (eights["label"] == eights["predicted"]).groupby(eights["repeat"]).mean()
    assert found.loc["8", "between_repeats"] == pytest.approx(right.std(ddof=1), abs=1e-9)


def test_accuracy_under_attack_is_by_attack_and_epsilon(
    table: pd.DataFrame, tables: Tables
) -> None:
    rows = of_all(tables, "attacks")
    for (attack, epsilon), part in rows.groupby(["attack", "epsilon"]):
        found = table.loc["accuracy", attack, epsilon, "none"]
        expected = accuracy_score(part["label"], part["predicted"])
        assert found.loc["all", "value"] == pytest.approx(expected)
        threes = part[part["label"] == 3]
        expected = accuracy_score(threes["label"], threes["predicted"])
        assert found.loc["3", "value"] == pytest.approx(expected)


def test_intervals_are_quantiles_over_resampled_photos(
    table: pd.DataFrame, tables: Tables, study: Study
) -> None:
    """With the same draws of photos, but by weights in float64."""
    rows = of_all(tables, "predictions")
    right = (rows["label"] == rows["predicted"]).groupby(rows["index"]).mean()
    facts = rows.drop_duplicates("index").set_index("index").loc[right.index]
    rank = facts["photo"].rank(method="dense").astype(int) - 1
    counts = statistics.photo_counts(rank.max() + 1, resamples=400, seed=study.seed)
    found = table.loc["accuracy", "none", 0.0, "none"]
    for group in ("all", "0", "8"):
        members = (facts["label"] == int(group)) if group != "all" else facts["label"] >= 0
        drawn = [
            np.average(right[members], weights=weights[rank[members]])
            for weights in counts.astype(float)
            if weights[rank[members]].sum()
        ]
        assert found.loc[group, "low"] == pytest.approx(np.quantile(drawn, 0.05), abs=1e-6)
        assert found.loc[group, "high"] == pytest.approx(np.quantile(drawn, 0.95), abs=1e-6)
    assert (found["low"] <= found["value"]).all()
    assert (found["value"] <= found["high"]).all()


def test_the_interval_is_as_wide_as_photos_make_it(store, study: Study, tables: Tables) -> None:
    """Images of a photo that are right or wrong together make it wider than single images do."""
    together = {run: {"predictions": of["predictions"].copy()} for run, of in tables.items()}
    for of in together.values():
        rows = of["predictions"]
        next_digit = ((rows["label"] + 1) % 10).astype("uint8")
        rows["predicted"] = rows["label"].where(rows["photo"] % 3 > 0, next_digit)
    alone = {run: {"predictions": of["predictions"].copy()} for run, of in together.items()}
    for of in alone.values():
        of["predictions"]["photo"] = np.int32(-1)
    widths = []
    for content in (together, alone):
        found = estimates.estimate(store(content=content)).set_index(KEYS)
        row = found.loc["accuracy", "none", 0.0, "none", "all"]
        widths.append(row["high"] - row["low"])
    assert widths[0] > 1.25 * widths[1]


def test_an_image_without_a_photo_stands_for_itself(store, tables: Tables) -> None:
    """The binomial's standard error then, within the noise of 400 resamples."""
    content = {run: {"predictions": of["predictions"].copy()} for run, of in tables.items()}
    for of in content.values():
        rows = of["predictions"]
        rows["photo"] = np.int32(-1)
        wrong_ones = rows["index"] % 4 == 0
        next_digit = ((rows["label"] + 1) % 10).astype("uint8")
        rows["predicted"] = rows["label"].where(~wrong_ones, next_digit)
    row = (
        estimates.estimate(store(content=content))
        .set_index(KEYS)
        .loc["accuracy", "none", 0.0, "none", "all"]
    )
    half = norm.ppf(0.95) * np.sqrt(0.75 * 0.25 / IMAGES)
    assert row["value"] == pytest.approx(0.75)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(half, rel=0.15)


# ------------------------------------------------------------------------------ saliency


def test_measures_are_averaged_by_image_then_over_images(
    table: pd.DataFrame, tables: Tables
) -> None:
    rows = of_all(tables, "saliency")
    for layer in ("layer4.1", "layer3.1"):
        of_layer = rows[rows["layer"] == layer]
        for quantity in ("spread", "area", "offset"):
            by_image = of_layer.groupby("index")[quantity].mean()
            found = table.loc[quantity, "none", 0.0, layer]
            assert found.loc["all", "value"] == pytest.approx(by_image.mean())
            assert found.loc["all", "images"] == by_image.count()
            ones = of_layer[of_layer["label"] == 1].groupby("index")[quantity].mean()
            assert found.loc["1", "value"] == pytest.approx(ones.mean())
            repeats = of_layer.groupby("repeat")[quantity].mean()
            assert found.loc["all", "between_repeats"] == pytest.approx(repeats.std(), rel=1e-5)


def test_missing_maps_are_left_out_of_the_count(table: pd.DataFrame) -> None:
    assert table.loc["spread", "none", 0.0, "layer4.1", "all"]["images"] < IMAGES


def test_fragments_have_no_rows_where_they_are_not_defined(table: pd.DataFrame) -> None:
    layers = set(table.loc["fragments"].index.get_level_values("layer"))
    assert layers == {"layer3.1"}


# ------------------------------------------------------------------------------ completeness


@pytest.mark.parametrize("runs", [[], ["r0f0"], ["r0f0", "r1f1"]])
def test_there_is_nothing_before_the_first_complete_repeat(store, runs: list[str]) -> None:
    assert estimates.estimate(store(runs)) is None


def test_a_repeat_that_is_not_complete_is_left_out(store, tables: Tables) -> None:
    three = estimates.estimate(store(["r0f0", "r0f1", "r1f0"])).set_index(KEYS).sort_index()
    two = estimates.estimate(store(["r0f0", "r0f1"])).set_index(KEYS).sort_index()
    pd.testing.assert_frame_equal(three, two)
    rows = of_all(tables, "predictions", ["r0f0", "r0f1"])
    found = three.loc["accuracy", "none", 0.0, "none"]
    expected = accuracy_score(rows["label"], rows["predicted"])
    assert found.loc["all", "value"] == pytest.approx(expected)
    assert found["between_repeats"].isna().all()
    assert (found["repeats"] == 1).all()


def test_an_analysis_that_is_not_complete_is_left_out(store) -> None:
    """Of all repeats, lest clean and attacked accuracies come from different networks."""
    unfinished = {"r1f1": {"attacks"}, "r0f0": {"saliency"}}
    found = estimates.estimate(store(without=unfinished))
    assert set(found["quantity"]) == {"accuracy", "published accuracy"}
    assert set(found["attack"]) == {"none"}
    found = estimates.estimate(store(without={"r1f1": {"attacks"}}))
    assert set(found["attack"]) == {"none"}
    assert {"spread", "area", "offset", "fragments"} < set(found["quantity"])


def test_a_digit_without_images_has_no_row(store, tables: Tables) -> None:
    content = {
        run: {name: rows[rows["label"] != 9].reset_index(drop=True) for name, rows in of.items()}
        for run, of in tables.items()
    }
    found = estimates.estimate(store(content=content))
    SCHEMAS["estimates"].validate(found)
    assert set(found.loc[found["quantity"] == "accuracy", "group"]) == {"all", *"012345678"}


def test_a_digit_whose_maps_are_all_missing_has_no_measures(store, tables: Tables) -> None:
    content = {run: dict(of) for run, of in tables.items()}
    for of in content.values():
        rows = of["saliency"].copy()
        rows.loc[rows["label"] == 4, ["spread", "area", "offset", "fragments"]] = np.nan
        of["saliency"] = rows
    found = estimates.estimate(store(content=content))
    SCHEMAS["estimates"].validate(found)
    assert "4" not in set(found.loc[found["quantity"] == "spread", "group"])
    assert "4" in set(found.loc[found["quantity"] == "accuracy", "group"])


# ------------------------------------------------------------------------------ published


def test_the_published_accuracy_is_the_original_s(table: pd.DataFrame) -> None:
    found = table.loc["published accuracy", "none", 0.0, "none"]
    assert found.loc["all", "value"] == pytest.approx(0.9357, abs=5e-5)
    assert found.loc["all", "value"] == pytest.approx(published.original()["test_accuracy"])
    assert found.loc["all", "images"] == 26_032
    # The official test set's counts of each digit.
    official = [1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595]
    assert [found.loc[str(digit), "images"] for digit in range(10)] == official
    assert found.loc["8", "value"] == pytest.approx(1499 / 1660)
    assert found["between_repeats"].isna().all()


def test_the_published_interval_is_wilson_s(table: pd.DataFrame, study: Study) -> None:
    """Wilson (1927): the proportions from which the observed one lies at most z errors away."""
    z = norm.ppf((1 + study.bootstrap.level) / 2)
    for row in table.loc["published accuracy", "none", 0.0, "none"].itertuples():
        share, n = row.value, row.images
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        assert row.low == pytest.approx(middle - half)
        assert row.high == pytest.approx(middle + half)


def test_the_published_figures_are_those_that_were_printed() -> None:
    file = data_file("original_results.json")
    printed = json.loads(file.read_text(encoding="utf-8"))
    kept = json.loads((paths.ROOT / "analysis" / "published.json").read_text(encoding="utf-8"))
    for key in ("test_accuracy", "confusion_matrix_rows_true_columns_predicted", "fgsm"):
        assert kept[key] == printed[key]


def test_published_epsilons_are_halved_to_pixel_units() -> None:
    accuracies = published.fgsm()
    assert sorted(accuracies) == pytest.approx([0, 0.005, 0.015, 0.035, 0.05])
    assert accuracies[0.0] == pytest.approx(0.936)
