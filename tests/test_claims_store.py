"""Claims in the results store and on the command line: judged, kept, stale, broken and mended."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analysis import analyses, derived, paths, results, state, study
from analysis.claims.catalogue import CATALOGUE
from analysis.derived import alone, conclude
from analysis.errors import UserError
from analysis.files import sha256
from analysis.results import CLAIMS, MANIFEST, AnalysisEntry, Results
from analysis.verdicts import Beside, ClaimsTable, Judgement
from tests.playground import Playground
from tests.stored_files import DERIVED, expected_files, vouched_files

Command = Callable[..., tuple[int, str, str]]
IDS = [claim.id for claim in CATALOGUE]


def refused(answer: tuple[int, str, str], *words: str) -> None:
    """Check that a command failed, told in one or two lines with the given words."""
    status, out, errors = answer
    assert (status, out) == (1, "")
    assert 1 <= len(errors.splitlines()) <= 2 and "Traceback" not in errors
    for word in words:
        assert word in errors


def opened(place: Playground) -> Results:
    return results.load("tiny", folder=place.results)


def missing_files(store: Results) -> set[tuple[str, str]]:
    """Return the table and run of each file that the store lacks; those it has are in order."""
    whole = expected_files(store.study, store.manifest.runs)
    found = vouched_files(store)
    assert found <= whole
    return whole - found


def state_of_claims(place: Playground) -> str:
    return state.claims_state(study.load(place.study), results.load_if_any("tiny"))


def other_predictions(place: Playground, run: str = "r0f0") -> None:
    """Replace the predictions of a run by others, as a run with another version would."""
    store = opened(place)
    entry = store.manifest.runs[run]
    old = entry.analyses["predictions"]
    table = store.read("predictions", old.tables["predictions"])
    table["predicted"] = table["label"]
    written = results.write_table(store.folder, "predictions", table, run=run)
    new = AnalysisEntry(**{**old.model_dump(), "tables": {"predictions": written}})
    changed = entry.model_copy(update={"analyses": {**entry.analyses, "predictions": new}})
    runs = {**store.manifest.runs, run: changed}
    results.write_manifest(store.with_manifest(runs=runs))


# ------------------------------------------------------------------------------ what is stored


def test_a_run_ends_with_every_claim(undisturbed: Playground) -> None:
    store = opened(undisturbed)
    table = store.claims()
    assert [claim.id for claim in table.claims] == IDS
    assert (table.study, table.study_digest) == ("tiny", store.study.digest())
    assert table.digest == state.claims_digest(store.study, store) == store.manifest.claims.digest
    assert table.tested == sum(bool(claim.study.parts) for claim in table.claims)
    assert table.tested_original == 7
    assert table.claim("hard-digits").threshold == 1.25
    # What the catalogue fixed stands in the file, for whoever reads it alone.
    for claim, fixed in zip(table.claims, CATALOGUE, strict=True):
        assert claim.confirmatory == (fixed.threshold is not None)
        assert (claim.statement, claim.test, claim.side) == (
            fixed.statement,
            fixed.test,
            fixed.side,
        )
        for judgement in (claim.study, claim.original):
            assert (judgement.verdict == "not tested") == (not judgement.parts)
            assert judgement.parts or judgement.reason


def test_the_file_is_json_that_any_reader_reads(undisturbed: Playground) -> None:
    def never(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    text = (undisturbed.results / CLAIMS).read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=never)
    assert [claim["id"] for claim in content["claims"]] == IDS
    assert text.endswith("}\n") and "ε" in text


def test_judging_again_gives_the_same_bytes(finished: Playground, command: Command) -> None:
    before = (finished.results / CLAIMS).read_bytes()
    (finished.results / CLAIMS).unlink()
    finished.edit_manifest(lambda content: content.pop("claims"))
    assert state_of_claims(finished) == "missing"
    assert command("claims", finished.study)[0] == 0
    assert (finished.results / CLAIMS).read_bytes() == before
    assert missing_files(opened(finished)) == set()


def test_claims_judges_again_where_the_file_was_deleted(
    finished: Playground, command: Command
) -> None:
    before = (finished.results / CLAIMS).read_bytes()
    (finished.results / CLAIMS).unlink()
    assert command("claims", finished.study)[0] == 0
    assert (finished.results / CLAIMS).read_bytes() == before


def test_what_is_not_defined_comes_back_from_the_file(finished: Playground) -> None:
    store = opened(finished)
    table = store.claims()
    odd = Judgement(verdict="refuted", beside=(Beside(name="gap", value=float("nan")),))
    claims = (table.claims[0].model_copy(update={"study": odd}), *table.claims[1:])
    results.write_claims(store, table.model_copy(update={"claims": claims}))
    read = opened(finished).claims().claims[0].study.value("gap")
    assert np.isnan(read.value) and read.low is None


def test_without_a_complete_repeat_nothing_is_tested(
    finished: Playground, command: Command
) -> None:
    store = conclude(opened(finished).with_manifest(runs={}))
    table = store.claims()
    assert {claim.study.verdict for claim in table.claims} == {"not tested"}
    assert {claim.study.reason for claim in table.claims} == {"no repeat is complete"}
    # The original has been published all the same.
    assert table.claim("accuracy").original.verdict == "supported"
    assert (table.tested, table.tested_original) == (0, 7)
    # What stands beside the claims went with the runs that it was of.
    assert set(store.manifest.derived) <= {"estimates"}


def test_claims_of_a_store_without_a_complete_repeat_say_so(
    finished: Playground, command: Command
) -> None:
    finished.edit_manifest(lambda content: content.update(runs={}))
    for _ in range(2):
        status, out, errors = command("claims", finished.study)
        assert (status, errors) == (0, "")
        assert out.count("no repeat is complete") == len(IDS)
        # Neither estimates nor any table beside the claims is left of the runs that are gone.
        assert vouched_files(opened(finished)) == {("claims", "all")}
        assert set(os.listdir(finished.results)) == {CLAIMS, MANIFEST}


def test_an_analysis_that_a_repeat_lacks_is_not_judged(finished: Playground) -> None:
    store = opened(finished)
    first = store.manifest.runs["r0f0"]
    kept = {name: found for name, found in first.analyses.items() if name == "predictions"}
    runs = {**store.manifest.runs, "r0f0": first.model_copy(update={"analyses": kept})}
    table = conclude(store.with_manifest(runs=runs)).claims()
    assert "maps" in table.claim("explanations").study.reason
    assert table.claim("chance").study.reason == "fgsm at ε = 0.05 was not measured"
    assert table.claim("uneven").study.parts


# ------------------------------------------------------------------------------ stale and derived


def test_other_tables_make_claims_stale_and_claims_judges_them_again(
    finished: Playground, command: Command
) -> None:
    before = opened(finished).claims()
    assert state_of_claims(finished) == "done"
    other_predictions(finished)
    assert state_of_claims(finished) == "stale"
    assert "estimates stale  claims stale" in command("status", finished.study)[1]
    status, out, errors = command("claims", finished.study)
    assert (status, errors) == (0, "") and out.startswith("claim ")
    assert state_of_claims(finished) == "done"
    after = opened(finished).claims()
    assert after.claim("chance").study == before.claim("chance").study
    assert after.claim("uneven").study != before.claim("uneven").study
    # The estimates, which had gone stale as well, are of the same tables.
    estimates = opened(finished).table("estimates").query("quantity == 'accuracy'")
    clean = estimates.query("attack == 'none' and group == 'all'")["value"].item()
    predictions = opened(finished).table("predictions")
    assert clean == pytest.approx((predictions["label"] == predictions["predicted"]).mean())
    assert "estimates done  claims done" in command("status", finished.study)[1]


def test_a_raised_version_makes_the_claims_alone_stale(
    finished: Playground, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyses, "CLAIMS_VERSION", analyses.CLAIMS_VERSION + 1)
    assert "estimates done  claims stale" in command("status", finished.study)[1]
    status, out, _ = command("run", finished.study)
    assert status == 0 and "estimates and claims derived again" in out
    assert state_of_claims(finished) == "done"
    assert command("run", finished.study)[1] == "tiny: nothing to do.\n"


@pytest.mark.parametrize(
    "change", [("resamples = 100", "resamples = 120"), ("seed = 3", "seed = 4")]
)
def test_another_bootstrap_or_seed_makes_the_claims_stale(
    finished: Playground, change: tuple[str, str]
) -> None:
    finished.edit(*change)
    assert state_of_claims(finished) == "stale"


def test_another_title_leaves_the_claims_as_they_are(finished: Playground) -> None:
    finished.edit("A study that takes seconds", "A study of seconds")
    assert state_of_claims(finished) == "done"


def test_claims_are_of_the_runs_that_are_there_though_the_study_file_has_changed(
    finished: Playground, command: Command
) -> None:
    finished.edit("repeats = 2", "repeats = 1")
    finished.edit("[0, 0.01, 0.05]", "[0, 0.01, 0.04]")
    finished.edit("learning_rate = 2e-3", "learning_rate = 3e-3")
    other_predictions(finished)
    of_runs = {
        name for name in os.listdir(finished.results) if "-r0f0-" in name or "-r1f0-" in name
    }
    before = opened(finished).manifest.derived["confidences"]
    assert command("claims", finished.study)[0] == 0
    derived_files = {entry.file for entry in opened(finished).manifest.derived.values()}
    assert set(os.listdir(finished.results)) == of_runs | derived_files | {CLAIMS, MANIFEST}
    store = opened(finished)
    assert list(store.manifest.runs) == ["r0f0", "r1f0"]
    assert store.study.split.repeats == 2
    assert store.claims().claim("chance").study.parts
    assert store.manifest.derived["confidences"].sha256 != before.sha256
    assert missing_files(store) == set()


def test_claims_that_are_up_to_date_change_nothing(finished: Playground, command: Command) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.*")}
    for options in ([], ["--json"]):
        assert command("claims", finished.study, *options)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.*")} == before


def test_claims_are_not_judged_while_a_run_changes_the_results(
    finished: Playground, command: Command
) -> None:
    other_predictions(finished)
    with alone(study.load(finished.study)):
        refused(command("claims", finished.study), "tiny is being run already")
    assert command("claims", finished.study)[0] == 0


# ------------------------------------------------------------------------------ the command line


def test_the_table_has_a_line_for_every_claim(finished: Playground, command: Command) -> None:
    status, out, errors = command("claims", finished.study)
    assert (status, errors) == (0, "")
    heading, *lines, empty, note = out.splitlines()
    table = opened(finished).claims()
    assert heading.split() == ["claim", "this", "study", "original", "effect"]
    heads = [line for line in lines if not line.startswith(" ")]
    assert [line.split()[0] for line in heads] == IDS
    for line, claim in zip(heads, table.claims, strict=True):
        assert line[21:34].strip() == claim.study.verdict
        assert line[35:48].strip() == claim.original.verdict
    # One line for each part of each verdict and one for what it assumes, or for why there is none.
    judgements = [claim.study for claim in table.claims]
    judgements += [claim.original for claim in table.claims if claim.original.parts]
    assert len(lines) == sum(len(each.parts) + bool(each.reason) for each in judgements)
    for judgement in judgements:
        assert not judgement.reason or judgement.reason in out
    part = table.claim("uneven").original.parts[0]
    ends = f"{part.effect:.3f} ({part.simultaneous_low:.3f} to {part.simultaneous_high:.3f})"
    assert f"original: gap {ends}, claimed > 0.02" in out
    assert not empty and f"all {table.tested} tested claims" in note


def test_the_table_for_machines_is_the_stored_one(finished: Playground, command: Command) -> None:
    status, out, errors = command("claims", finished.study, "--json")
    assert (status, errors) == (0, "")
    assert out.encode() == (finished.results / CLAIMS).read_bytes()
    assert ClaimsTable.model_validate_json(out).claim("silent").side == "above"


def test_a_study_without_results_has_no_claims(playground: Playground, command: Command) -> None:
    for asked in (str(playground.study), "demo"):
        run = f"`python -m analysis run {asked}`"
        refused(command("claims", asked), "holds no results", run)
    refused(command("claims", "dmo"), "'dmo'", "'demo'")
    # svhn-subset is what is meant where none is named.
    refused(command("claims"), "svhn-subset", "holds no results")


WITHOUT_TORCH = """
import sys

class Absent:
    names = {"torch", "torchvision", "timm", "captum", "art", "sklearn", "matplotlib"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from analysis.__main__ import main

sys.exit(main(sys.argv[1:]))
"""


def test_claims_are_judged_where_there_is_no_torch(finished: Playground) -> None:
    before = (finished.results / CLAIMS).read_bytes()
    finished.edit_manifest(lambda content: content.update(claims=None))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "claims", str(finished.study)],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("claim ")
    assert (finished.results / CLAIMS).read_bytes() == before


# ------------------------------------------------------------------------------ damaged


def deleted(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def altered(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    changed = text.replace('"refuted"', '"supported"')
    assert changed != text
    path.write_text(changed, encoding="utf-8")


def of_another_study(path: Path) -> None:
    shutil.copy(paths.ROOT / "analysis" / "published.json", path)


DAMAGES = {
    "deleted": (deleted, "is missing"),
    "truncated": (truncated, "is altered"),
    "altered": (altered, "is altered"),
    "foreign": (of_another_study, "is altered"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_claims_is_named_and_run_mends_it(
    finished: Playground, undisturbed: Playground, command: Command, damage: str
) -> None:
    harm, problem = DAMAGES[damage]
    path = finished.results / CLAIMS
    harm(path)
    advice = ("git restore", "python -m analysis run tiny")
    refused(command("verify", finished.study), f"{path} {problem}", *advice)
    assert state_of_claims(finished) == "broken"
    assert "claims broken" in command("status", finished.study)[1]
    status, out, errors = command("run", finished.study)
    assert (status, errors) == (0, "") and "claims derived again" in out
    assert path.read_bytes() == (undisturbed.results / CLAIMS).read_bytes()
    assert command("verify", finished.study)[0] == 0
    assert command("run", finished.study)[1] == "tiny: nothing to do.\n"


@pytest.mark.parametrize(
    "change, where",
    [
        (lambda content: content.pop("alpha"), "alpha"),
        (lambda content: content["claims"][3].update(side="beyond"), "claims.3.side"),
        (lambda content: content["claims"][0]["study"].update(verdict="true"), "study.verdict"),
        (lambda content: content.update(format=2), "format"),
        (lambda content: content.update(study="demo"), "study"),
        (lambda content: content.update(digest="0" * 64), "digest"),
    ],
)
def test_claims_of_another_form_are_refused_though_vouched_for(
    finished: Playground, command: Command, change: Callable[[dict], object], where: str
) -> None:
    path = finished.results / CLAIMS
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    finished.edit_manifest(lambda manifest: manifest["claims"].update(sha256=sha256(path)))
    refused(command("verify", finished.study), CLAIMS, where, "python -m analysis run tiny")
    assert command("run", finished.study)[0] == 0
    assert command("verify", finished.study)[0] == 0


def test_results_without_claims_say_how_to_judge_them(finished: Playground) -> None:
    finished.edit_manifest(lambda content: content.update(claims=None))
    with pytest.raises(UserError, match="has no claims yet.\nJudge them with .*claims tiny`"):
        opened(finished).claims()


def test_claims_that_no_manifest_vouches_for_are_ignored_and_replaced(
    finished: Playground, command: Command
) -> None:
    finished.edit_manifest(lambda content: content.update(claims=None))
    (finished.results / CLAIMS).write_text("left by a writer that was killed")
    count = len(expected_files(opened(finished).study, ["r0f0", "r1f0"])) - 1
    assert command("verify", finished.study)[1].startswith(f"tiny: {count} files agree")
    results.write_manifest(opened(finished))
    assert not (finished.results / CLAIMS).exists()


# ------------------------------------------------------------------------------ killed


class Killed(Exception):
    pass


# While claims are written: the manifest that forgets the old ones, their file, the manifest.
@pytest.mark.parametrize("writes", [0, 1, 2])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_while_claims_are_written_leaves_a_store_that_verifies(
    finished: Playground,
    undisturbed: Playground,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
    moment: str,
) -> None:
    before = (finished.results / CLAIMS).read_bytes()
    table = opened(finished).claims().model_copy(update={"level": 0.5})
    replace, left = Path.replace, [writes]

    def killed(path: Path, target: Path) -> Path:
        if left[0] == 0 and moment == "before":
            raise Killed
        left[0] -= 1
        done = replace(path, target)
        if left[0] < 0:
            raise Killed
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            results.write_claims(opened(finished), table)
    store = opened(finished)
    steps = writes + (moment == "after")
    assert missing_files(store) == (set() if steps in (0, 3) else {("claims", "all")})
    if steps in (0, 3):
        assert store.claims().level == (0.95 if steps == 0 else 0.5)
    else:
        assert command("status", finished.study)[1].endswith("claims missing\n")
    finished.edit_manifest(lambda content: content.update(claims=None))
    assert command("claims", finished.study)[0] == 0
    assert (finished.results / CLAIMS).read_bytes() == before
    assert set(os.listdir(finished.results)) == set(os.listdir(undisturbed.results))


# The tables beside the claims come first, then the manifest, the claims, and the manifest again.
_BESIDE = len(DERIVED - {"estimates"})


@pytest.mark.parametrize(
    "writes, file",
    [
        (0, "reliability.parquet"),
        (_BESIDE - 1, "suspects.parquet"),
        (_BESIDE, MANIFEST),
        (_BESIDE + 1, CLAIMS),
        (_BESIDE + 2, MANIFEST),
    ],
)
def test_a_full_disk_while_claims_are_written_is_told_and_the_next_command_goes_on(
    finished: Playground,
    undisturbed: Playground,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
    file: str,
) -> None:
    finished.edit_manifest(lambda content: content.update(claims=None))
    fsync, left = os.fsync, [writes]

    def limited(number: int) -> None:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= 1
        fsync(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", limited)
        refused(command("claims", finished.study), "No space left", file)
    assert missing_files(opened(finished)) == {("claims", "all")}
    assert command("claims", finished.study)[0] == 0
    assert missing_files(opened(finished)) == set()
    assert set(os.listdir(finished.results)) == set(os.listdir(undisturbed.results))


def test_a_run_that_is_stopped_while_judging_goes_on_with_judging(
    finished: Playground, undisturbed: Playground, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished.table("attacks").unlink()

    def stopped(store: Results) -> Results:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("analysis.pipeline.conclude", stopped)
        status, _, errors = command("run", finished.study)
        assert status == 130 and errors.startswith("Stopped; what was finished is kept")
    assert derived.derived_state(study.load(finished.study), opened(finished)) == "missing"
    status, out, _ = command("run", finished.study)
    assert status == 0 and "claims derived again" in out
    claims = [place.results / CLAIMS for place in (finished, undisturbed)]
    assert claims[0].read_bytes() == claims[1].read_bytes()
