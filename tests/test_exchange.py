"""Runs that move between checkouts: the same bytes and results, and no other archive is taken."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from analysis import analyses, derived, exchange, paths, results, study
from analysis.analyses import ANALYSES
from analysis.derived import alone
from analysis.exchange import RUN, sealed
from analysis.files import TEMPORARY
from analysis.results import MANIFEST
from tests.killing import counter
from tests.playground import Playground
from tests.test_pipeline import assert_equal

Command = Callable[..., tuple[int, str, str]]
Members = dict[str, bytes]
FIRST, SECOND = "tiny-r0f0.fmrun", "tiny-r1f0.fmrun"


def content(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by its name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def exported(undisturbed: Playground, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both runs of the tiny study; not to be changed."""
    folder = tmp_path_factory.mktemp("exported")
    stored = results.load("tiny", folder=undisturbed.results)
    exchange.export(study.load(undisturbed.study), stored, to=folder)
    assert sorted(os.listdir(folder)) == [FIRST, SECOND]
    return folder


@pytest.fixture
def both(exported: Path, tmp_path: Path) -> Path:
    """Return a folder with copies of both archives, to be damaged at will."""
    return Path(shutil.copytree(exported, tmp_path / "both"))


def bring(command: Command, place: Playground, *arguments: str | Path) -> tuple[int, str, str]:
    return command("import", "--study", place.study, *arguments)


def refused(answer: tuple[int, str, str], *words: str) -> None:
    """Check that a command failed, told in one or two lines with the given words."""
    status, out, errors = answer
    assert (status, out) == (1, "")
    assert len(errors.splitlines()) <= 2 and "Traceback" not in errors
    assert max(map(len, errors.splitlines())) < 500
    for word in words:
        assert word in errors


def changed(path: Path, change: Callable[[Members], object]) -> Path:
    """Change the members of an archive as somebody might who knows how one is made."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    return rewritten(path, members)


def rewritten(path: Path, members: Members, *, compression: int = zipfile.ZIP_STORED) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    path.write_bytes(sealed(buffer.getvalue()))
    return path


def edited(path: Path, change: Callable[[dict], object]) -> Path:
    """Change what an archive says of its run."""

    def edit(members: Members) -> None:
        record = json.loads(members[RUN])
        change(record)
        members[RUN] = json.dumps(record).encode()

    return changed(path, edit)


# ------------------------------------------------------------------------------ export


def test_the_same_run_gives_the_same_bytes(
    finished: Playground, exported: Path, command: Command
) -> None:
    status, out, errors = command("export", finished.study, "r1f0", "--to", finished.folder / "new")
    assert (status, errors) == (0, "")
    path = finished.folder / "new" / SECOND
    assert out.startswith(f"{path}  ") and len(out.splitlines()) == 1
    assert content(path.parent) == {SECOND: (exported / SECOND).read_bytes()}


def test_any_reader_of_zip_files_can_open_an_archive(
    undisturbed: Playground, exported: Path
) -> None:
    with zipfile.ZipFile(exported / FIRST) as archive:
        assert archive.testzip() is None
        comment = archive.comment.decode()
        members = {name: archive.read(name) for name in archive.namelist()}
    record = json.loads(members.pop(RUN))
    stored = content(undisturbed.results)
    assert members == {name: stored[name] for name in members}
    assert set(members) == {name for name in stored if "-r0f0-" in name}
    manifest = json.loads(stored[MANIFEST])
    assert record["entry"] == manifest["runs"]["r0f0"]
    assert (record["study"], record["run"]) == ("tiny", "r0f0")
    assert record["study_digest"] == manifest["study_digest"]
    assert record["data_digest"] == manifest["data_digest"]
    assert record["versions"]["attacks"] == ANALYSES["attacks"].version
    # Without its comment, as the library itself takes it away, the archive has that SHA-256.
    bare = io.BytesIO((exported / FIRST).read_bytes())
    with zipfile.ZipFile(bare, "a") as archive:
        archive.comment = b""
    bare.seek(0)
    assert comment == hashlib.sha256(bare.read()).hexdigest()


def test_a_run_is_exported_to_a_file_or_a_folder(finished: Playground, command: Command) -> None:
    file, folder = finished.folder / "deep" / "mine.fmrun", finished.folder / "mine"
    assert command("export", finished.study, "r0f0", "--to", file)[0] == 0
    assert command("export", finished.study, "--to", folder)[0] == 0
    assert sorted(os.listdir(folder)) == [FIRST, SECOND]
    assert file.read_bytes() == (folder / FIRST).read_bytes()
    refused(command("export", finished.study, "r0f0", "r1f0", "--to", file), str(file), "folder")


def test_an_unknown_run_is_answered_with_the_nearest(
    finished: Playground, command: Command
) -> None:
    to = finished.folder / "new"
    refused(command("export", finished.study, "r0f1", "--to", to), "'r0f1'", "'r0f0'")
    assert not to.exists()


def test_a_run_that_is_stale_broken_or_missing_is_not_exported(
    finished: Playground, command: Command
) -> None:
    to = finished.folder / "new"
    finished.table("maps").write_bytes(b"PAR1")
    finished.edit("[0, 0.01, 0.05]", "[0, 0.01, 0.04]")
    finished.edit("repeats = 2", "repeats = 3")
    told = command("export", finished.study, "r0f0", "--to", to)
    refused(told, "r0f0 is not finished", "saliency is broken, attacks is stale", "analysis run")
    told = command("export", finished.study, "r2f0", "--to", to)
    refused(told, "r2f0 is not finished", "training is missing")
    refused(command("export", finished.study, "--to", to), "no finished run")
    assert not to.exists()


def test_before_the_first_run_there_is_nothing_to_export(
    playground: Playground, command: Command
) -> None:
    refused(command("export", playground.study), "holds no results", str(playground.study))


# ------------------------------------------------------------------------------ import


def test_imported_runs_give_the_results_of_one_place(
    playground: Playground, undisturbed: Playground, exported: Path, command: Command
) -> None:
    # Not in their order, and with another run in between.
    status, out, errors = bring(command, playground, exported / SECOND)
    assert (status, errors) == (0, "")
    assert out == "tiny: r1f0 imported\ntiny: estimates and claims derived again\n"
    assert list(results.load("tiny").manifest.runs) == ["r1f0"]
    assert bring(command, playground, exported / FIRST)[0] == 0
    # File by file, durations as well, since nothing was computed twice.
    assert content(playground.results) == content(undisturbed.results)
    assert command("status", playground.study)[1].startswith("tiny: 2 of 2 runs done")
    assert command("run", playground.study)[1] == "tiny: nothing to do.\n"


def test_a_run_made_here_joins_one_that_was_made_elsewhere(
    playground: Playground, undisturbed: Playground, exported: Path, command: Command
) -> None:
    assert bring(command, playground, exported / FIRST)[0] == 0
    out = command("run", playground.study)[1]
    assert "r1f0 epoch 1" in out and "r0f0" not in out
    assert_equal(playground, undisturbed)


def test_a_second_import_changes_nothing(
    finished: Playground, exported: Path, command: Command
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.results.iterdir()}
    for arguments in ([], ["--replace"]):
        told = bring(command, finished, exported / FIRST, exported / SECOND, *arguments)
        assert told == (0, "tiny: r0f0 is here already\ntiny: r1f0 is here already\n", "")
    assert {path: path.stat().st_mtime_ns for path in finished.results.iterdir()} == before


def test_what_follows_is_derived_once_for_all_files(
    playground: Playground, exported: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    concluded = []
    monkeypatch.setattr(derived, "conclude", lambda store: concluded.append(store.manifest.runs))
    # The same file twice is one run.
    files = [exported / FIRST, exported / SECOND, exported / FIRST]
    assert bring(command, playground, *files)[0] == 0
    assert [list(runs) for runs in concluded] == [["r0f0", "r1f0"]]


def test_another_revision_of_the_code_does_not_matter(
    playground: Playground, both: Path, command: Command
) -> None:
    def change(record: dict) -> None:
        record["entry"]["training"]["revision"] = "of another day"
        record["study_digest"] = "of another bootstrap"

    assert bring(command, playground, edited(both / FIRST, change))[0] == 0
    entry = results.load("tiny").manifest.runs["r0f0"]
    assert entry.training.revision == "of another day"


def test_claims_that_are_missing_after_a_kill_are_derived_by_the_same_import(
    finished: Playground, undisturbed: Playground, exported: Path, command: Command
) -> None:
    finished.edit_manifest(lambda manifest: manifest.update(claims=None))
    out = bring(command, finished, exported / FIRST)[1]
    assert "r0f0 is here already" in out and "derived again" in out
    assert content(finished.results) == content(undisturbed.results)


def test_a_run_that_is_not_finished_here_is_completed(
    finished: Playground, undisturbed: Playground, exported: Path, command: Command
) -> None:
    finished.edit_manifest(lambda content: content["runs"]["r1f0"]["analyses"].pop("controls"))
    assert "r1f0 imported" in bring(command, finished, exported / SECOND)[1]
    assert content(finished.results) == content(undisturbed.results)


def test_what_is_stale_is_left_out_and_named(
    finished: Playground, both: Path, command: Command
) -> None:
    # Results from before the attacks were changed, and a run from after.
    finished.edit("[0, 0.01, 0.05]", "[0, 0.01, 0.04]")
    chosen = study.load(finished.study)

    def change(record: dict) -> None:
        record["sections"]["attack"] = chosen.digest("attack")
        record["entry"]["analyses"]["attacks"]["digest"] = analyses.digest(chosen, "attacks")

    out = bring(command, finished, edited(both / FIRST, change))[1]
    assert "r0f0 imported" in out and "r1f0 attacks was stale, and is left out" in out
    assert "attacks" not in results.load("tiny").manifest.runs["r1f0"].analyses
    results.load("tiny").verify()


def test_what_only_moves_runs_imports_no_torch(finished: Playground, exported: Path) -> None:
    code = (
        "import json, sys; from analysis.__main__ import main; status = main(sys.argv[1:])\n"
        "print(json.dumps([status, sorted(name for name in sys.modules if '.' not in name)]))"
    )
    for arguments in (
        ["export", finished.study, "--to", finished.folder / "new"],
        ["import", "--study", finished.study, exported / FIRST],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=paths.ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        status, modules = json.loads(done.stdout.splitlines()[-1])
        assert status == 0 and "analysis" in modules
        assert not {"torch", "torchvision", "timm", "captum", "art"} & set(modules)


# ------------------------------------------------------------------------------ already here


def with_other_weights(record: dict) -> None:
    record["entry"]["training"]["weights_sha256"] = "0" * 64


def with_the_history_of(path: Path) -> Callable[[Members], None]:
    """Return a change that puts the history of another run into an archive."""

    def change(members: Members) -> None:
        with zipfile.ZipFile(path) as other:
            (name,) = [name for name in other.namelist() if name.startswith("history")]
            history = other.read(name)
        (old,) = [name for name in members if name.startswith("history")]
        del members[old]
        digest = hashlib.sha256(history).hexdigest()
        record = json.loads(members[RUN])
        file = f"history-{record['run']}-{digest[:12]}.parquet"
        entry = {"file": file, "sha256": digest, "rows": 3}
        record["entry"]["training"]["history"] = entry
        with_other_weights(record)
        members[RUN], members[file] = json.dumps(record).encode(), history

    return change


def test_a_run_with_other_weights_is_taken_only_where_it_may_replace(
    finished: Playground, undisturbed: Playground, both: Path, command: Command
) -> None:
    archive = changed(both / FIRST, with_the_history_of(both / SECOND))
    told = bring(command, finished, archive)
    refused(told, str(archive), "r0f0 with other weights", "--replace", "nothing was changed")
    assert content(finished.results) == content(undisturbed.results)
    old = finished.table("history").name
    assert "r0f0 imported" in bring(command, finished, archive, "--replace")[1]
    assert results.load("tiny").manifest.runs["r0f0"].training.weights_sha256 == "0" * 64
    assert finished.table("history").name != old
    results.load("tiny").verify()


def test_the_same_weights_need_not_have_been_probed_on_the_same_machine(
    finished: Playground, undisturbed: Playground, both: Path, command: Command
) -> None:
    archive = edited(both / FIRST, lambda r: r["entry"]["training"].update(device="another"))
    assert bring(command, finished, archive)[1] == "tiny: r0f0 is here already\n"
    assert content(finished.results) == content(undisturbed.results)


def test_two_archives_of_one_run_are_refused(
    playground: Playground, exported: Path, both: Path, command: Command
) -> None:
    other = edited(both / FIRST, with_other_weights)
    told = bring(command, playground, exported / FIRST, other)
    refused(told, str(other), str(exported / FIRST), "Leave one of them out")
    assert not playground.results.exists()


# ------------------------------------------------------------------------------ not in order


def test_either_all_archives_are_taken_or_none(
    playground: Playground, both: Path, command: Command
) -> None:
    (both / SECOND).write_bytes((both / SECOND).read_bytes()[:-1])
    told = bring(command, playground, both / FIRST, both / SECOND)
    refused(told, str(both / SECOND), "truncated")
    assert not playground.results.exists()


def test_no_truncated_archive_is_taken(
    playground: Playground, both: Path, command: Command
) -> None:
    whole = (both / FIRST).read_bytes()
    for length in (0, 1, 3, 100, len(whole) // 2, len(whole) - 65, len(whole) - 1):
        (both / FIRST).write_bytes(whole[:length])
        refused(bring(command, playground, both / FIRST), str(both / FIRST), "truncated")
    for longer in (whole + b"x", b"x" + whole, whole + whole):
        (both / FIRST).write_bytes(longer)
        refused(bring(command, playground, both / FIRST), str(both / FIRST))
    assert not playground.results.exists()


def test_no_altered_byte_goes_unseen(playground: Playground, both: Path, command: Command) -> None:
    whole = (both / FIRST).read_bytes()
    generator = random.Random(0)
    # Anywhere, and everywhere at the end, where the format keeps its own numbers.
    spread = generator.sample(range(len(whole)), 100)
    for position in [*spread, *range(len(whole) - 90, len(whole))]:
        altered = bytearray(whole)
        altered[position] ^= 1 << generator.randrange(8)
        (both / FIRST).write_bytes(altered)
        refused(bring(command, playground, both / FIRST), str(both / FIRST))
    assert not playground.results.exists()


def test_what_is_no_archive_is_refused(
    playground: Playground, both: Path, command: Command
) -> None:
    refused(bring(command, playground, both / "absent.fmrun"), "absent.fmrun is missing")
    refused(bring(command, playground, both), f"{both} is missing")
    for name, data in {"text": b"Not a run.", "empty": b"", "table": b"PAR1"}.items():
        (both / name).write_bytes(data)
        refused(bring(command, playground, both / name), "is no archive of a run")
    # Sealed, as if by somebody who knows how.
    refused(bring(command, playground, rewritten(both / "zip", {"a": b"b"})), "no archive of a run")
    refused(bring(command, playground, rewritten(both / "none", {})), "no archive of a run")


@pytest.mark.parametrize(
    "name",
    [
        "../evil.parquet",
        "/tmp/evil.parquet",
        "C:\\evil.parquet",
        "sub/predictions-r0f0-0123456789ab.parquet",
        "manifest.json",
        "predictions-r0f0-0123456789ab.parquet",
        "predictions-r0f0-0123456789ab.parquet/",
    ],
)
def test_an_archive_may_hold_nothing_but_its_run(
    playground: Playground, both: Path, command: Command, name: str
) -> None:
    before = sorted(playground.folder.parent.rglob("*"))
    archive = changed(both / FIRST, lambda members: members.update({name: b"evil"}))
    refused(bring(command, playground, archive), str(archive), "which is no file of r0f0")
    assert not playground.results.exists()
    assert [path for path in playground.folder.parent.rglob("*") if path not in before] == []


@pytest.mark.parametrize("name", ["../evil.parquet", "/tmp/evil.parquet", "manifest.json"])
def test_a_table_may_have_no_other_name_than_its_own(
    playground: Playground, both: Path, command: Command, name: str
) -> None:
    def change(members: Members) -> None:
        record = json.loads(members[RUN])
        entry = record["entry"]["analyses"]["predictions"]["tables"]["predictions"]
        members[name] = members.pop(entry["file"])
        entry["file"] = name
        members[RUN] = json.dumps(record).encode()

    archive = changed(both / FIRST, change)
    refused(bring(command, playground, archive), str(archive))
    assert not playground.results.exists()


def test_a_member_may_not_come_twice_or_compressed(
    playground: Playground, both: Path, command: Command
) -> None:
    with zipfile.ZipFile(both / FIRST) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    archive = rewritten(both / FIRST, members, compression=zipfile.ZIP_DEFLATED)
    refused(bring(command, playground, archive), "compressed")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as twice, pytest.warns(UserWarning):
        for name, data in [*members.items(), (RUN, members[RUN])]:
            twice.writestr(name, data)
    archive.write_bytes(sealed(buffer.getvalue()))
    refused(bring(command, playground, archive), "twice")


def predictions_of(members: Members) -> str:
    (name,) = [name for name in members if name.startswith("predictions")]
    return name


def vouched(members: Members, table: pd.DataFrame, *, rows: int | None = None) -> None:
    """Replace the predictions by others that the archive vouches for."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    del members[predictions_of(members)]
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    file = f"predictions-r0f0-{digest[:12]}.parquet"
    record = json.loads(members[RUN])
    record["entry"]["analyses"]["predictions"]["tables"]["predictions"] = {
        "file": file,
        "sha256": digest,
        "rows": len(table) if rows is None else rows,
    }
    members[RUN], members[file] = json.dumps(record).encode(), buffer.getvalue()


def read_predictions(members: Members) -> pd.DataFrame:
    return pq.read_table(io.BytesIO(members[predictions_of(members)])).to_pandas()


@pytest.mark.parametrize(
    "change, word",
    [
        (lambda m: m.update({predictions_of(m): b"PAR1"}), "truncated or altered"),
        (lambda m: m.pop(predictions_of(m)), "does not hold the file of predictions"),
        (lambda m: vouched(m, read_predictions(m).drop(columns="photo")), "breaks the schema"),
        (lambda m: vouched(m, read_predictions(m).assign(confidence=2.0)), "breaks the schema"),
        (lambda m: vouched(m, read_predictions(m), rows=61), "has 60 rows, not 61"),
        (lambda m: m.update({RUN: b"{"}), "run.json"),
        (lambda m: m.update({RUN: b"\xff"}), "run.json"),
        (lambda m: m.pop(RUN), "no archive of a run"),
    ],
)
def test_every_file_is_checked(
    playground: Playground,
    both: Path,
    command: Command,
    change: Callable[[Members], object],
    word: str,
) -> None:
    archive = changed(both / FIRST, change)
    refused(bring(command, playground, archive), str(archive), word, "Export the run again")
    assert not playground.results.exists()


@pytest.mark.parametrize(
    "change, word",
    [
        (lambda r: r.update(format=2), "run.json: format"),
        (lambda r: r.update(surprise=1), "run.json: surprise"),
        (lambda r: r["entry"].pop("seed"), "run.json: entry.seed"),
        (lambda r: r["entry"].update(seed=4), "contradicts itself"),
        (lambda r: r["entry"]["training"].update(digest="0"), "contradicts itself"),
        (lambda r: r["entry"]["analyses"]["saliency"].update(digest="0"), "contradicts itself"),
    ],
)
def test_what_an_archive_says_is_checked(
    playground: Playground,
    both: Path,
    command: Command,
    change: Callable[[dict], object],
    word: str,
) -> None:
    archive = edited(both / FIRST, change)
    refused(bring(command, playground, archive), str(archive), word)
    assert not playground.results.exists()


# ------------------------------------------------------------------------------ not of this study


@pytest.mark.parametrize(
    "old, new, word",
    [
        ("learning_rate = 2e-3", "learning_rate = 3e-3", "its training is not"),
        ("[0, 0.01, 0.05]", "[0, 0.01, 0.04]", "its attack is not"),
        ("photos = 10", "photos = 11", "its controls is not"),
        ("seed = 3", "seed = 4", "its seed is not"),
        ("test = 60", "test = 61", "its data is not"),
    ],
)
def test_a_run_of_another_study_is_refused(
    playground: Playground, exported: Path, command: Command, old: str, new: str, word: str
) -> None:
    playground.edit(old, new)
    told = bring(command, playground, exported / FIRST)
    refused(told, FIRST, "of another study", word, "nothing was changed")
    assert not playground.results.exists()


def test_what_a_run_does_not_depend_on_may_differ(
    playground: Playground, exported: Path, command: Command
) -> None:
    playground.edit("resamples = 100", "resamples = 150")
    playground.edit("A study that takes seconds", "Another title")
    playground.edit("repeats = 2", "repeats = 3")
    assert bring(command, playground, exported / FIRST)[0] == 0
    assert results.load("tiny").study == study.load(playground.study)


def test_a_run_that_the_study_does_not_have_is_refused(
    playground: Playground, exported: Path, command: Command
) -> None:
    playground.edit("repeats = 2", "repeats = 1")
    told = bring(command, playground, exported / SECOND)
    refused(told, SECOND, "'r1f0', which is no run of tiny", "split.repeats")


@pytest.mark.parametrize("step", ["training", "saliency"])
def test_another_version_is_refused(
    playground: Playground,
    exported: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    if step == "training":
        monkeypatch.setattr(analyses, "TRAINING_VERSION", 9)
    else:
        monkeypatch.setitem(ANALYSES, step, replace(ANALYSES[step], version=9))
    told = bring(command, playground, exported / FIRST)
    refused(told, FIRST, f"another version of {step}: 1, and 9 here", "same code")
    assert not playground.results.exists()


def test_an_analysis_that_one_side_does_not_have_is_refused(
    playground: Playground, exported: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.delitem(ANALYSES, "localisation")
        told = bring(command, playground, exported / FIRST)
        refused(told, "another version of localisation: 1, and none here")
    monkeypatch.setitem(ANALYSES, "new", replace(ANALYSES["controls"], tables=("new",)))
    told = bring(command, playground, exported / FIRST)
    refused(told, "another version of new: none, and 1 here")


def test_a_run_on_other_images_is_refused(
    finished: Playground, undisturbed: Playground, both: Path, command: Command
) -> None:
    finished.edit_manifest(lambda manifest: manifest["runs"].pop("r0f0"))
    before = content(finished.results)
    archive = edited(both / FIRST, lambda record: record.update(data_digest="f" * 64))
    told = bring(command, finished, archive)
    refused(told, str(archive), "other images", "ffffffffffff…", "same data")
    assert content(finished.results) == before


def test_a_study_that_is_not_here_has_to_be_named(
    playground: Playground, both: Path, command: Command
) -> None:
    refused(command("import", both / FIRST), str(both / FIRST), "'tiny'", "--study")
    told = command("import", "--study", "demo", both / FIRST)
    refused(told, str(both / FIRST), "is of 'tiny', not of 'demo'")
    # Never taken for a path.
    named = edited(both / FIRST, lambda r: r.update(study=str(playground.study)))
    refused(command("import", named), "is of a study", "not here")


def test_results_that_are_not_in_order_are_not_added_to(
    finished: Playground, exported: Path, command: Command
) -> None:
    finished.edit_manifest(lambda manifest: manifest["runs"].pop("r0f0"))
    path = finished.table("history", "r1f0")
    path.write_bytes(b"PAR1")
    refused(bring(command, finished, exported / FIRST), path.name, "git restore")


def test_an_import_waits_for_nobody(finished: Playground, exported: Path, command: Command) -> None:
    with alone(study.load(finished.study)):
        told = bring(command, finished, exported / FIRST)
        refused(told, "being run already; nothing was changed")


# ------------------------------------------------------------------------------ killed


def import_and_die(place: Playground, archive: Path, *, steps: int) -> None:
    """Import an archive, but be killed before one of the steps on the disk."""
    counted = counter(steps)
    os.fsync = counted(os.fsync)
    for name in ("write_bytes", "write_text", "replace", "unlink"):
        setattr(Path, name, counted(getattr(Path, name)))
    exchange.import_runs([archive], study=str(place.study))


def kill_now_and_then(folder: Path) -> list[tuple[int, list[str]]]:
    """Kill imports of a second run, ever later; return exits and the runs found after each."""
    place, found = Playground(folder), []
    exit_code, steps = -1, 0
    while exit_code != 0:
        shutil.rmtree(place.results)
        shutil.copytree(folder / "before", place.results)
        number = os.fork()
        if number == 0:
            try:
                import_and_die(place, folder / FIRST, steps=steps)
            finally:
                # Reached only by an import that was not killed.
                os._exit(0 if "r0f0" in results.load("tiny").manifest.runs else 1)
        exit_code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
        stored = results.load("tiny")
        stored.verify()
        found.append((exit_code, list(stored.manifest.runs)))
        steps += 5
    return found


def test_a_kill_at_any_moment_leaves_the_old_results_or_the_new(
    finished: Playground, undisturbed: Playground, exported: Path, command: Command
) -> None:
    finished.edit_manifest(lambda manifest: manifest["runs"].pop("r0f0"))
    for path in finished.results.glob("*-r0f0-*"):
        path.unlink()
    shutil.copytree(finished.results, finished.folder / "before")
    shutil.copy(exported / FIRST, finished.folder)
    code = (
        f"import json, pathlib; from {__name__} import kill_now_and_then\n"
        f"print(json.dumps(kill_now_and_then(pathlib.Path({str(finished.folder)!r}))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    exits, runs = zip(*json.loads(done.stdout.splitlines()[-1]), strict=True)
    # Eleven files at three steps each, and what follows from them.
    assert len(exits) > 8 and set(exits[:-1]) == {-signal.SIGKILL} and exits[-1] == 0
    assert runs[0] == ["r1f0"] and runs[-1] == ["r0f0", "r1f0"]
    assert all(found in (runs[0], runs[-1]) for found in runs)
    assert sorted(map(len, runs)) == list(map(len, runs))
    # The last import met what the killed ones had left, and it is gone.
    assert not list(finished.results.glob(f"{TEMPORARY}*"))
    assert content(finished.results) == content(undisturbed.results)
