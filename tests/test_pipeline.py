"""Whole studies of seconds: run, stopped, killed, changed, moved and damaged."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from analysis import pipeline, study
from analysis.networks import weights
from analysis.probes import PROBES
from analysis.project.errors import UserError
from analysis.project.files import TEMPORARY
from analysis.results import status, verification
from analysis.results import store as stores
from analysis.results.store import RUN, SUPERSEDED, Store
from tests.playground import Playground

Command = Callable[..., tuple[int, str, str]]
ONE_RUN = ("repeats = 2", "repeats = 1")


def opened(place: Playground) -> Store:
    return Store.open(study.load(place.study))


def run(place: Playground) -> None:
    pipeline.run(study.load(place.study), data=place.folder, device="cpu", say=lambda line: None)


def test_a_study_from_nothing_to_claims(finished: Playground) -> None:
    found = opened(finished)
    assert found.problems == {}
    assert found.shown_repeats() == {0: ("r0f0",), 1: ("r1f0",)}
    assert verification.check_all(found) > 20
    record = stores.derived("tiny").record
    assert record.classes == tuple("0123456789")
    assert {claim.id for claim in record.claims} >= {"uneven", "silent"}
    assert len(finished.weights()) == 2


def test_nothing_is_done_twice(finished: Playground, command: Command) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.parquet")}
    assert command("run", finished.study)[0] == 0
    assert before == {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.parquet")}


def test_weights_trained_again_leave_every_analysis_valid(finished: Playground) -> None:
    # What makes two weights files differ is their date and how long they took.
    before = {path: path.read_bytes() for path in finished.weights()}
    tables = finished.tables()
    shutil.rmtree(finished.folder / "cache")
    path = next(finished.results.glob("r0f0/attacks*"))
    path.unlink()
    run(finished)
    assert finished.tables() == tables
    (again,) = finished.weights()
    assert again.read_bytes() != before[again]
    assert opened(finished).problems == {}


def test_attributes_are_measured_without_weights(finished: Playground) -> None:
    tables = finished.tables()
    shutil.rmtree(finished.folder / "cache")
    for path in finished.results.glob("r*/attributes*"):
        path.unlink()
    run(finished)
    assert finished.tables() == tables and not finished.weights()


def forget_weights(found: Store) -> str | None:
    """Write the first run as one whose tensors were never identified; return their digest."""
    record = found.runs["r0f0"]
    training = record.training.model_copy(update={"weights": None})
    unknown = record.model_copy(update={"training": training})
    analyses = {
        name: one.model_copy(
            update={
                "digest": status.analysis_digest(
                    found.study, name, weights=status.weights_of(unknown)
                )
            }
        )
        for name, one in record.analyses.items()
    }
    found.write_run(unknown.model_copy(update={"analyses": analyses}))
    return record.training.weights


def test_weights_that_nobody_identified_are_known_by_their_predictions(
    finished: Playground,
) -> None:
    known = forget_weights(opened(finished))
    next(finished.results.glob("r0f0/maps*")).unlink()
    first, second = finished.weights()
    own = first.read_bytes()
    shutil.copy(second, first)
    with pytest.raises(UserError, match="do not give its stored"):
        run(finished)
    first.write_bytes(own)
    run(finished)
    assert opened(finished).runs["r0f0"].training.weights == known


@pytest.mark.parametrize("how", ["bit", "swapped"])
def test_other_weights_are_never_used(finished: Playground, how: str) -> None:
    first, second = finished.weights()
    if how == "swapped":
        shutil.copy(second, first)
    else:
        content = bytearray(first.read_bytes())
        content[-100] ^= 1
        first.write_bytes(bytes(content))
    next(finished.results.glob("r0f0/attacks*")).unlink()
    before = finished.tables()
    with pytest.raises(UserError, match="weights"):
        run(finished)
    assert finished.tables() == before


OWN = """
from pathlib import Path
from torch import nn

def net(classes, channels):
    made = nn.Sequential(nn.Flatten(), nn.Linear(channels * 64 * 64, classes))
    nn.init.constant_(made[1].weight, float(Path(__file__).with_name("weight.txt").read_text()))
    return made
"""


def test_other_weights_that_are_given_are_never_used(playground: Playground) -> None:
    (playground.folder / "given_weights.py").write_text(OWN)
    (playground.folder / "weight.txt").write_text("0.5")
    own = '{ model = "python:given_weights:net", weights = "pretrained", size = 64 }'
    playground.edit('{ model = "test_resnet", size = 64 }', own)
    text = playground.study.read_text(encoding="utf-8").partition("[training]")[0]
    kept = [line for line in text.splitlines() if not line.startswith(("maps", "attacks"))]
    playground.study.write_text("\n".join(kept), encoding="utf-8")
    playground.edit(*ONE_RUN)
    run(playground)
    before = playground.tables()
    (path,) = playground.results.glob("r0f0/predictions*")
    path.unlink()
    (playground.folder / "weight.txt").write_text("0.25")
    with pytest.raises(UserError, match="other weights than those behind its results"):
        run(playground)
    (playground.folder / "weight.txt").write_text("0.5")
    run(playground)
    assert playground.tables() == before


def start_until(place: Playground, done: Callable[[], bool]) -> subprocess.Popen:
    """Start the study in another process and return when something is done."""
    process = place.start("run", place.study)
    end = time.monotonic() + 300
    while not done():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)
    return process


STOPS = (
    ("cache/**/checkpoint*", signal.SIGTERM),
    ("cache/**/checkpoint*", signal.SIGKILL),
    ("results/tiny/r0f0/predictions*", signal.SIGINT),
    ("results/tiny/r1f0/run.json", signal.SIGTERM),
)


@pytest.mark.parametrize("stops", [STOPS[:1], pytest.param(STOPS[1:], marks=pytest.mark.slow)])
def test_stopped_and_killed_it_continues_to_the_same_results(
    playground: Playground, undisturbed: Playground, stops: tuple[tuple[str, signal.Signals], ...]
) -> None:
    def there(pattern: str) -> Callable[[], bool]:
        return lambda: bool(list(playground.folder.glob(pattern)))

    for pattern, how in stops:
        process = start_until(playground, there(pattern))
        process.send_signal(how)
        _, errors = process.communicate(timeout=300)
        if how == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
        else:
            assert process.returncode == 130 and "Traceback" not in errors
            assert errors.splitlines()[-1].startswith("Stopped; what is finished is kept")
    run(playground)
    assert playground.tables() == undisturbed.tables()
    assert not list(playground.folder.rglob(f"{TEMPORARY}*"))
    assert not list(playground.folder.rglob("checkpoint*"))


def test_a_second_run_at_the_same_time_is_refused(finished: Playground, command: Command) -> None:
    next(finished.results.glob("r0f0/attributes*")).unlink()
    lock = finished.results / stores.LOCK
    lock.unlink()
    first = start_until(finished, lock.exists)
    first.send_signal(signal.SIGSTOP)
    try:
        status, _, errors = command("run", finished.study)
        assert status == 1 and "is being run already; nothing was changed" in errors
        # Looking is not running.
        assert command("status", finished.study)[0] == 0
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    # The lock goes with the process that held it, and lies with the results, not with the cache.
    assert command("run", finished.study)[0] == 0


def test_a_folder_that_cannot_be_written_is_told_before_any_work(
    playground: Playground, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(dir: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    status, _, errors = command("run", playground.study)
    assert status == 1 and "tiny cannot be written: Read-only file system.\n" in errors
    assert len(errors.splitlines()) == 2 and not playground.weights()


def test_a_recipe_that_was_edited_removes_nothing(finished: Playground, command: Command) -> None:
    before = finished.tables()
    old = (finished.results / "r0f0" / RUN).read_bytes()
    finished.edit(*ONE_RUN)
    finished.edit("epochs = 2", "epochs = 1")
    status, out, _ = command("run", finished.study)
    assert status == 0 and "its earlier results are kept in" in out
    kept = list((finished.results / SUPERSEDED).glob("r0f0-*"))
    assert [(folder / RUN).read_bytes() for folder in kept] == [old]
    for name, content in before.items():
        if name.startswith("r0f0"):
            assert (kept[0] / Path(name).name).read_bytes() == content
    # The run that the study no longer has stays where it was.
    assert (finished.results / "r1f0" / RUN).is_file()


def test_a_damaged_record_removes_nothing(finished: Playground, command: Command) -> None:
    finished.edit(*ONE_RUN)
    path = finished.results / "r0f0" / RUN
    path.write_bytes(path.read_bytes()[:-20])
    before = finished.tables()
    status, out, _ = command("run", finished.study)
    assert status == 0 and "training is broken" in out
    (kept,) = (finished.results / SUPERSEDED).glob("r0f0-*")
    for name, content in before.items():
        if name.startswith("r0f0"):
            assert (kept / Path(name).name).read_bytes() == content


def test_claims_stay_while_a_repeat_is_added(
    finished: Playground, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    before = (finished.results / stores.CLAIMS).read_bytes()
    finished.edit("repeats = 2", "repeats = 3")
    with monkeypatch.context() as patch:
        patch.setitem(PROBES, "maps", stopped)
        assert command("run", finished.study)[0] == 130
    assert (finished.results / "r2f0" / RUN).is_file()
    assert (finished.results / stores.CLAIMS).read_bytes() == before
    assert stores.derived("tiny").record.repeats == {0: ("r0f0",), 1: ("r1f0",)}
    assert command("verify", finished.study)[0] == 0
    assert command("run", finished.study)[0] == 0
    assert stores.derived("tiny").record.repeats == {n: (f"r{n}f0",) for n in range(3)}


def test_damaged_results_are_computed_again(finished: Playground) -> None:
    before = finished.tables()
    for pattern in ("r0f0/predictions*", "r1f0/maps*", "estimates*"):
        path = next(finished.results.glob(pattern))
        path.write_bytes(path.read_bytes()[:-1])
    run(finished)
    assert finished.tables() == before


def test_other_data_is_refused(finished: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    from analysis.images import Images

    next(finished.results.glob("r0f0/attacks*")).unlink()
    monkeypatch.setattr(Images, "digest", lambda self: "9" * 64)
    with pytest.raises(UserError, match="The images are not those of run"):
        run(finished)


def test_a_layer_without_a_map_is_refused_before_any_work(playground: Playground) -> None:
    playground.edit('"layer1.0"', '"layer9.0"')
    with pytest.raises(UserError, match="the nearest is"):
        run(playground)
    assert not playground.weights() and not list(playground.results.rglob("*.parquet"))


def test_a_claim_of_five_lines(finished: Playground, command: Command) -> None:
    with finished.study.open("a", encoding="utf-8") as file:
        file.write(
            """
[[claim]]
id = "mine"
statement = "One in two is right."
test = "accuracy"
above = 0.5
"""
        )
    status, out, _ = command("claims", finished.study)
    assert status == 0 and "mine" in out and "claimed > 0.5" in out
    claim = stores.derived("tiny").record.claim("mine")
    assert claim.study.verdict in ("holds", "does not hold", "undecided")
    assert claim.sentence == "The accuracy is above 0.5."


def test_a_misspelt_claim_stops_before_any_work(playground: Playground, command: Command) -> None:
    with playground.study.open("a", encoding="utf-8") as file:
        file.write('\n[[claim]]\nid = "mine"\nstatement = "x"\ntest = "eror ratio"\nabove = 1\n')
    status, _, errors = command("run", playground.study)
    assert status == 1 and "the nearest is 'error ratio'" in errors
    assert not playground.results.exists()


def test_weights_are_identified_by_their_tensors(finished: Playground) -> None:
    from safetensors.torch import load_file

    for path, name in zip(finished.weights(), ("r0f0", "r1f0"), strict=True):
        tensors = load_file(path)
        digest = weights.tensors_digest(tensors)
        assert digest == opened(finished).runs[name].training.weights
        reordered = dict(reversed(tensors.items()))
        assert weights.tensors_digest(reordered) == digest
        key = next(iter(tensors))
        tensors[key] = tensors[key] + torch.finfo(torch.float32).tiny
        tensors[key].view(-1)[0] += 1
        assert weights.tensors_digest(tensors) != digest


def test_results_can_lie_anywhere(finished: Playground, tmp_path: Path, command: Command) -> None:
    odd = tmp_path / "results [é] 'x'"
    shutil.copytree(finished.results.parent, odd)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("FAILURE_MODES_RESULTS", str(odd))
        assert command("verify", finished.study)[0] == 0
