"""The command line: what it says, to whom, in how many lines, and with which exit status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import paths, study
from analysis.analyses import ANALYSES
from tests.playground import TINY, Playground
from tests.stored_files import expected_files

Command = Callable[..., tuple[int, str, str]]
STEPS = ("training", *ANALYSES)


def refused(answer: tuple[int, str, str], *words: str, status: int = 1) -> str:
    """Check that a command failed, told in one or two lines with the given words."""
    found, out, errors = answer
    assert (found, out) == (status, "")
    assert 1 <= len(errors.splitlines()) <= 2 and "Traceback" not in errors
    for word in words:
        assert word in errors
    return errors


# ------------------------------------------------------------------------------ what is asked


@pytest.mark.parametrize(
    "arguments, word",
    [
        ([], "command"),
        (["rnu"], "'rnu'"),
        (["run"], "study"),
        (["run", "demo", "svhn"], "svhn"),
        (["run", "demo", "--devcie", "cpu"], "--devcie"),
        (["run", "demo", "--device"], "--device"),
        (["status", "--fast"], "--fast"),
    ],
)
def test_a_wrong_command_is_answered_in_one_line(
    playground: Playground, command: Command, arguments: list[str], word: str
) -> None:
    errors = refused(command(*arguments), word, status=2)
    assert len(errors.splitlines()) == 1


def test_help_names_every_command(command: Command) -> None:
    status, out, _ = command("--help")
    assert status == 0
    commands = ("run", "status", "verify", "claims", "export", "import", "benchmark")
    assert all(word in out for word in commands)


@pytest.mark.parametrize("verb", ["run", "status", "verify"])
@pytest.mark.parametrize(
    "asked, nearest", [("svhn-subst", "svhn-subset"), ("dmo", "demo"), ("absent.toml", "")]
)
def test_an_unknown_study_is_answered_with_the_nearest(
    playground: Playground, command: Command, verb: str, asked: str, nearest: str
) -> None:
    errors = refused(command(verb, asked), repr(asked), nearest)
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("[training]", "[trainin]", ["'trainin'", "'training'"]),
        ("warmup", "warmupp", ["'training.warmupp'", "'warmup'"]),
        ("batch_size = 32", "batch_size = 0", ["training.batch_size", "0"]),
        ("repeats = 2", 'repeats = "two"', ["split.repeats", "'two'"]),
        ("[0, 0.01, 0.05]", "[0.01, 0.05]", ["attack", "rise from 0"]),
        ("[training]", "[training", ["not valid TOML"]),
        ('data = { name = "streetdigits", train = 160, test = 60 }', "", ["'data' is missing"]),
    ],
)
@pytest.mark.parametrize("verb", ["run", "status"])
def test_a_wrong_study_file_is_named_with_the_key(
    playground: Playground, command: Command, verb: str, old: str, new: str, words: list[str]
) -> None:
    playground.edit(old, new)
    refused(command(verb, playground.study), "tiny.toml", *words)


# ------------------------------------------------------------------------------ status


def steps(**states: str) -> str:
    return "  ".join(f"{step} {states.get(step, 'done')}" for step in STEPS)


def test_status_before_the_first_run(playground: Playground, command: Command) -> None:
    missing = steps(**dict.fromkeys(STEPS, "missing"))
    assert command("status", playground.study) == (
        0,
        f"tiny: 0 of 2 runs done\n  r0f0   {missing}\n  r1f0   {missing}\n"
        "  all    estimates missing  claims missing\n",
        "",
    )


def test_status_tells_what_is_stale_and_what_is_broken(
    finished: Playground, command: Command
) -> None:
    assert command("status", finished.study)[1] == (
        f"tiny: 2 of 2 runs done\n  r0f0   {steps()}\n  r1f0   {steps()}\n"
        "  all    estimates done  claims done\n"
    )
    finished.edit("[0, 0.01, 0.05]", "[0, 0.01, 0.04]")
    finished.edit("resamples = 100", "resamples = 200")
    finished.edit("repeats = 2", "repeats = 3")
    finished.table("maps", "r1f0").unlink()
    assert command("status", finished.study)[1] == (
        "tiny: 0 of 3 runs done\n"
        f"  r0f0   {steps(attacks='stale')}\n"
        f"  r1f0   {steps(saliency='broken', attacks='stale')}\n"
        f"  r2f0   {steps(**dict.fromkeys(STEPS, 'missing'))}\n"
        "  all    estimates stale  claims stale\n"
    )


def test_status_of_all_studies(playground: Playground, command: Command) -> None:
    status, out, errors = command("status")
    assert (status, errors) == (0, "")
    headings = [line for line in out.splitlines() if not line.startswith(" ")]
    assert [line.split(":")[0] for line in headings] == study.names()
    assert all(": 0 of " in line for line in headings)


def test_status_changes_nothing(finished: Playground, command: Command) -> None:
    finished.table("maps").unlink()
    before = sorted(finished.folder.rglob("*"))
    command("status", finished.study)
    assert sorted(finished.folder.rglob("*")) == before


# ------------------------------------------------------------------------------ verify


def test_verify_counts_the_files(finished: Playground, command: Command) -> None:
    status, out, errors = command("verify", finished.study)
    assert (status, errors) == (0, "")
    count = len(expected_files(study.load(finished.study), ["r0f0", "r1f0"]))
    assert out == f"tiny: {count} files agree with the manifest and their schemas\n"


def test_verify_names_a_broken_file(finished: Playground, command: Command) -> None:
    path = finished.table("saliency")
    path.write_bytes(path.read_bytes()[:-1])
    refused(command("verify", finished.study), path.name, "truncated", "python -m analysis run")


def test_verify_tells_when_the_study_has_changed_since(
    finished: Playground, command: Command
) -> None:
    finished.edit("learning_rate = 2e-3", "learning_rate = 3e-3")
    status, out, _ = command("verify", finished.study)
    assert status == 0 and "the study file has changed since" in out


def test_verify_of_a_study_without_results_says_how_to_compute_them(
    playground: Playground, command: Command
) -> None:
    asked = str(playground.study)
    refused(command("verify", asked), "holds no results", f"`python -m analysis run {asked}`")
    refused(command("verify", "demo"), "holds no results", "`python -m analysis run demo`")


def test_verify_of_all_studies_checks_those_that_have_results(
    playground: Playground, command: Command
) -> None:
    assert command("verify") == (0, "", "")


def test_a_damaged_manifest_stops_every_command(finished: Playground, command: Command) -> None:
    (finished.results / "manifest.json").write_text("{")
    for verb in ("run", "status", "verify"):
        refused(command(verb, finished.study), "manifest.json is damaged", "git restore")


def test_results_of_another_study_stop_every_command(
    finished: Playground, command: Command
) -> None:
    other = finished.folder / "other.toml"
    other.write_text(TINY)
    shutil.copytree(finished.results, finished.results.with_name("other"))
    for verb in ("run", "status", "verify"):
        refused(command(verb, other), "is of another study, 'tiny'")


# ------------------------------------------------------------------------------ the machine


def test_a_file_in_the_place_of_a_folder_is_told_in_one_line(
    playground: Playground, command: Command
) -> None:
    (playground.folder / "cache").write_text("in the way")
    refused(command("run", playground.study), str(playground.folder / "cache"))


# What takes seconds to import, and is not needed to say that there is nothing to do.
HEAVY = {
    *("torch", "torchvision", "timm", "captum", "art"),
    *("sklearn", "skimage", "statsmodels", "matplotlib"),
}


@pytest.mark.parametrize("verb", ["run", "status", "verify"])
def test_what_only_looks_imports_nothing_heavy(finished: Playground, verb: str) -> None:
    code = (
        "import json, sys; from analysis.__main__ import main; status = main(sys.argv[1:])\n"
        "print(json.dumps([status, sorted(name for name in sys.modules if '.' not in name)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, verb, str(finished.study)],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    status, modules = json.loads(done.stdout.splitlines()[-1])
    assert status == 0
    assert "pandas" in modules and not HEAVY & set(modules)


# The highest memory use of each probe: the system's own record of it, begun anew before each.
PEAKS = """
import json
import sys
from pathlib import Path

import numpy as np
import torch

from analysis import model, study
from analysis.datasets import ImageSet
from analysis.probes import PROBES, Subject

CPU = torch.device("cpu")

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

def peaks(name, count):
    chosen = study.load(sys.argv[1])
    chosen = chosen.model_copy(update={"model": study.Model(name=name, size=128)})
    generator = np.random.default_rng(0)
    images = ImageSet(
        images=generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),
        labels=generator.integers(0, 10, count, dtype=np.uint8),
        split=np.full(count, "test"),
        index=np.arange(count, dtype=np.int32),
        photo=np.arange(count, dtype=np.int32),
        masks=generator.random((count, 32, 32)) < 0.5,
    )
    classifier = model.build(chosen.model, seed=0, device=CPU).eval().requires_grad_(False)
    subject = Subject(chosen, chosen.runs[0], classifier, images, images.positions("test"))
    done, found = {}, {}
    for analysis, probe in PROBES.items():
        Path("/proc/self/clear_refs").write_text("5")
        done |= probe(subject, done)
        found[analysis] = peak()
    assert len(done["predictions"]) == count
    return found

# What is made at first use is not the images' doing.
peaks("test_resnet", 8)
few, many = peaks("test_resnet", 128), peaks("test_resnet", 384)
print(json.dumps([few, many, peaks("resnet18", 64)]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_probes_need_memory_for_one_batch_however_many_images(playground: Playground) -> None:
    playground.edit("[0, 0.01, 0.05]", "[0, 0.05]")
    playground.edit('["layer2.0", "layer1.0"]', '["layer2.0"]')
    playground.edit("[0.02, 0.06]", "[0.02]")
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, str(playground.study)],
        cwd=paths.ROOT,
        # Large pieces of memory go back to the system at once: the same peak each time.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "262144"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    few, many, largest = json.loads(done.stdout)
    for probe in few:
        # In MiB. 256 more images at 128×128 are 48 as floats, and none of them may be kept.
        assert many[probe] - few[probe] < 24
    # The real network at its real size, with all libraries.
    assert max(largest.values()) < 2048
