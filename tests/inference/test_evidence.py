"""From stored tables to arrays and summaries, against pandas, and published results as evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.inference import evidence, summaries
from analysis.inference.evidence import Evidence, Tables
from analysis.project.errors import UserError
from analysis.results import published
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.schemas import ALL
from analysis.results.store import Store
from tests.inference import stored
from tests.inference.simulated import World, names
from tests.inference.simulated import evidence as made_up

Open = Callable[..., tuple[Store, Tables]]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    def write(*, classes: int = 10, without: tuple[str, ...] = (), **parts: int) -> tuple:
        study = stored.study(**parts)
        content = stored.run_tables(study, images=120, classes=classes)
        content = {run: tables for run, tables in content.items() if run not in without}
        store = stored.store(tmp_path, monkeypatch, study, content, names(classes))
        return store, Tables(store, store.shown_repeats())

    return write


def frame(store: Store, table: str) -> pd.DataFrame:
    runs = [run for run, record in store.runs.items() if table in record.tables]
    parts = [store.read(run, table).assign(run=run, repeat=int(run[1])) for run in runs]
    return pd.concat(parts, ignore_index=True)


def of(store: Store, tables: Tables) -> Evidence:
    classes = next(iter(store.runs.values())).classes
    return evidence.of_study(tables, store.study, classes, resamples=20)


def test_arrays_are_pivots_of_the_tables(written: Open) -> None:
    store, tables = written()
    found, rows = of(store, tables), frame(store, "predictions")

    def pivot(rows: pd.DataFrame, column: str) -> np.ndarray:
        wide = rows.pivot(index="repeat", columns="index", values=column)
        return wide.reindex(index=range(2), columns=found.index).to_numpy(dtype=float)

    for name in ("predicted", "confidence"):
        assert np.array_equal(getattr(found, name), pivot(rows, name))
    by_place = rows.set_index(["repeat", "index"])
    assert np.array_equal(found.logits[1, 7], by_place.loc[(1, found.index[7]), "logits"])
    first = rows.drop_duplicates("index").set_index("index").loc[found.index]
    assert np.array_equal(found.label, first["label"])
    assert np.array_equal(found.group, first["group"])
    # Two images share a fold where the same network predicted them.
    runs = rows.pivot(index="repeat", columns="index", values="run").to_numpy()
    same = found.fold[:, :, None] == found.fold[:, None]
    assert np.array_equal(same, runs[:, :, None] == runs[:, None])
    attacks, controls = frame(store, "attacks"), frame(store, "controls")
    # In the first repeat descent was run on every image, and once more on a sample.
    others = attacks[(attacks["attack"] != "pgd") | (attacks["repeat"] > 0)]
    attacks = pd.concat([others, controls])
    for (attack, epsilon), each in attacks.groupby(["attack", "epsilon"]):
        outcome = found.attacked[attack, epsilon]
        expected = pivot(each, "predicted")
        assert np.array_equal(outcome.predicted, np.where(np.isnan(expected), -1, expected))
        kept = each.dropna(subset="logits")
        assert (outcome.logits is not None) == bool(len(kept))
        for _, row in kept.head(3).iterrows():
            image = np.flatnonzero(found.index == row["index"])[0]
            assert np.array_equal(outcome.logits[row["repeat"], image], row["logits"])
    maps = frame(store, "maps")
    for weights, layers in {
        "trained": found.maps,
        "random": found.random_maps,
        **found.altered,
    }.items():
        assert tuple(layers) == stored.LAYERS
        for layer, measures in layers.items():
            chosen = maps[(maps["layer"] == layer) & (maps["weights"] == weights)]
            for name, values in measures.items():
                np.testing.assert_array_equal(values, pivot(chosen, name))
    assert set(found.altered) == {"widened", "doubled"} and found.source is None
    for name, values in found.gradients.items():
        np.testing.assert_array_equal(values, pivot(frame(store, "gradients"), name))


def test_an_image_without_a_known_group_is_a_group_of_its_own(tmp_path, monkeypatch) -> None:
    study = stored.study(folds=1, repeats=1)
    content = stored.run_tables(study, images=60, classes=3)
    rows = content["r0f0"]["predictions"]
    rows["group"] = rows["group"].where(rows["index"] % 2 == 0, -1)
    store = stored.store(tmp_path, monkeypatch, study, content, names(3))
    found = of(store, Tables(store, store.shown_repeats()))
    odd = found.group[found.index % 2 == 1]
    assert len(set(odd)) == len(odd) and not set(odd) & set(rows["group"][rows["index"] % 2 == 0])
    # Without folds, the images of a group are in one half; networks saw the whole training split.
    halves = pd.Series(found.fold[0]).groupby(found.group)
    assert (halves.nunique() == 1).all() and set(found.fold[0]) == {0, 1}
    assert found.source == "svhn-subset"


def test_a_repeat_without_all_its_folds_is_left_out(written: Open) -> None:
    store, tables = written(without=("r0f1",))
    assert tables.runs == ["r1f0", "r1f1"]
    assert of(store, tables).repeats == 1


def test_without_attacks_and_maps_predictions_are_evidence(tmp_path, monkeypatch) -> None:
    study = stored.study(folds=1, repeats=1)
    content = stored.run_tables(study, images=60, classes=2)
    content = {run: {"predictions": each["predictions"]} for run, each in content.items()}
    store = stored.store(tmp_path, monkeypatch, study, content, ("cat", "dog"))
    tables = Tables(store, store.shown_repeats())
    found = of(store, tables)
    assert not (found.attacked or found.maps) and found.gradients is None
    derived = summaries.summaries(tables, found, store.runs)
    assert set(derived) == {"runs", "confusions"}
    assert set(derived["confusions"]["label"]) == {"cat", "dog"}


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_summaries_are_what_pandas_says(written: Open, classes: int) -> None:
    store, tables = written(classes=classes)
    found = summaries.summaries(tables, of(store, tables), store.runs)
    for name, table in found.items():
        DERIVED_TABLES[name].validate(table)
    predictions, attacks = frame(store, "predictions"), frame(store, "attacks")
    right = predictions["label"] == predictions["predicted"]
    runs = found["runs"].set_index("run")
    assert runs["accuracy"].to_dict() == pytest.approx(
        right.groupby(predictions["run"]).mean().to_dict()
    )
    by_class = right.groupby([predictions["run"], predictions["label"]]).mean()
    for run, row in runs.iterrows():
        assert row["worst_accuracy"] == by_class[run].min() == by_class[run, int(row["worst"])]

    # One row for each pair that occurs, however many there might be.
    pairs = pd.crosstab(predictions["label"], predictions["predicted"])
    clean = found["confusions"].query("attack == 'none'")
    assert len(clean) == (pairs.to_numpy() > 0).sum() <= 2 * 120
    for row in clean.itertuples():
        count = pairs.loc[int(row.label), int(row.predicted)]
        assert row.images == count / 2
        assert row.share == pytest.approx(count / pairs.loc[int(row.label)].sum())
    assert "pgd" not in set(found["confusions"]["attack"])

    for row in found["accuracies"].itertuples():
        keys = (attacks["run"], attacks["attack"], attacks["epsilon"])
        chosen = attacks[np.all([a == b for a, b in zip(keys, row[1:4], strict=True)], axis=0)]
        assert row.accuracy == pytest.approx((chosen["label"] == chosen["predicted"]).mean())
        assert row.images == len(chosen)

    cells = frame(store, "mean_maps").query("layer == 'layer3.1' and label == 1 and row == 2")
    cells = cells[cells["column"] == 5]
    shown = found["mean_maps"].query("layer == 'layer3.1' and row == 2 and column == 5")
    value = shown.set_index("class").loc["1", "value"]
    assert value == pytest.approx(np.average(cells["value"], weights=cells["images"]))
    maps = frame(store, "maps").query("layer == 'layer4.1' and weights == 'random'")
    zero = found["zero_maps"].set_index(["layer", "weights", "class"])
    assert set(zero.index.get_level_values("weights")) == {"trained", "random"}
    ones = maps[maps["label"] == 1]
    for name, each in ((ALL, maps), ("1", ones)):
        expected = [len(each), each["spread"].isna().sum()]
        assert zero.loc[("layer4.1", "random", name)].tolist() == expected
    quantiles = found["spreads"].query("layer == 'layer4.1' and weights == 'random'")
    quantiles = quantiles[quantiles["class"] == "1"].set_index("quantile")["value"]
    ones = maps[maps["label"] == 1]["spread"].dropna()
    for quantile, value in quantiles.items():
        assert value == pytest.approx(np.quantile(ones, quantile), rel=1e-5)
    moved = frame(store, "perturbations").query("measure == 'rms'")
    # What never has a value has no row.
    assert found["similarities"]["measure"].tolist() == ["rms"]
    expected = np.average(moved["mean"], weights=moved["images"])
    assert found["similarities"]["value"].tolist() == pytest.approx([expected])


def test_a_published_matrix_becomes_as_many_images() -> None:
    body = published.load("notebook")
    found = evidence.of_published(body, resamples=400, seed=0)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (found.label, found.predicted[0]), 1)
    assert np.array_equal(counts, body.matrix)
    assert len(np.unique(found.group)) == 26_032
    # Its ε are in [-1, 1] units, and its accuracies have binomial noise.
    assert sorted(body.fgsm) == pytest.approx([0, 0.005, 0.015, 0.035, 0.05])
    accuracy = found.accuracy("fgsm", 0.015)
    assert accuracy[0] == 0.222
    assert accuracy[1:].std() == pytest.approx(np.sqrt(0.222 * 0.778 / 26_032), rel=0.15)


def test_a_class_that_does_not_exist_is_refused_with_the_nearest() -> None:
    data = made_up(World(), groups=20, repeats=1, resamples=0, seed=0)
    named = replace(data, classes=("cat", "dog", *names(8)))
    assert np.array_equal(named.members(["dog", "0"]), np.isin(data.label, [1, 2]))
    with pytest.raises(UserError, match="there is no class 'dig'; the nearest is 'dog'"):
        named.members(["cat", "dig"])
