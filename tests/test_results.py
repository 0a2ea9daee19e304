"""The results store: what is written is read back, and what is not in order is refused by name."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal
from pandera.errors import SchemaError

from analysis import paths, results, study
from analysis.errors import UserError
from analysis.files import TEMPORARY, sha256
from analysis.results import (
    CLAIMS,
    MANIFEST,
    Manifest,
    Results,
    RunEntry,
    TableEntry,
    TrainingEntry,
)
from analysis.tables import SCHEMAS
from tests.killing import counter
from tests.playground import Playground
from tests.stored_files import expected_files, vouched_files

MEND = "python -m analysis run tiny"


def forge(place: Playground, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> str:
    """Replace a table of the first run by one that the manifest vouches for; return its name."""
    path = place.table(name)
    forged = change(pq.read_table(path).to_pandas())
    pq.write_table(pa.Table.from_pandas(forged, preserve_index=False), path)
    vouch_for(place, path, rows=len(forged))
    return path.name


def vouch_for(place: Playground, path: Path, *, rows: int | None = None) -> None:
    """Make the manifest agree with a file as it is now."""

    def change(part: object) -> None:
        if isinstance(part, dict) and part.get("file") == path.name:
            part["sha256"] = sha256(path)
            part["rows"] = part["rows"] if rows is None else rows
        elif isinstance(part, dict):
            for value in part.values():
                change(value)

    place.edit_manifest(change)


def refused(action: Callable[[], object], *words: str) -> str:
    """Return the message of the refusal: one or two lines with the given words."""
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert len(message.splitlines()) <= 2 and max(map(len, message.splitlines())) < 500
    for word in words:
        assert word in message
    return message


# ------------------------------------------------------------------------------ round trip


def history(rows: int) -> pd.DataFrame:
    """Return a table of the schema ``history`` whose every value tells how many rows it has."""
    return pd.DataFrame(
        {
            "epoch": np.arange(1, rows + 1, dtype=np.int32),
            "train_loss": np.full(rows, float(rows)),
            "learning_rate": np.linspace(0.1, 0.2, rows),
            "seconds": np.full(rows, 1.5),
        }
    )


def run_entry(written: TableEntry, *, repeat: int = 0) -> RunEntry:
    training = TrainingEntry(
        digest="of the recipe",
        device="a processor",
        packages={},
        revision=None,
        finished="2025-01-01T00:00:00+00:00",
        seconds=1.0,
        weights_sha256="0" * 64,
        training_images=160,
        history=written,
    )
    return RunEntry(repeat=repeat, fold=0, seed=repeat, training=training)


def empty_store(folder: Path) -> Results:
    return results.open_for_writing(study.load("demo"), data_digest="of the data", folder=folder)


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    store = empty_store(tmp_path)
    runs = {}
    for repeat, rows in enumerate((4, 3)):
        written = results.write_table(tmp_path, "history", history(rows), run=f"r{repeat}f0")
        runs[f"r{repeat}f0"] = run_entry(written, repeat=repeat)
    results.write_manifest(store.with_manifest(runs=runs))

    opened = results.load("demo", folder=tmp_path)
    assert opened.verify() == 2
    table = opened.table("history")
    assert list(table.columns) == ["run", *SCHEMAS["history"].columns]
    for run, rows in (("r0f0", 4), ("r1f0", 3)):
        part = table[table["run"] == run].drop(columns="run").reset_index(drop=True)
        assert_frame_equal(part, history(rows))


def test_what_is_not_committed_is_not_read(tmp_path: Path) -> None:
    store = empty_store(tmp_path)
    results.write_table(tmp_path, "history", history(4), run="r0f0")
    assert results.load_if_any("demo", folder=tmp_path) is None
    results.write_manifest(store)
    assert results.load("demo", folder=tmp_path).verify() == 0


def test_the_same_content_has_the_same_name_and_bytes(tmp_path: Path) -> None:
    first = results.write_table(tmp_path / "a", "history", history(4), run="r0f0")
    again = results.write_table(tmp_path / "b", "history", history(4), run="r0f0")
    other = results.write_table(tmp_path / "a", "history", history(3), run="r0f0")
    assert first == again
    assert other.file != first.file
    assert (tmp_path / "a" / first.file).read_bytes() == (tmp_path / "b" / again.file).read_bytes()


def test_every_table_of_a_study_has_its_schema_s_columns(finished: Playground) -> None:
    opened = results.load("tiny")
    for name, schema in SCHEMAS.items():
        columns = list(schema.columns)
        expected = columns if name in opened.manifest.derived else ["run", *columns]
        assert list(opened.table(name).columns) == expected


def test_the_manifest_says_what_the_results_are_of(finished: Playground) -> None:
    content = json.loads((finished.results / MANIFEST).read_text())
    chosen = study.load(finished.study)
    assert content["format"] == 1
    assert content["study_digest"] == chosen.digest()
    assert Manifest.model_validate(content).study == chosen
    assert len(content["data_digest"]) == 64
    assert list(content["runs"]) == ["r0f0", "r1f0"]
    for name, run in content["runs"].items():
        assert (run["repeat"], run["fold"], run["seed"]) == (int(name[1]), 0, 3 + int(name[1]))
        assert run["training"]["training_images"] == 160
        for part in (run["training"], *run["analyses"].values()):
            assert part["seconds"] > 0 and part["device"]
            assert {"python", "torch", "timm", "numpy"} <= set(part["packages"])
            assert part["finished"].endswith("+00:00")


def test_the_manifest_gives_the_weights_digest(finished: Playground) -> None:
    content = json.loads((finished.results / MANIFEST).read_text())
    recorded = {run["training"]["weights_sha256"] for run in content["runs"].values()}
    assert recorded == {sha256(path) for path in finished.weights()}


def test_files_are_named_after_their_content(finished: Playground) -> None:
    opened = results.load("tiny")
    entries = list(opened.manifest.entries())
    for name, entry in entries:
        path = finished.results / entry.file
        assert entry.sha256 == sha256(path)
        assert entry.rows == pq.read_metadata(path).num_rows
        assert path.name.startswith(f"{name}-")
        assert path.stem.endswith(f"-{entry.sha256[:12]}")
    # The claims alone keep one name, by which people find them.
    named = {entry.file for _, entry in entries} | {MANIFEST, CLAIMS}
    assert named == set(os.listdir(finished.results))


# ------------------------------------------------------------------------------ broken files


def read_all() -> set[tuple[str, str]]:
    return vouched_files(results.load("tiny"))


def every_file() -> set[tuple[str, str]]:
    return expected_files(results.load("tiny").study, ["r0f0", "r1f0"])


def test_results_in_order_are_accepted(finished: Playground) -> None:
    assert read_all() == every_file()


@pytest.mark.parametrize("table", ["history", "predictions", "saliency", "maps", "attacks"])
def test_a_missing_file_is_named(finished: Playground, table: str) -> None:
    path = finished.table(table)
    path.unlink()
    refused(read_all, path.name, "missing", MEND)


def test_a_file_that_goes_missing_after_opening_is_named(finished: Playground) -> None:
    opened = results.load("tiny")
    path = finished.table("predictions")
    path.unlink()
    refused(lambda: opened.table("predictions"), path.name, "missing", MEND)


@pytest.mark.parametrize("table", ["predictions", "attacks"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named(finished: Playground, table: str, kept: float) -> None:
    path = finished.table(table)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    refused(read_all, path.name, "truncated or altered", MEND)


@pytest.mark.parametrize("position", [0, 0.3, 0.999])
def test_one_altered_bit_is_noticed(finished: Playground, position: float) -> None:
    path = finished.table("saliency")
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1
    path.write_bytes(content)
    refused(read_all, path.name, "truncated or altered", MEND)


def test_an_altered_file_of_estimates_is_named(finished: Playground) -> None:
    path = finished.table("estimates", "all")
    path.write_bytes(path.read_bytes() + b"\0")
    refused(lambda: results.load("tiny").table("estimates"), path.name, "altered", MEND)


def test_swapped_files_are_noticed(finished: Playground) -> None:
    first, second = (finished.table("predictions", run) for run in ("r0f0", "r1f0"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    refused(read_all, first.name, "altered")


FORGERIES = {
    "a label beyond 9": ("predictions", lambda t: t.assign(label=np.uint8(10)), "label"),
    "a confidence above 1": ("predictions", lambda t: t.assign(confidence=np.float32(1.5)), "conf"),
    "a confidence below 0": ("attacks", lambda t: t.assign(confidence=np.float32(-0.1)), "conf"),
    "a missing confidence": (
        "predictions",
        lambda t: t.assign(confidence=t["confidence"].where(t.index > 0)),
        "confidence",
    ),
    "another type": (
        "predictions",
        lambda t: t.assign(logit_0=t["logit_0"].astype(float)),
        "logit_0",
    ),
    "text for a number": ("attacks", lambda t: t.assign(epsilon="0.01"), "epsilon"),
    "an unknown split": ("predictions", lambda t: t.assign(split="validation"), "split"),
    "a negative index": ("attacks", lambda t: t.assign(index=np.int32(-1)), "index"),
    "a spread above 1": ("saliency", lambda t: t.assign(spread=np.float32(1.1)), "spread"),
    "an image twice": ("predictions", lambda t: pd.concat([t, t.iloc[:1]]), "index"),
    "an attack twice": ("attacks", lambda t: pd.concat([t, t.iloc[-1:]]), "epsilon"),
    "a column too many": ("predictions", lambda t: t.assign(pixels=0), "pixels"),
    "a column too few": ("predictions", lambda t: t.drop(columns="photo"), "photo"),
    "columns in another order": ("history", lambda t: t[t.columns[::-1]], "order"),
    "another table": ("maps", lambda t: history(3), "maps"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_table_that_breaks_its_schema_is_refused_though_vouched_for(
    finished: Playground, forgery: str
) -> None:
    table, change, word = FORGERIES[forgery]
    name = forge(finished, table, change)
    refused(read_all, name, f"breaks the schema of {table}", word, MEND)


def test_another_number_of_rows_is_refused_though_vouched_for(finished: Playground) -> None:
    name = forge(finished, "predictions", lambda table: table.iloc[:-1])
    # The forged manifest says so many rows; now it does not:
    assert read_all() == every_file()
    vouch_for(finished, finished.results / name, rows=60)
    refused(read_all, name, "has 59 rows, not 60", MEND)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"not a Parquet file at all",
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        # The frame stays, the pages in it turn to noise.
        lambda content: (
            content[:4] + b"\xa5" * (len(content) // 3) + content[4 + len(content) // 3 :]
        ),
        lambda content: content[:-200] + b"\xa5" * 192 + content[-8:],
    ],
)
def test_a_file_that_is_no_parquet_is_refused_though_vouched_for(
    finished: Playground, damage: Callable[[bytes], bytes]
) -> None:
    path = finished.table("predictions")
    path.write_bytes(damage(path.read_bytes()))
    vouch_for(finished, path)
    refused(read_all, path.name, "breaks the schema of predictions", MEND)


# ------------------------------------------------------------------------------ the folder


@pytest.mark.parametrize("name", ["notes.txt", "predictions.csv", "predictions-r0f0-zz.parquet"])
def test_a_foreign_file_is_named(finished: Playground, name: str) -> None:
    (finished.results / name).write_text("mine")
    refused(read_all, name, "foreign", "delete it")


def test_a_foreign_folder_is_named(finished: Playground) -> None:
    (finished.results / "old").mkdir()
    refused(read_all, "old", "foreign")


def test_a_file_that_only_pretends_to_be_a_leftover_is_foreign(finished: Playground) -> None:
    # Its name promises a content that it does not have, so it is not of this store's making.
    (finished.results / "predictions-r0f0-0123456789ab.parquet").write_bytes(b"something else")
    refused(read_all, "predictions-r0f0-0123456789ab.parquet", "foreign")


def test_foreign_files_survive_the_next_write(finished: Playground) -> None:
    (finished.results / "notes.txt").write_text("mine")
    results.write_manifest(results.load_if_any("tiny"))
    assert (finished.results / "notes.txt").read_text() == "mine"


def test_leftovers_are_ignored_by_reading_and_removed_by_the_next_write(
    finished: Playground,
) -> None:
    before = set(os.listdir(finished.results))
    (finished.results / f"{TEMPORARY}abc.parquet").write_bytes(b"PAR1 half of")
    (finished.results / f"{TEMPORARY}def.json").write_text('{"format": 1, "stu')
    # A whole table whose manifest was never written.
    results.write_table(finished.results, "history", history(9), run="r0f0")
    assert len(os.listdir(finished.results)) == len(before) + 3
    assert read_all() == every_file()
    assert len(os.listdir(finished.results)) == len(before) + 3
    results.write_manifest(results.load("tiny"))
    assert set(os.listdir(finished.results)) == before


def test_an_altered_file_goes_when_another_takes_its_place(finished: Playground) -> None:
    # Its name no longer fits its content, but the manifest that is replaced knew it.
    altered = finished.table("history")
    altered.write_bytes(b"altered")
    store = results.load_if_any("tiny")
    written = results.write_table(store.folder, "history", history(3), run="r0f0")
    entry = store.manifest.runs["r0f0"]
    training = entry.training.model_copy(update={"history": written})
    runs = {**store.manifest.runs, "r0f0": entry.model_copy(update={"training": training})}
    results.write_manifest(store.with_manifest(runs=runs))
    assert not altered.exists()
    assert read_all() == every_file()


# ------------------------------------------------------------------------------ the manifest


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("{", "[", 1),
        lambda text: "[]",
        lambda text: "null",
        lambda text: text.replace('"sha256"', '"sha265"', 1),
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"rows": 60', '"rows": "sixty"', 1),
        lambda text: text.replace('"folds"', '"fold"', 1),
        lambda text: "\udcff" + text,
    ],
)
def test_a_damaged_manifest_is_named(finished: Playground, damage: Callable[[str], str]) -> None:
    path = finished.results / MANIFEST
    text = path.read_text()
    damaged = damage(text)
    assert damaged != text
    path.write_bytes(damaged.encode(errors="surrogateescape"))
    refused(read_all, str(path), "damaged", "git restore", "delete the folder")


def test_a_manifest_whose_study_was_edited_is_named(finished: Playground) -> None:
    finished.edit_manifest(lambda content: content["study"]["training"].update(learning_rate=0.5))
    refused(read_all, MANIFEST, "altered", "git restore")


def test_results_of_another_study_are_named(finished: Playground) -> None:
    shutil.copytree(finished.results, finished.results.with_name("demo"))
    refused(lambda: results.load("demo"), MANIFEST, "another study", "'tiny'", "git restore")


def test_a_table_in_the_manifest_that_has_no_schema_is_refused(finished: Playground) -> None:
    entry = results.load("tiny").manifest.derived["estimates"].model_dump()
    finished.edit_manifest(lambda content: content["derived"].update(claims=entry))
    refused(read_all, entry["file"], "claims")


def test_no_results_at_all_say_how_to_compute_them(playground: Playground) -> None:
    refused(lambda: results.load("demo"), "holds no results", "python -m analysis run demo")


def test_an_unknown_study_is_answered_with_the_nearest(playground: Playground) -> None:
    refused(lambda: results.load("svhn-subst"), "'svhn-subst'", "'svhn-subset'")


def test_a_table_that_has_not_been_computed_says_how_to(tmp_path: Path) -> None:
    store = empty_store(tmp_path)
    message = "python -m analysis run demo"
    refused(lambda: store.table("predictions"), "'predictions'", message)


def test_results_from_other_data_are_not_added_to(finished: Playground) -> None:
    chosen = study.load(finished.study)
    refused(
        lambda: results.open_for_writing(chosen, data_digest="f" * 64),
        str(finished.results),
        "f" * 12,
        "Restore the data",
    )


# ------------------------------------------------------------------------------ writing


def test_a_table_that_breaks_its_schema_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(SchemaError):
        results.write_table(
            tmp_path / "store", "history", history(3).assign(epoch=np.int32(1)), run="r0f0"
        )
    assert not (tmp_path / "store").exists()


def test_complete_repeats_have_every_fold(finished: Playground) -> None:
    opened = results.load("tiny")
    assert opened.complete_repeats() == {0: ["r0f0"], 1: ["r1f0"]}
    first = opened.manifest.runs["r0f0"]
    runs = {**opened.manifest.runs, "r0f0": first.model_copy(update={"analyses": {}})}
    partial = opened.with_manifest(runs=runs)
    assert partial.complete_repeats() == {1: ["r1f0"]}
    assert partial.complete_repeats("attacks") == {1: ["r1f0"]}


# ------------------------------------------------------------------------------ killed


def commit_state(store: Results, number: int) -> Results:
    """Commit two tables that both tell the number of the state, in one manifest."""
    runs = {}
    for repeat in (0, 1):
        written = results.write_table(store.folder, "history", history(number), run=f"r{repeat}f0")
        runs[f"r{repeat}f0"] = run_entry(written, repeat=repeat)
    store = store.with_manifest(runs=runs)
    results.write_manifest(store)
    return store


def committed_state(folder: Path) -> int:
    """Verify the store and return the number of the one state that all of it is of."""
    opened = results.load("demo", folder=folder)
    assert opened.verify() == 2
    numbers = opened.table("history").groupby("run")["train_loss"].agg(["min", "max", "size"])
    assert numbers.to_numpy().min() == numbers.to_numpy().max()
    return int(numbers["size"].iloc[0])


def forked(action: Callable[[], object]) -> int:
    """Do something in a copy of this process and return the copy's process number."""
    number = os.fork()
    if number == 0:
        status = 1
        try:
            action()
            status = 0
        finally:
            # The copy ends here, whatever its action raised.
            os._exit(status)
    return number


def unknown_files(folder: Path) -> int:
    opened = results.load("demo", folder=folder)
    known = {entry.file for _, entry in opened.manifest.entries()} | {MANIFEST}
    return len(set(os.listdir(folder)) - known)


def commit_and_die(folder: Path, *, steps: int) -> None:
    """Commit state 2, but be killed before one of the steps on the disk."""
    counted = counter(steps)
    os.fsync = counted(os.fsync)
    pq.write_table = counted(pq.write_table)
    for name in ("chmod", "replace", "unlink"):
        setattr(Path, name, counted(getattr(Path, name)))
    write = Path.write_text

    def write_in_halves(path: Path, text: str, **options: str) -> None:
        write(path, text[: len(text) // 2], **options)
        counted(write)(path, text, **options)

    Path.write_text = write_in_halves
    commit_state(results.load_if_any("demo", folder=folder), 2)


def kill_before_each_step(folder: Path) -> dict[str, list[int]]:
    """Kill one commit before each of its steps; return the states found and the leftovers."""
    commit_state(empty_store(folder), 1)
    found: dict[str, list[int]] = {"states": [], "exits": [], "left": []}
    while not found["exits"] or found["exits"][-1] != 0:
        steps = len(found["exits"])
        number = forked(lambda steps=steps: commit_and_die(folder, steps=steps))
        found["exits"].append(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]))
        found["states"].append(committed_state(folder))
        commit_state(results.load("demo", folder=folder), 1)
        found["left"].append(unknown_files(folder))
    return found


def kill_at_random(folder: Path) -> dict[str, list[int]]:
    """Kill endless writers at random moments; return the states found and the leftovers."""
    generator = random.Random(0)
    commit_state(empty_store(folder), 1)

    def write(state: int) -> None:
        store = results.load_if_any("demo", folder=folder)
        while True:
            state += 1
            store = commit_state(store, state)

    found: dict[str, list[int]] = {"states": [1], "left": []}
    for _ in range(25):
        before = (folder / MANIFEST).stat().st_mtime_ns
        number = forked(lambda: write(found["states"][-1]))
        while (folder / MANIFEST).stat().st_mtime_ns == before:
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.03))
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
        found["states"].append(committed_state(folder))
        found["left"].append(unknown_files(folder))
    return found


def in_another_process(function: Callable[[Path], object], folder: Path) -> dict[str, list[int]]:
    """Call a function of this module where there is nothing but the store that a fork copies."""
    code = (
        f"import json, pathlib; from {__name__} import {function.__name__} as function\n"
        f"print(json.dumps(function(pathlib.Path({str(folder)!r}))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_kill_before_any_step_of_a_commit_leaves_the_old_state_or_the_new(
    tmp_path: Path,
) -> None:
    found = in_another_process(kill_before_each_step, tmp_path)
    assert set(found["exits"][:-1]) == {-signal.SIGKILL} and found["exits"][-1] == 0
    # At least content, name and rights of two tables and of the manifest.
    assert len(found["exits"]) > 9
    # At first the old state, after the manifest's rename the new, and nothing in between.
    assert found["states"] == sorted(found["states"]) and set(found["states"]) == {1, 2}
    assert not any(found["left"])


def test_kills_at_random_moments_leave_one_of_the_committed_states(tmp_path: Path) -> None:
    found = in_another_process(kill_at_random, tmp_path)
    states = found["states"]
    assert all(later > earlier for earlier, later in itertools.pairwise(states))
    # The kills did hit writes, else this would test nothing.
    assert any(found["left"])
    commit_state(results.load("demo", folder=tmp_path), 1)
    assert unknown_files(tmp_path) == 0
