"""The store: what it reads, what it drops, and what a kill leaves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from pandera.errors import SchemaError
from pydantic import ValidationError

from analysis import derivation
from analysis.project import files, paths
from analysis.project.errors import UserError
from analysis.results import store as stores
from analysis.results import tables, verification
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.records import Broken, RunRecord, TableEntry
from analysis.results.status import ANALYSES
from analysis.results.store import CLAIMS, RUN, Store
from analysis.study import Study
from tests.made_up import STUDY, add_run, filled, history, made_up_study

# What the study of these tests asks for.
RUNS = ("r0f0", "r0f1", "r1f0", "r1f1")
MEASURED = {name: kind for name, kind in ANALYSES.items() if name != "corruptions"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "results"))
    return tmp_path


def test_what_is_written_is_read_again(folder: Path) -> None:
    study = made_up_study(folder)
    written = filled(study)
    opened = Store.open(study)
    assert opened.problems == {} and opened.runs == written.runs
    assert opened.shown_repeats() == {0: ("r0f0", "r0f1"), 1: ("r1f0", "r1f1")}
    assert all(opened.todo(run) == [] for run in study.runs)
    rows = opened.read("r0f1", "predictions")
    assert rows["index"].tolist() == list(range(1, 60, 2))
    assert np.stack(rows["logits"]).shape == (30, 3)
    derivation.derive(opened, say=lambda line: None)
    verification.check_all(opened)


def test_a_table_that_breaks_its_schema_is_never_written(folder: Path) -> None:
    opened = Store.open(made_up_study(folder))
    with pytest.raises(SchemaError):
        opened.write_table("r0f0", "history", history(3).assign(epoch=1))
    assert not opened.folder.exists()


def test_finishing_a_run_touches_its_own_folder_alone(folder: Path) -> None:
    opened = filled(made_up_study(folder))
    touched: list[str] = []
    active = [True]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if active[0] and event in ("open", "os.rename", "os.remove"):
            touched.append(str(arguments[0]))

    sys.addaudithook(hook)
    add_run(opened, opened.study.runs[1])
    active[0] = False
    inside = [path for path in touched if str(opened.folder) in path]
    assert inside and all("r0f1" in path for path in inside)


def test_repeats_that_are_predicted_alone_are_shown_until_one_is_complete(folder: Path) -> None:
    opened = Store.open(made_up_study(folder))
    first, second, third, fourth = opened.study.runs
    add_run(opened, first, analyses=("predictions",))
    assert opened.shown_repeats() == {}
    add_run(opened, second)
    assert opened.shown_repeats() == {0: ("r0f0", "r0f1")}
    add_run(opened, third)
    add_run(opened, fourth)
    assert opened.shown_repeats() == {1: ("r1f0", "r1f1")}
    assert opened.state(first) == {
        "training": "done",
        "attributes": "missing",
        "duplicates": "missing",
        "predictions": "done",
        "maps": "missing",
        "attacks": "missing",
        "controls": "missing",
    }


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ("epochs = 2", "epochs = 3", ["training", *MEASURED]),
        ("size = 64 }\ntraining", "size = 32 }\ntraining", ["training"]),
        ('"layer2.0", "layer1.0"', '"layer2.0"', ["maps"]),
        ("native_epsilons = [0.015]", "native_epsilons = [0.02]", ["attacks", "controls"]),
        ("repeats = 2", "repeats = 3", []),
        ("resamples = 100", "resamples = 200", []),
        ('title = "Made-up results"', 'title = "Another"', []),
        ("folds = 2 }", 'folds = 2, noun = "digit", show = true, sequence = true }', []),
    ],
)
def test_only_what_depends_on_a_change_is_stale(
    folder: Path, old: str, new: str, stale: list[str]
) -> None:
    filled(made_up_study(folder))
    assert old in STUDY
    study = made_up_study(folder, STUDY.replace(old, new))
    state = Store.open(study).state(study.runs[0])
    assert [step for step in stale if state[step] != "stale"] == []
    if "training" not in stale:
        assert [step for step, is_ in state.items() if is_ != "done"] == stale


def test_other_weights_make_every_analysis_of_the_network_stale(folder: Path) -> None:
    opened = filled(made_up_study(folder))
    record = opened.runs["r0f0"]
    training = record.training.model_copy(update={"weights": "6" * 64})
    opened.write_run(record.model_copy(update={"training": training}))
    again = Store.open(opened.study)
    assert again.state(opened.study.runs[0]) == {
        "training": "done",
        **{name: "stale" if kind.network else "done" for name, kind in MEASURED.items()},
    }


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "bit":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif how == "cut":
        path.write_bytes(content[:-1])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


def test_damage_to_any_file_is_found_and_named(folder: Path) -> None:
    """Each file with one of four kinds of damage in turn; see test_faults.py for all of all."""
    study = made_up_study(folder)
    opened = filled(study)
    derivation.derive(opened, say=lambda line: None)
    written = [path for path in sorted(opened.folder.rglob("*.*")) if path.name != stores.LOCK]
    for path, how in zip(written, cycle(("bit", "cut", "empty", "gone")), strict=False):
        whole = path.read_bytes()
        damage(path, how)
        with pytest.raises(UserError, match=f"{path.name}|{path.parent.name}/?:"):
            verification.check_all(Store.open(study))
        path.write_bytes(whole)
    assert verification.check_all(Store.open(study)) > 20


def test_every_bit_of_a_record_counts(folder: Path) -> None:
    opened = filled(made_up_study(folder))
    path = opened.folder / "r0f0" / RUN
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(len(whole), size=60):
        flipped = bytes([whole[place] ^ (1 << int(place % 7))])
        path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        with pytest.raises(Broken):
            RunRecord.read(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: {"repeat": 1},
        lambda record: {"study": "another"},
        lambda record: {"seed": 9},
    ],
)
def test_a_record_of_another_run_or_study_does_not_count(
    folder: Path, change: Callable[[RunRecord], dict[str, object]]
) -> None:
    opened = filled(made_up_study(folder))
    record = opened.runs["r0f0"]
    record.model_copy(update=change(record)).write(opened.folder / "r0f0" / RUN)
    again = Store.open(opened.study)
    assert "r0f0" not in again.runs and "training" in again.problems["r0f0"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("study", "../../elsewhere"),
        ("finished", "zzzz"),
        ("device", "x" * 1000),
        ("revision", "{{< env TOKEN >}}"),
        ("packages", {"numpy": "{{< env TOKEN >}}"}),
        ("seconds", -1),
        ("repeat", -1),
        ("classes", ["one"]),
        ("classes", ["same", "same"]),
    ],
)
def test_fields_of_a_record_hold_what_they_are_for(folder: Path, field: str, value: object) -> None:
    opened = filled(made_up_study(folder))
    path = opened.folder / "r0f0" / RUN
    content = json.loads(path.read_text())
    target = content if field in content else content["training"]
    target[field] = value
    del content["sha256"]
    # Sealed as whoever writes a record by hand would seal it.
    seal = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({"sha256": seal, **content}, indent=1) + "\n")
    with pytest.raises(Broken, match=field):
        RunRecord.read(path)


def test_a_copied_run_counts_without_further_ado(folder: Path) -> None:
    study = made_up_study(folder)
    opened = filled(study)
    derivation.derive(opened, say=lambda line: None)
    moved = folder / "elsewhere"
    shutil.move(opened.folder / "r1f1", moved)
    assert Store.open(study).todo(study.runs[3])
    shutil.copytree(moved, opened.folder / "r1f1")
    every = sum(path.is_file() for path in opened.folder.rglob("*"))
    assert verification.check_all(Store.open(study)) == every > 20


@pytest.mark.parametrize(
    ("table", "change", "problem"),
    [
        ("predictions", lambda t: t.iloc[:-1], "labels|every image|images that predictions"),
        ("predictions", lambda t: t.assign(predicted=(t["predicted"] + 1) % 3), "largest logit"),
        ("predictions", lambda t: t.assign(label=9), "beyond the 3 classes"),
        ("predictions", lambda t: t.iloc[:0], "empty"),
        ("attacks", lambda t: t.assign(label=(t["label"] + 1) % 3), "labels"),
        ("attacks", lambda t: t[t["epsilon"] == 0], "other sizes"),
        ("attacks", lambda t: t.drop(t.index[3]), "every image"),
        ("maps", lambda t: t[t["layer"] == "layer1.0"], "other layers"),
        ("maps", lambda t: t.drop(t.index[3]), "every image"),
        ("history", lambda t: t.iloc[:1], "epochs"),
    ],
)
def test_a_run_whose_tables_do_not_fit_together_is_refused(
    folder: Path, table: str, change: Callable, problem: str
) -> None:
    opened = filled(made_up_study(folder))
    record = opened.runs["r0f0"]
    entry = opened.write_table("r0f0", table, change(opened.read("r0f0", table)))
    if table == "history":
        training = record.training.model_copy(update={"history": entry})
        record = record.model_copy(update={"training": training})
    else:
        analyses = {
            name: one.model_copy(update={"tables": one.tables | {table: entry}})
            if table in one.tables
            else one
            for name, one in record.analyses.items()
        }
        record = record.model_copy(update={"analyses": analyses})
    opened.write_run(record)
    again = Store.open(opened.study)
    with pytest.raises(UserError, match=problem) as error:
        verification.check_all(again)
    assert "r0f0" in str(error.value) or "Repeat 0" in str(error.value)
    with pytest.raises(UserError):
        derivation.derive(again, say=lambda line: None)


def test_runs_of_different_images_are_not_put_together(folder: Path) -> None:
    opened = filled(made_up_study(folder))
    opened.write_run(opened.runs["r1f0"].model_copy(update={"images": "2" * 64}))
    with pytest.raises(UserError, match="different images"):
        derivation.derive(Store.open(opened.study), say=lambda line: None)


def test_what_is_derived_already_needs_no_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = made_up_study(folder)
    derivation.derive(filled(study), say=lambda line: None)
    monkeypatch.setattr(Store, "locked", lambda opened: pytest.fail("as if it could be written"))
    said: list[str] = []
    assert derivation.judged(study, say=said.append).claims and said == ["made: nothing to do."]


def test_a_stranger_in_the_folder_is_named(folder: Path) -> None:
    opened = filled(made_up_study(folder))
    # What a file browser leaves is none.
    for path in (".DS_Store", "r0f0/.DS_Store", "r0f0/desktop.ini", "r0f0/Thumbs.db"):
        (opened.folder / path).touch()
    verification.check_folder(opened.folder, asked=RUNS)
    (opened.folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt does not belong"):
        verification.check_folder(opened.folder, asked=RUNS)


@pytest.mark.parametrize("where", ["r0f0", "."])
def test_a_table_that_no_record_lists_is_named(folder: Path, where: str) -> None:
    study = made_up_study(folder)
    opened = filled(study)
    derivation.derive(opened, say=lambda line: None)
    # A table of another study as much as one that was left.
    (stranger,) = (opened.folder / "r1f1").glob("maps*")
    place = opened.folder / where
    for name in (stranger.name, f"estimates-{'0' * 12}.parquet"):
        shutil.copy(stranger, place / name)
        with pytest.raises(UserError, match=f"{name} does not belong"):
            verification.check_all(Store.open(study))
        # While others are written, and after a kill then, there are such tables.
        tables.announce(place)
        verification.check_all(Store.open(study))
        (place / tables.WRITING).unlink()
        (place / name).unlink()


def test_tables_without_their_record_are_named(folder: Path) -> None:
    opened = filled(made_up_study(folder))
    with pytest.raises(UserError, match=r"claims\.json is missing, although a repeat is complete"):
        verification.check_all(opened)
    (opened.folder / "r1f0" / RUN).unlink()
    with pytest.raises(UserError, match=r"r1f0/run\.json is missing, but its tables are there"):
        verification.check_folder(opened.folder, asked=RUNS)
    shutil.rmtree(opened.folder / "r1f0")
    (opened.folder / "r1f0").touch()
    with pytest.raises(UserError, match="r1f0 does not belong"):
        verification.check_folder(opened.folder, asked=RUNS)


def test_an_unknown_derived_table_is_an_error(folder: Path) -> None:
    opened = filled(made_up_study(folder))
    record = derivation.derive(opened, say=lambda line: None)
    assert record is not None
    entries = record.tables | {"odd": record.tables["runs"]}
    record.model_copy(update={"tables": entries}).write(opened.folder / CLAIMS)
    with pytest.raises(UserError, match=r"claims\.json lists a table that is not known, 'odd'"):
        verification.check_all(opened)


def test_derived_results_are_of_the_runs_that_are_there(folder: Path) -> None:
    opened = filled(made_up_study(folder))
    derivation.derive(opened, say=lambda line: None)
    derivation.check_current(opened)
    add_run(opened, opened.study.runs[0], weights="7" * 64)
    with pytest.raises(
        UserError, match=r"claims\.json was derived from other runs.*\n.*claims made"
    ):
        derivation.check_current(Store.open(opened.study))


def test_a_table_is_named_after_its_content_and_has_no_infinite_number(folder: Path) -> None:
    opened = filled(made_up_study(folder))
    entry = opened.runs["r0f0"].tables["maps"]
    with pytest.raises(ValidationError, match="must be named after its SHA-256"):
        TableEntry(file=entry.file, sha256="0" * 64, rows=entry.rows)
    derivation.derive(opened, say=lambda line: None)
    estimates = stores.derived("made").table("estimates")
    with pytest.raises(SchemaError, match="no infinite number"):
        DERIVED_TABLES["estimates"].validate(estimates.assign(high=np.inf))


@pytest.mark.parametrize("how", ["bit", "gone"])
@pytest.mark.parametrize("pattern", ["run.json", "maps*"])
def test_results_are_never_derived_again_from_less_than_before(
    folder: Path, how: str, pattern: str
) -> None:
    study = made_up_study(folder)
    opened = filled(study)
    derivation.derive(opened, say=lambda line: None)
    before = (opened.folder / CLAIMS).read_bytes()
    (path,) = (opened.folder / "r0f0").glob(pattern)
    damage(path, how)
    # The other fold of the repeat is not at fault.
    with pytest.raises(UserError, match=r"r0f0: (training|maps) is (broken|missing)"):
        derivation.judged(study, say=lambda line: None)
    assert (opened.folder / CLAIMS).read_bytes() == before


def test_what_is_predicted_alone_gives_way_to_a_complete_repeat(folder: Path) -> None:
    opened = Store.open(made_up_study(folder))
    for run in opened.study.runs:
        add_run(opened, run, analyses=("predictions",))
    assert set(derivation.judged(opened.study, say=lambda line: None).repeats) == {0, 1}
    for run in opened.study.runs[2:]:
        add_run(opened, run)
    assert set(derivation.judged(opened.study, say=lambda line: None).repeats) == {1}


def test_what_a_study_no_longer_asks_for_is_kept_aside(folder: Path) -> None:
    opened = filled(made_up_study(folder))
    before = (opened.folder / "r0f0" / RUN).read_bytes()
    kept = Path(opened.set_aside(opened.study.runs[0]))
    assert (kept / RUN).read_bytes() == before
    assert kept.parent.name == stores.SUPERSEDED
    assert opened.set_aside(opened.study.runs[0]) == str(kept)
    verification.check_folder(opened.folder, asked=RUNS)


def test_an_analysis_that_left_the_study_is_kept_aside_and_said(folder: Path) -> None:
    filled(made_up_study(folder))
    study = made_up_study(
        folder, STUDY.replace("maps =", "corruptions = { noise = [0.1] }\n# maps =")
    )
    opened, said, run = Store.open(study), list[str](), study.runs[0]
    (maps,) = (opened.folder / "r0f0").glob("maps*")
    opened.keep_earlier(run, say=said.append)
    add_run(opened, run)
    assert not maps.exists()
    (kept,) = (opened.folder / stores.SUPERSEDED).glob(f"r0f0-*/{maps.name}")
    place = paths.shown(kept.parent)
    text = f"r0f0: maps is not in the study any more; its earlier results are kept in {place}"
    assert said == [text]
    opened.keep_earlier(run, say=said.append)
    assert said == [text]


# ------------------------------------------------------------------------------ killed


def die_after(steps: int) -> None:
    """Kill this process before one step on the disk too many."""
    left = [steps]

    def counted(step: Callable) -> Callable:
        def with_count(*arguments: object, **options: object) -> object:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return step(*arguments, **options)

        return with_count

    os.fsync = counted(os.fsync)
    for name in ("replace", "unlink", "write_bytes"):
        setattr(Path, name, counted(getattr(Path, name)))


def write_and_die(study: Study, steps: int) -> None:
    """Write other results of a run, and derive again, but be killed before a step."""
    die_after(steps)
    opened = Store.open(study)
    add_run(opened, study.runs[0], weights="7" * 64)
    derivation.derive(opened, say=lambda line: None)


def state_of(study: Study) -> tuple[str, str]:
    """Return the network of the run, and what the derived results follow from, all verified."""
    opened = Store.open(study)
    verification.check_all(opened)
    derived = stores.derived(study.name)
    return opened.runs["r0f0"].training.weights or "", derived.record.inputs


def kill_before(folder: str, every: int) -> list[tuple[str, str]]:
    """Return the states that are found after a kill every so many steps, the last after none."""
    study = made_up_study(Path(folder))
    saved, place = Path(folder) / "saved", Store.open(study).folder
    states, status = [], -signal.SIGKILL
    while status == -signal.SIGKILL:
        shutil.rmtree(place)
        shutil.copytree(saved, place)
        number = os.fork()
        if number == 0:
            write_and_die(study, every * len(states))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
        states.append(state_of(study))
    assert status == 0
    return states


# Two steps write a table, so that each kind is met in turn.
@pytest.mark.parametrize("every", [61, pytest.param(1, marks=pytest.mark.slow)])
def test_a_kill_before_any_step_leaves_the_old_results_or_the_new(folder: Path, every: int) -> None:
    study = made_up_study(folder)
    opened = filled(study)
    derivation.derive(opened, say=lambda line: None)
    old = state_of(study)
    shutil.copytree(opened.folder, folder / "saved")
    # In another process, which has no threads that a fork would lose.
    code = f"import json; from {__name__} import kill_before; "
    code += f"print(json.dumps(kill_before({str(folder)!r}, {every})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    states = [tuple(state) for state in json.loads(done.stdout)]
    assert len(states) > 3
    # First the old run and then the new one; the derived results follow, and are whole at any time.
    assert states == sorted(states, key=lambda state: (state[0], state[1] != old[1]))
    assert states[0] == old and states[-1][0] == "7" * 64 and states[-1][1] != old[1]
    assert not list(opened.folder.rglob(f"{files.TEMPORARY}*"))
