"""Running a study: stopped, killed, damaged or changed, it goes on and ends in the same tables."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pandas.testing import assert_frame_equal
from safetensors.torch import load_file, save_file

from analysis import analyses, datasets, estimates, model, pipeline, results, study, trained
from analysis.analyses import ANALYSES
from analysis.errors import UserError
from analysis.files import TEMPORARY, sha256
from analysis.results import CLAIMS, Results
from analysis.study import Model
from tests.playground import Playground
from tests.stored_files import DERIVED, expected_files, vouched_files

CPU = torch.device("cpu")
Command = Callable[..., tuple[int, str, str]]
# One short epoch, where it does not matter what is learned.
LONG = "[{ size = 32, epochs = 1 }, { size = 64, epochs = 2 }]"
SHORT = "[{ size = 32, epochs = 1 }]"


def opened(place: Playground) -> Results:
    return results.load("tiny", folder=place.results)


def files(place: Playground) -> dict[tuple[str, str], str]:
    """Return what names the content of each file, but for histories, which hold durations."""
    found = {}
    for run, entry in opened(place).manifest.runs.items():
        for analysis in entry.analyses.values():
            found |= {(run, name): table.file for name, table in analysis.tables.items()}
    manifest = opened(place).manifest
    if manifest.claims:
        found["all", "claims"] = manifest.claims.sha256
    return found | {("all", name): table.file for name, table in manifest.derived.items()}


def assert_equal(place: Playground, other: Playground) -> None:
    """Check that the results of two playgrounds differ in nothing but durations."""
    assert opened(place).verify() == opened(other).verify()
    # Files are named after their content.
    assert files(place) == files(other)
    histories = [opened(p).table("history").drop(columns="seconds") for p in (place, other)]
    assert_frame_equal(*histories)


def run(place: Playground, say: Callable[[str], None] = lambda line: None) -> bool:
    """Run the study, and hand on what is said of each step: not how long all may take."""

    def say_of_steps(line: str) -> None:
        if " to do, about " not in line:
            say(line)

    return pipeline.run(study.load(place.study), data=place.folder, device=CPU, say=say_of_steps)


def one_line_or_two(errors: str) -> str:
    assert 1 <= len(errors.splitlines()) <= 2 and "Traceback" not in errors
    return errors


# ------------------------------------------------------------------------------ from the start


def test_a_run_ends_with_every_table(undisturbed: Playground) -> None:
    store = opened(undisturbed)
    assert vouched_files(store) == expected_files(store.study, ["r0f0", "r1f0"])
    per_image = 60 * 2
    assert len(store.table("predictions")) == per_image
    assert len(store.table("saliency")) == per_image * 2
    # Two kinds of direction and three ε, of which 0 is one.
    assert len(store.table("attacks")) == per_image * 2 * 3
    # One ε on the sample of photos, and two on native pixels.
    sampled = store.table("controls").query("attack == 'pgd'")
    assert 10 <= sampled["index"].nunique() < 60
    assert len(store.table("controls")) == per_image * 2 + len(sampled)
    assert len(store.table("attacked")) == per_image
    assert len(store.table("randomised")) == per_image * 2
    assert len(store.table("localisation")) == per_image * 2 * 2
    assert store.table("history").groupby("run")["epoch"].apply(list).tolist() == [[1, 2, 3]] * 2
    assert len(undisturbed.weights()) == 2
    assert not list(undisturbed.folder.rglob("checkpoint*"))
    assert not list(undisturbed.folder.rglob(f"{TEMPORARY}*"))


def test_the_runs_of_a_study_differ(undisturbed: Playground) -> None:
    first, second = (load_file(path) for path in undisturbed.weights())
    assert not torch.equal(first["network.fc.weight"], second["network.fc.weight"])
    names = files(undisturbed)
    assert names["r0f0", "predictions"] != names["r1f0", "predictions"]


def test_attacks_without_size_are_the_clean_predictions(undisturbed: Playground) -> None:
    attacks = opened(undisturbed).table("attacks")
    clean = opened(undisturbed).table("predictions")[["run", "index", "predicted", "confidence"]]
    for _, rows in attacks[attacks["epsilon"] == 0].groupby("attack"):
        assert_frame_equal(rows[clean.columns].reset_index(drop=True), clean)


def test_the_estimates_are_of_the_stored_predictions(undisturbed: Playground) -> None:
    table = opened(undisturbed).table("estimates")
    chosen = table.query("quantity == 'accuracy' and attack == 'none' and group == 'all'")
    predictions = opened(undisturbed).table("predictions")
    right = predictions["label"] == predictions["predicted"]
    row = chosen.iloc[0]
    assert len(chosen) == 1 and (row["images"], row["repeats"]) == (60, 2)
    assert row["value"] == pytest.approx(right.mean())
    assert row["low"] <= row["value"] <= row["high"]
    assert row["between_repeats"] == pytest.approx(right.groupby(predictions["run"]).mean().std())


def test_a_second_run_has_nothing_to_do(finished: Playground, command: Command) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.*")}
    assert command("run", finished.study) == (0, "tiny: nothing to do.\n", "")
    assert run(finished) is False
    after = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.*")}
    assert after == before


def test_progress_is_told_step_by_step(playground: Playground) -> None:
    playground.edit(LONG, SHORT)
    playground.edit("repeats = 2", "repeats = 1")
    lines: list[str] = []
    assert run(playground, lines.append) is True
    steps = ["r0f0 epoch 1", *(f"r0f0 {name}" for name in ANALYSES)]
    *told, last = lines
    assert [line[:18].strip() for line in told] == steps
    assert "loss" in told[0] and "left" in told[0]
    assert "100% done" in told[-1] and "left" not in told[-1]
    assert last == "tiny: claims judged."


def test_folds_together_predict_every_image_once(playground: Playground) -> None:
    playground.edit(LONG, SHORT)
    playground.edit('kind = "fixed", repeats = 2', 'kind = "photo-folds", folds = 2')

    def stop_after_first(line: str) -> None:
        if line.startswith("r0f0 attacks"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(playground, stop_after_first)
    # Half of the images say nothing about the whole.
    assert opened(playground).manifest.derived == {}
    run(playground)
    table = opened(playground).table("predictions")
    assert sorted(table["index"]) == list(range(60))
    assert (table.groupby("photo")["run"].nunique() == 1).all()
    row = opened(playground).table("estimates").iloc[0]
    assert (row["images"], row["repeats"]) == (60, 1)


def test_digits_without_images_have_no_estimates(playground: Playground) -> None:
    playground.edit("test = 60", "test = 5")
    playground.edit("repeats = 2", "repeats = 1")
    playground.edit(LONG, SHORT)
    run(playground)
    accuracy = opened(playground).table("estimates").query("quantity == 'accuracy'")
    labels = opened(playground).table("predictions")["label"]
    assert set(accuracy["group"]) == {"all", *labels.astype(str)} != set("0123456789") | {"all"}


# ------------------------------------------------------------------------------ stopped and killed


def test_stopped_after_every_step_it_goes_on_to_the_same_results(
    playground: Playground, undisturbed: Playground
) -> None:
    said: list[str] = []

    def stop(line: str) -> None:
        said.append(line[:19].strip())
        raise KeyboardInterrupt

    while True:
        try:
            run(playground, stop)
        except KeyboardInterrupt:
            continue
        break
    # Every step was begun once: nothing that was finished is done again.
    steps = [*(f"epoch {n}" for n in (1, 2, 3)), *ANALYSES]
    expected = [f"{name} {step}" for name in ("r0f0", "r1f0") for step in steps]
    # Stopped after the last of them, the claims are judged by the next run.
    assert said == [*expected, "tiny: estimates and"]
    assert_equal(playground, undisturbed)


def start_until(place: Playground, step: str) -> subprocess.Popen:
    """Start the study in another process and return when it says that a step is done."""
    process = place.start("run", place.study)
    for line in process.stdout:
        if line.startswith(step):
            return process
    raise AssertionError(process.communicate()[1])


def end(process: subprocess.Popen, how: signal.Signals) -> None:
    """End a process and check that it was in the middle of its work, and how it went."""
    process.send_signal(how)
    rest, errors = process.communicate(timeout=600)
    assert "r1f0 attacks" not in rest
    if how == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert one_line_or_two(errors).startswith("Stopped; what was finished is kept")


def test_killed_in_the_middle_of_steps_it_goes_on_to_the_same_results(
    playground: Playground, undisturbed: Playground
) -> None:
    end(start_until(playground, "r0f0 epoch 1"), signal.SIGKILL)
    assert results.load_if_any("tiny") is None
    end(start_until(playground, "r0f0 predictions"), signal.SIGKILL)
    assert opened(playground).verify() >= 2
    end(start_until(playground, "r0f0 saliency"), signal.SIGINT)
    assert opened(playground).verify() >= 4
    lines: list[str] = []
    run(playground, lines.append)
    assert not any(line.startswith(("r0f0 epoch", "r0f0 predictions")) for line in lines)
    assert_equal(playground, undisturbed)
    assert not list(playground.folder.rglob(f"{TEMPORARY}*"))
    assert not list(playground.folder.rglob("checkpoint*"))


def test_a_second_run_at_the_same_time_is_refused_and_nothing_is_lost(
    playground: Playground, undisturbed: Playground, command: Command
) -> None:
    first = start_until(playground, "r0f0 epoch 2")
    # Held still, so that it cannot end before the second run begins.
    first.send_signal(signal.SIGSTOP)
    try:
        status, out, errors = command("run", playground.study)
        assert (status, out) == (1, "")
        assert "being run already; nothing was changed" in one_line_or_two(errors)
        # Looking is not running.
        assert command("status", playground.study)[0] == 0
    finally:
        first.send_signal(signal.SIGCONT)
    end(first, signal.SIGTERM)
    # The lock goes with the process that held it.
    status, out, _ = command("run", playground.study)
    assert status == 0 and "r0f0 epoch 1" not in out and "r0f0 epoch 2" not in out
    assert_equal(playground, undisturbed)


def test_a_refused_run_does_not_keep_others_out(playground: Playground) -> None:
    playground.edit("layer1.0", "layer9.0")
    with pytest.raises(UserError):
        run(playground)
    playground.edit("layer9.0", "layer1.0")
    playground.edit(LONG, SHORT)
    playground.edit("repeats = 2", "repeats = 1")
    assert run(playground)


def test_what_killed_writers_left_in_the_cache_is_removed(playground: Playground) -> None:
    playground.edit(LONG, SHORT)
    playground.edit("repeats = 2", "repeats = 1")
    chosen = study.load(playground.study)
    folder = trained.folder(chosen, chosen.runs[0])
    folder.mkdir(parents=True)
    (folder / f"{TEMPORARY}abc.safetensors").write_bytes(bytes(1000))
    run(playground)
    assert os.listdir(folder) == ["weights.safetensors"]


# ------------------------------------------------------------------------------ damaged


@pytest.fixture
def stopped(playground: Playground) -> Playground:
    """Return a playground whose first run was stopped after its first epoch."""

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(playground, stop)
    return playground


def checkpoint_of(place: Playground) -> Path:
    (path,) = (place.folder / "cache").rglob("checkpoint.safetensors")
    return path


def of_another_architecture(path: Path) -> None:
    other = model.build(Model(name="resnet10t", size=64), seed=0, device=CPU)
    tensors = {f"model.{name}": value for name, value in other.state_dict().items()}
    model.save(path, tensors, facts=model.read_facts(path))


def foreign(path: Path) -> None:
    save_file({"weights": torch.zeros(3)}, path)


@pytest.mark.parametrize(
    "damage, word",
    [
        (of_another_architecture, "another architecture"),
        (foreign, "truncated or altered"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "truncated or altered"),
        (lambda path: path.write_bytes(b""), "truncated or altered"),
    ],
)
def test_a_checkpoint_that_is_not_in_order_is_named_and_can_be_deleted(
    stopped: Playground, command: Command, damage: Callable[[Path], object], word: str
) -> None:
    path = checkpoint_of(stopped)
    damage(path)
    content = path.read_bytes()
    status, out, errors = command("run", stopped.study)
    assert status == 1 and "% done" not in out
    assert str(path) in one_line_or_two(errors) and word in errors and "Delete it" in errors
    assert path.read_bytes() == content
    assert not stopped.results.exists()


def test_after_the_advice_is_taken_the_results_are_the_same(
    stopped: Playground, undisturbed: Playground
) -> None:
    checkpoint_of(stopped).unlink()
    run(stopped)
    assert_equal(stopped, undisturbed)


@pytest.mark.parametrize("damage", [of_another_architecture, lambda path: path.write_bytes(b"x")])
def test_weights_that_are_not_in_order_are_named(
    finished: Playground, command: Command, damage: Callable[[Path], object]
) -> None:
    finished.edit("[0, 0.01, 0.05]", "[0, 0.01, 0.04]")
    path = finished.weights()[0]
    damage(path)
    before = files(finished)
    status, _, errors = command("run", finished.study)
    assert status == 1
    assert str(path) in one_line_or_two(errors) and "Delete it" in errors
    assert files(finished) == before


def test_broken_tables_are_computed_again(finished: Playground, undisturbed: Playground) -> None:
    # In two runs, so that mending the first meets what is still broken in the second.
    finished.table("attacks", "r0f0").write_bytes(b"PAR1")
    finished.table("predictions", "r1f0").unlink()
    finished.table("maps", "r1f0").write_bytes(b"")
    lines: list[str] = []
    assert run(finished, lines.append)
    assert [line[:16].strip() for line in lines[:-1]] == [
        "r0f0 attacks",
        "r1f0 predictions",
        "r1f0 saliency",
    ]
    assert_equal(finished, undisturbed)


def test_a_broken_history_comes_back_from_the_weights(
    finished: Playground, undisturbed: Playground
) -> None:
    finished.table("history").write_bytes(b"PAR1")
    assert run(finished)
    assert_equal(finished, undisturbed)


def test_a_broken_history_without_weights_is_replaced(
    finished: Playground, undisturbed: Playground
) -> None:
    # Trained again it has other durations, so another name: the broken file must not stay behind.
    for path in finished.weights():
        path.unlink()
    finished.table("history").write_bytes(b"PAR1")
    assert run(finished)
    assert_equal(finished, undisturbed)


@pytest.mark.parametrize("damage", ["deleted", "altered"])
def test_broken_estimates_are_computed_again_without_images(
    finished: Playground, undisturbed: Playground, command: Command, damage: str
) -> None:
    path = finished.table("estimates", "all")
    path.unlink()
    if damage == "altered":
        path.write_bytes(b"PAR1")
    shutil.rmtree(finished.folder / "cache")
    status, out, errors = command("run", finished.study)
    assert (status, errors) == (0, "") and "estimates and claims derived again" in out
    assert_equal(finished, undisturbed)
    assert command("run", finished.study)[1] == "tiny: nothing to do.\n"


def test_results_from_before_estimates_had_a_digest_get_one(
    finished: Playground, undisturbed: Playground, command: Command
) -> None:
    finished.edit_manifest(lambda content: content["derived"]["estimates"].pop("digest"))
    assert vouched_files(opened(finished)) == vouched_files(opened(undisturbed))
    assert "estimates and claims derived again" in command("run", finished.study)[1]
    assert_equal(finished, undisturbed)


# ------------------------------------------------------------------------------ changed


def test_other_attacks_are_the_only_thing_done_again(finished: Playground) -> None:
    before, trained_before = files(finished), opened(finished).manifest.runs
    finished.edit("[0, 0.01, 0.05]", "[0, 0.01, 0.04]")
    lines: list[str] = []
    run(finished, lines.append)
    assert [line[:18].strip() for line in lines[:-1]] == ["r0f0 attacks", "r1f0 attacks"]
    after = files(finished)
    changed = {key for key in before if before[key] != after[key]}
    derived = {("all", "estimates"), ("all", "claims")}
    assert changed == {("r0f0", "attacks"), ("r1f0", "attacks"), *derived}
    for name, entry in opened(finished).manifest.runs.items():
        assert entry.training == trained_before[name].training
    table = opened(finished).table("attacks")
    assert sorted(table["epsilon"].unique()) == [0, 0.01, 0.04]
    assert run(finished) is False


def test_half_way_through_a_change_old_and_new_are_not_mixed(finished: Playground) -> None:
    finished.edit("[0, 0.01, 0.05]", "[0, 0.01, 0.04]")

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(finished, stop)
    store = opened(finished)
    store.verify()
    assert sorted(store.table("attacks")["epsilon"].unique()) == [0, 0.01, 0.04]
    assert set(store.table("attacks")["run"]) == {"r0f0"}
    # Claims are of what is finished, and are not judged half way.
    assert store.manifest.claims is None and not (finished.results / CLAIMS).exists()
    # One of two repeats has them, so there is no estimate under attack yet, and one without.
    accuracy = store.table("estimates").query("quantity == 'accuracy'")
    assert set(accuracy["attack"]) == {"none"} and set(accuracy["repeats"]) == {2}
    run(finished)
    attacks = {"none", "fgsm", "random-sign", "fgsm-native", "pgd"}
    assert set(opened(finished).table("estimates")["attack"]) == attacks


def test_a_raised_version_is_done_again_to_the_same_tables(
    finished: Playground, undisturbed: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = replace(ANALYSES["saliency"], version=ANALYSES["saliency"].version + 1)
    monkeypatch.setitem(ANALYSES, "saliency", raised)
    before = opened(finished).manifest.runs["r0f0"].analyses["saliency"].digest
    assert run(finished)
    assert opened(finished).manifest.runs["r0f0"].analyses["saliency"].digest != before
    assert_equal(finished, undisturbed)


def test_without_weights_an_analysis_trains_again_to_the_same_results(
    finished: Playground, undisturbed: Playground
) -> None:
    for path in finished.weights():
        path.unlink()
    finished.table("attacks").unlink()
    lines: list[str] = []
    run(finished, lines.append)
    # Only the run that needs its weights is trained again.
    assert lines[0].startswith("r0f0 epoch 1")
    assert not any(line.startswith("r1f0") for line in lines)
    assert_equal(finished, undisturbed)
    (weights,) = finished.weights()
    assert opened(finished).manifest.runs["r0f0"].training.weights_sha256 == sha256(weights)
    assert_tensors_equal(weights, undisturbed.weights()[0])


def assert_tensors_equal(path: Path, other: Path) -> None:
    tensors, others = load_file(path), load_file(other)
    assert tensors.keys() == others.keys()
    assert all(torch.equal(value, others[name]) for name, value in tensors.items())


def test_results_of_other_weights_are_replaced(
    finished: Playground, undisturbed: Playground
) -> None:
    # The weights of the second run in the place of the first's.
    first, second = finished.weights()
    shutil.copy(second, first)
    finished.table("attacks").unlink()
    lines: list[str] = []
    run(finished, lines.append)
    assert [line.split()[1] for line in lines[:-1]] == list(ANALYSES)
    names = files(finished)
    assert names["r0f0", "maps"] != files(undisturbed)["r0f0", "maps"]
    sizes = opened(finished).table("predictions").groupby("run")["logit_0"].sum()
    assert sizes["r0f0"] == sizes["r1f0"]


def test_another_version_of_training_does_not_take_old_weights(
    finished: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = finished.weights()
    finished.edit("repeats = 2", "repeats = 1")
    monkeypatch.setattr(analyses, "TRAINING_VERSION", analyses.TRAINING_VERSION + 1)
    lines: list[str] = []
    run(finished, lines.append)
    assert lines[0].startswith("r0f0 epoch 1")
    assert set(old) < set(finished.weights())
    assert run(finished) is False


def test_more_repeats_add_runs_and_keep_the_old_files(
    finished: Playground, undisturbed: Playground
) -> None:
    before = files(undisturbed)
    histories = {finished.table("history", run).name for run in ("r0f0", "r1f0")}
    finished.edit("repeats = 2", "repeats = 3")
    finished.edit("A study that takes seconds", "Another title")
    lines: list[str] = []
    run(finished, lines.append)
    assert {line.split()[0] for line in lines[:-1]} == {"r2f0"}
    after = files(finished)
    # Three repeats may agree upon a suspect or not, and all else over the runs is of more of them.
    changed = {key for key in before if before[key] != after[key]} | {("all", "suspects")}
    assert changed == {("all", name) for name in (*DERIVED, "claims")}
    assert {key[0] for key in after.keys() - before.keys()} == {"r2f0"}
    assert histories < set(os.listdir(finished.results))
    store = opened(finished)
    assert store.study == study.load(finished.study)
    assert list(store.manifest.runs) == ["r0f0", "r1f0", "r2f0"]
    assert set(store.table("estimates").query("quantity == 'accuracy'")["repeats"]) == {3}


@pytest.mark.parametrize("attack", ["[0, 0.01, 0.05]", "[0, 0.01, 0.04]"])
def test_fewer_repeats_leave_the_others_out(
    finished: Playground, undisturbed: Playground, attack: str
) -> None:
    # With and without something else to do.
    finished.edit("repeats = 2", "repeats = 1")
    finished.edit("[0, 0.01, 0.05]", attack)
    assert run(finished)
    store = opened(finished)
    assert store.study.split.repeats == 1 and list(store.manifest.runs) == ["r0f0"]
    assert set(store.table("estimates").query("quantity == 'accuracy'")["repeats"]) == {1}
    assert run(finished) is False
    # Their weights are kept, for when they are wanted again.
    finished.edit("repeats = 1", "repeats = 2")
    finished.edit(attack, "[0, 0.01, 0.05]")
    lines: list[str] = []
    run(finished, lines.append)
    assert not any("epoch" in line for line in lines)
    assert_equal(finished, undisturbed)


def test_another_seed_is_another_study_not_other_data(finished: Playground) -> None:
    # The seed draws the digits too, so their digest is another one, rightly.
    finished.edit("seed = 3", "seed = 4")
    finished.edit(LONG, SHORT)
    finished.edit("repeats = 2", "repeats = 1")
    assert run(finished)
    assert list(opened(finished).manifest.runs) == ["r0f0"]
    assert opened(finished).manifest.runs["r0f0"].seed == 4


def test_other_images_than_those_behind_the_results_are_refused(
    finished: Playground,
    undisturbed: Playground,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finished.edit("repeats = 2", "repeats = 3")
    load = datasets.load

    def altered(*arguments: object) -> datasets.ImageSet:
        images = load(*arguments)
        changed = images.images.copy()
        changed[-1, 0, 0, 0] ^= 1
        return replace(images, images=changed)

    monkeypatch.setattr(datasets, "load", altered)
    status, out, errors = command("run", finished.study)
    assert (status, out) == (1, "")
    assert "images are not those behind" in one_line_or_two(errors)
    assert str(finished.results) in errors
    assert_equal(finished, undisturbed)


# ------------------------------------------------------------------------------ refused at once


@pytest.mark.parametrize(
    "old, new, words",
    [
        ('"layer1.0"', '"layer4.0"', ["'layer4.0' is 2×2", "64", "earlier layer"]),
        ('"layer1.0"', '"layer1.9"', ["'layer1.9'", "the nearest is 'layer1"]),
        ('"layer1.0"', '"fc"', ["'fc'"]),
        ('"test_resnet"', '"resnet_18"', ["'resnet_18'"]),
        ("size = 64 }\nsaliency", "size = 16 }\nsaliency", ["'layer2.0' is 2×2"]),
        ("train = 160", "train = 20", ["20 training images", "batch of 32"]),
    ],
)
def test_a_study_that_cannot_work_is_refused_before_training(
    playground: Playground, command: Command, old: str, new: str, words: list[str]
) -> None:
    playground.edit(old, new)
    status, out, errors = command("run", playground.study)
    assert (status, out) == (1, "")
    for word in words:
        assert word in one_line_or_two(errors)
    assert not list((playground.folder / "cache").rglob("*.safetensors"))
    assert not playground.results.exists()


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", ""])
def test_a_device_that_is_not_there_is_refused(
    playground: Playground, command: Command, device: str
) -> None:
    status, out, errors = command("run", playground.study, "--device", device)
    assert (status, out) == (1, "")
    assert repr(device) in one_line_or_two(errors) and "--device cpu" in errors


def test_missing_data_is_refused_with_where_to_put_it(
    playground: Playground, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.utils.urllib.request.urlopen", offline)
    playground.edit('"streetdigits", train = 160, test = 60', '"svhn"')
    status, _, errors = command("run", playground.study)
    assert status == 1
    assert "train_32x32.mat" in one_line_or_two(errors) and "FAILURE_MODES_DATA" in errors


# ------------------------------------------------------------------------------ no space left


def full_disk(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Let so many files be written, and refuse every one that follows."""
    fsync, left = os.fsync, [after]

    def limited(number: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    monkeypatch.setattr(os, "fsync", limited)


# In order: three checkpoints, the weights, the history, then predictions, estimates and manifest.
@pytest.mark.parametrize(
    "after, file",
    [(0, "checkpoint"), (3, "weights"), (5, "predictions"), (6, "estimates"), (7, "manifest")],
)
def test_a_full_disk_is_told_in_two_lines_and_nothing_is_lost(
    playground: Playground,
    undisturbed: Playground,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
    file: str,
) -> None:
    playground.edit("repeats = 2", "repeats = 1")
    if after:
        # What comes before the refusal is what the undisturbed study had at that moment.
        shutil.copytree(undisturbed.folder / "cache", playground.folder / "cache")
    if after == 3:
        put_back_the_last_checkpoint(playground)
    with monkeypatch.context() as limited:
        # Training that need not be done again writes nothing.
        full_disk(limited, after={0: 0, 3: 0}.get(after, after - 4))
        status, _, errors = command("run", playground.study)
    assert status == 1
    assert "No space left" in one_line_or_two(errors) and file in errors
    assert not list(playground.folder.rglob(f"{TEMPORARY}*"))
    assert not playground.results.exists() or results.load_if_any("tiny") is None
    assert command("run", playground.study)[0] == 0
    names = files(undisturbed)
    for key, name in files(playground).items():
        assert key[0] == "all" or names[key] == name
    opened(playground).verify()


def put_back_the_last_checkpoint(place: Playground) -> None:
    """Turn the finished first run into one whose last epoch is done and whose weights are not."""
    chosen = study.load(place.study)
    weights = trained.weights(chosen, chosen.runs[0])
    weights.unlink()
    images = datasets.load(chosen, place.folder)

    def stop(row: object) -> None:
        if row.epoch == chosen.training.epochs:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained.train(chosen, chosen.runs[0], images, device=CPU, report=stop)
    assert trained.checkpoint(chosen, chosen.runs[0]).is_file() and not weights.is_file()


def test_a_write_that_the_system_refuses_is_told_with_the_file(
    playground: Playground, undisturbed: Playground, command: Command
) -> None:
    # The kernel's own refusal in the middle of a checkpoint, whatever library writes it.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        status, _, errors = command("run", playground.study)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1
    assert "checkpoint.safetensors: File too large" in one_line_or_two(errors)
    assert not list((playground.folder / "cache").rglob("*.safetensors"))
    assert command("run", playground.study)[0] == 0
    assert_equal(playground, undisturbed)


def test_a_full_disk_keeps_old_results_readable(
    finished: Playground,
    undisturbed: Playground,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finished.edit("[0, 0.01, 0.05]", "[0, 0.01, 0.04]")
    with monkeypatch.context() as limited:
        full_disk(limited, after=2)
        assert command("run", finished.study)[0] == 1
    assert_equal(finished, undisturbed)


def test_estimates_do_not_depend_on_the_order_of_runs(undisturbed: Playground) -> None:
    store = opened(undisturbed)
    runs = dict(reversed(store.manifest.runs.items()))
    table = estimates.estimate(store.with_manifest(runs=runs))
    expected = store.table("estimates")
    assert_frame_equal(table.convert_dtypes(), expected.convert_dtypes(), check_exact=False)
    assert np.isfinite(table[["value", "low", "high"]]).all(axis=None)
