"""Tables of a run that was copied here: whatever does not fit together is found and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.project import files
from analysis.results import consistency, tables
from analysis.results.records import Broken, TableEntry
from analysis.results.schemas import FGSM, PGD, RUN_TABLES
from analysis.results.store import Store
from analysis.study import Study
from tests.made_up import STUDY, add_run, made_up_study

Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[str, pd.DataFrame]]:
    """Return a study and the tables of its first run."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAILURE_MODES_RESULTS", str(folder / "results"))
        opened = Store.open(made_up_study(folder, STUDY + "\ncorruptions = {}\n"))
        record = add_run(opened, opened.study.runs[0])
        return opened.study, {name: opened.read("r0f0", name) for name in record.tables}


def test_tables_that_fit_have_no_problem(run: tuple[Study, dict[str, pd.DataFrame]]) -> None:
    study, found = run
    assert set(found) == set(RUN_TABLES)
    assert list(consistency.problems(study, found, classes=3)) == []


def first(column: str, value: object) -> Change:
    """Return a change of the first row."""

    def changed(table: pd.DataFrame) -> pd.DataFrame:
        values = table[column].to_numpy().copy()
        values[0] = value
        return table.assign(**{column: values})

    return changed


def where(column: str, value: object, *, keep: bool = True) -> Change:
    return lambda table: table[(table[column] == value) == keep]


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
        ("maps", but_first, "not every image"),
        ("maps", where("layer", "layer1.0"), "other layers"),
        ("maps", first("target", 9), "beyond the 3 classes"),
        ("maps", lambda t: t.assign(target=(t["target"] + 1) % 3), "another class"),
        ("maps", first("label", 9), "beyond"),
        ("mean_maps", but_first, "not whole"),
        ("mean_maps", first("row", 10**9), "not whole"),
        ("mean_maps", first("value", 0.9), "not whole"),
        ("mean_maps", first("label", 99), "beyond the 3 classes"),
        ("mean_maps", first("images", 2**60), "more images"),
        ("mean_maps", first("layer", "layer9"), "other layers"),
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
        ("perturbations", first("images", 2**60), "more images"),
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
        ("duplicates", lambda t: pd.DataFrame({"index": [77]}), "predictions does not have"),
    ],
)
def test_what_does_not_fit_is_named(
    run: tuple[Study, dict[str, pd.DataFrame]], table: str, change: Change, problem: str | None
) -> None:
    study, found = run
    problems = list(consistency.problems(study, found | {table: change(found[table])}, classes=3))
    if problem is None:
        assert problems == []
    else:
        assert pd.Series(problems).str.contains(problem).any(), problems


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
