"""Tables of a run that was copied here: whatever does not fit together is found and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandera.errors import SchemaError

from analysis.project import files
from analysis.results import consistency, tables
from analysis.results.records import Broken, TableEntry
from analysis.results.schemas import DOUBLED, FGSM, PGD, RUN_TABLES
from analysis.results.store import Store
from analysis.study import Study
from tests.made_up import STUDY, add_run, made_up_study

SUMMARY = ("mean", "q05", "median", "q95")
Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[str, pd.DataFrame]]:
    """Return a study and the tables of its first run."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAILURE_MODES_RESULTS", str(folder / "results"))
        opened = Store.open(made_up_study(folder, STUDY + "\ncorruptions.sample = 15\n"))
        record = add_run(opened, opened.study.runs[0])
        return opened.study, {name: opened.read("r0f0", name) for name in record.tables}


def test_tables_that_fit_have_no_problem(run: tuple[Study, dict[str, pd.DataFrame]]) -> None:
    study, found = run
    assert set(found) == set(RUN_TABLES)
    problems = consistency.problems(study, found, classes=3, training_images=30)
    assert list(problems) == []


def first(column: str, value: object) -> Change:
    """Return a change of the first row."""

    def changed(table: pd.DataFrame) -> pd.DataFrame:
        values = table[column].to_numpy().copy()
        values[0] = value
        return table.assign(**{column: values})

    return changed


def where(column: str, value: object, *, keep: bool = True) -> Change:
    return lambda table: table[(table[column] == value) == keep]


def duplicate(**values: object) -> Change:
    """Return a change that says of an image that it has a duplicate."""
    row = {"index": 0, "other_split": "train", "other_index": 1, "kind": "near"}
    return lambda table: pd.DataFrame([row | values])


def but_first(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[1:]


@pytest.mark.parametrize(
    ("table", "change", "problem"),
    [
        ("history", but_first, "1 epochs, not 2"),
        ("history", first("train_loss", np.inf), "infinite train_loss"),
        ("history", first("seconds", np.inf), "infinite seconds"),
        ("predictions", lambda table: table.iloc[:0], "is empty"),
        ("predictions", but_first, "images or labels|has images"),
        ("predictions", lambda t: t.assign(group=t["index"] // 4), "parts of groups"),
        ("predictions", lambda t: t.assign(group=-1), None),
        ("predictions", first("label", 9), "beyond the 3 classes"),
        ("predictions", first("predicted", 9), "beyond the 3 classes"),
        ("predictions", lambda t: t.assign(predicted=(t["predicted"] + 1) % 3), "largest logit"),
        ("predictions", first("confidence", 0.1), "below one in 3"),
        ("predictions", first("confidence", 1.0), "not that of its logits"),
        ("predictions", lambda t: t.assign(logits=t["logits"] * 3), "not that of its logits"),
        ("predictions", lambda t: t.assign(logits=t["logits"].map(lambda one: one[:2])), "another"),
        ("attributes", but_first, None),
        ("attributes", where("index", 0, keep=False), "not every image"),
        ("attributes", first("index", 77), "that predictions does not have"),
        ("attributes", first("number", -np.inf), "infinite number"),
        ("attributes", lambda t: t.assign(category="x" * 9999), "more than 5,000 letters"),
        ("attributes", lambda t: t.assign(category="red"), "both a number and a category"),
        ("attributes", lambda t: t.assign(number=np.nan, category=""), "no value"),
        ("maps", but_first, "not every image"),
        ("maps", where("layer", "layer1.0"), "other layers"),
        ("maps", first("target", 9), "beyond the 3 classes"),
        ("maps", lambda t: t.assign(target=(t["target"] + 1) % 3), "another class"),
        ("maps", first("label", 9), "beyond"),
        ("mean_maps", but_first, "not whole"),
        ("mean_maps", first("row", 10**9), "not whole"),
        ("mean_maps", first("value", 0.9), "not whole"),
        ("mean_maps", first("label", 99), "beyond the 3 classes"),
        ("mean_maps", first("images", 2**60), "another number of images"),
        ("mean_maps", first("layer", "layer9"), "other layers"),
        ("mean_maps", lambda table: table.iloc[:0], "other layers"),
        ("mean_maps", where("layer", "layer1.0"), "other layers"),
        ("mean_maps", where("label", 0, keep=False), "other layers or classes"),
        ("attacks", but_first, "not every image"),
        ("attacks", where("attack", FGSM), "other sizes"),
        ("attacks", where("epsilon", 0, keep=False), "other sizes"),
        ("attacks", first("epsilon", 0.5), "other sizes"),
        ("attacks", first("attack", "pgd-margin"), "other attacks"),
        ("attacks", first("index", 77), "images or labels"),
        ("attacks", first("confidence", 0.999), "another confidence"),
        ("attacks", lambda t: t.assign(predicted=(t["predicted"] + 1) % 3), "another predicted"),
        ("attacks", lambda t: t.assign(logits=None), "to be kept"),
        ("attacks", where("attack", PGD, keep=False), "not of the sample"),
        ("perturbations", lambda table: table.iloc[:0], "not of the sample"),
        ("perturbations", first("mean", np.inf), "infinite mean"),
        ("perturbations", first("epsilon", 0.5), "other sizes"),
        ("perturbations", first("resolution", 2**60), "that no image has"),
        ("perturbations", first("images", 2**60), "other images for ssim"),
        ("perturbations", but_first, "not every attack"),
        ("perturbations", where("attack", PGD, keep=False), "not every attack"),
        ("perturbations", lambda t: t.assign(**dict.fromkeys(SUMMARY, np.nan)), "no ssim"),
        ("perturbations", lambda t: t.assign(**dict.fromkeys(SUMMARY, np.nan), images=0), "linf"),
        ("perturbations", first("mean", -1e300), "a ssim that no image has"),
        ("perturbations", first("mean", 1.1), "a ssim that no image has"),
        ("perturbations", where("measure", "rms", keep=False), "not every attack"),
        ("perturbations", lambda t: t.assign(mean=300.0), "a linf that no image has"),
        ("perturbations", first("q95", 0.1), "quantiles of ssim"),
        ("attacks", lambda t: t.drop(t.index[t["attack"] == PGD][:1]), "another sample"),
        ("maps", where("weights", DOUBLED, keep=False), None),
        ("maps", lambda t: t.drop(t.index[t["weights"] == DOUBLED][:1]), "not the same sample"),
        ("controls", where("attack", PGD), "another sample"),
        ("controls", where("attack", PGD, keep=False), "not every image"),
        ("controls", lambda t: t.assign(epsilon=0.5), "another size"),
        ("controls", lambda t: t.assign(logits=None), "to be kept"),
        ("controls", first("attack", FGSM), "other attacks"),
        ("gradients", but_first, "not every image"),
        ("gradients", first("label", 2), "images or labels"),
        ("gradients", first("largest", np.inf), "infinite largest"),
        ("gradients", lambda t: t.assign(margin=t["margin"] + 1), "a margin"),
        ("corruptions", first("index", 77), "images or labels"),
        ("corruptions", first("predicted", 3), "beyond the 3 classes"),
        ("corruptions", first("confidence", 0.0), "below one in 3"),
        ("corruptions", lambda table: table.iloc[:0], "another sample"),
        ("corruptions", but_first, "not the same sample"),
        ("corruptions", where("index", 2, keep=False), "another sample"),
        ("corruptions", where("corruption", "noise"), "other corruptions"),
        ("corruptions", where("strength", 0.16, keep=False), "other corruptions"),
        (
            "corruptions",
            lambda t: t.assign(strength=t["strength"] * 7 + 0.001),
            "other corruptions",
        ),
        ("duplicates", duplicate(index=77), "predictions does not have"),
        ("duplicates", duplicate(other_index=10**12), "beyond the 60 images"),
    ],
)
def test_what_does_not_fit_is_named(
    run: tuple[Study, dict[str, pd.DataFrame]], table: str, change: Change, problem: str | None
) -> None:
    study, found = run
    problems = list(
        consistency.problems(
            study, found | {table: change(found[table])}, classes=3, training_images=30
        )
    )
    if problem is None:
        assert problems == []
    else:
        assert pd.Series(problems).str.contains(problem).any(), problems


@pytest.mark.parametrize(("folds", "sample"), [(2, 5), (1, 250)])
def test_a_sample_has_as_many_groups_as_the_study_asks_for(
    run: tuple[Study, dict[str, pd.DataFrame]], folds: int, sample: int
) -> None:
    study, found = run
    other = study.model_copy(
        update={
            "images": study.images.model_copy(update={"folds": folds}),
            "corruptions": study.corruptions.model_copy(update={"sample": sample}),
        }
    )
    problems = list(consistency.problems(other, found, classes=3))
    assert problems == [f"corruptions has a sample of 15 groups, not {sample}"]


# ------------------------------------------------------------------------------ files


def entry(path: Path, rows: int) -> TableEntry:
    digest = files.sha256(path)
    named = path.with_name(f"history-{digest[:12]}.parquet")
    path.rename(named)
    return TableEntry(file=named.name, sha256=digest, rows=rows)


def test_a_small_file_is_not_unpacked_to_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_LARGEST", 1 << 20)
    # One text a thousand times, which the file holds once.
    for rows, text in ((100_000, "x" * 20), (1000, "x" * 100_000)):
        path = tmp_path / "table.parquet"
        pq.write_table(pa.table({"epoch": pa.array([text] * rows)}), path, compression="zstd")
        assert path.stat().st_size < 10_000
        with pytest.raises(Broken, match="when unpacked"):
            tables.read(tmp_path, entry(path, rows), RUN_TABLES["history"])
    monkeypatch.setattr(tables, "_ROWS", 1000)
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"epoch": np.zeros(1001, dtype="int64")}), path)
    with pytest.raises(Broken, match="when unpacked"):
        tables.read(tmp_path, entry(path, 1001), RUN_TABLES["history"])


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    place = TableEntry(file=f"history-{'0' * 12}.parquet", sha256="0" * 64, rows=1)
    with pytest.raises(Broken, match="is missing"):
        tables.read(tmp_path, place, RUN_TABLES["history"])
    make(tmp_path / place.file)
    with pytest.raises(Broken, match="is not a file"):
        tables.read(tmp_path, place, RUN_TABLES["history"])


# ---------------------------------------------------------------------------- schemas


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("predictions", "group", -9), ("attributes", "number", 1e300)],
)
def test_a_value_that_no_image_has_is_not_read(
    run: tuple[Study, dict[str, pd.DataFrame]], table: str, column: str, value: object
) -> None:
    _, found = run
    RUN_TABLES[table].validate(found[table])
    with pytest.raises(SchemaError, match=column):
        RUN_TABLES[table].validate(first(column, value)(found[table]))
