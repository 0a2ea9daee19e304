"""The benchmark: what it times is what it says, and its numbers are those of the clock."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from analysis import datasets, paths, results, timings
from analysis.benchmarks import commands, epochs, probes
from analysis.benchmarks.sizes import QUICK
from analysis.benchmarks.turns import compared, in_turns, peak_memory
from analysis.errors import UserError
from analysis.timings import Comparison, Peak, Spread, Timings
from tests.conftest import CPU
from tests.playground import Playground

Command = Callable[..., tuple[int, str, str]]


# ------------------------------------------------------------------------------ in turns


class Clock:
    """A clock that calls move on."""

    def __init__(self) -> None:
        self.now, self.called = 0.0, []

    def __call__(self) -> float:
        return self.now

    def taking(self, name: str, seconds: list[float]) -> Callable[[], None]:
        left = iter(seconds)

        def call() -> None:
            self.called.append(name)
            self.now += next(left)

        return call


def test_each_is_timed_in_turn_and_what_warms_up_is_left_out() -> None:
    clock = Clock()
    calls = {
        "ours": clock.taking("ours", [100, 1, 2, 3]),
        "peer": clock.taking("peer", [100, 10, 20, 30]),
    }
    times = in_turns(calls, rounds=3, clock=clock)
    assert times["ours"].tolist() == [1, 2, 3]
    assert times["peer"].tolist() == [10, 20, 30]
    # Neither always comes after the other.
    pairs = [tuple(clock.called[number : number + 2]) for number in range(0, 8, 2)]
    assert pairs == [("peer", "ours"), ("ours", "peer")] * 2


def test_the_device_has_finished_before_and_after_each_turn() -> None:
    clock, order = Clock(), []

    def wait() -> None:
        order.append("wait")
        # What the device still does after a call counts for that call.
        clock.now += 5

    times = in_turns(
        {"ours": lambda: order.append("call")}, rounds=1, warm_up=0, wait=wait, clock=clock
    )
    assert order == ["wait", "call", "wait"]
    assert times["ours"].tolist() == [5]


def test_a_comparison_has_medians_and_extremes_and_the_ratio_of_each_round() -> None:
    ours, theirs = np.array([1.0, 2.0, 4.0, 5.0, 9.0]), np.array([2.0, 2.0, 2.0, 5.0, 3.0])
    found = compared("a", ours, theirs, against="b", kind="peer")
    assert (found.ours.low, found.ours.median, found.ours.high) == (1, 4, 9)
    ratios = [0.5, 1, 2, 1, 3]
    assert found.ratio.median == statistics.median(ratios)
    assert (found.ratio.low, found.ratio.high) == (min(ratios), max(ratios))
    assert (found.unit, found.rounds) == ("s", 5)
    speed = compared("a", ours, theirs, against="b", kind="peer", images=60)
    assert speed.unit == "images/s" and speed.theirs.median == 30
    # Twice the time is half the speed.
    assert speed.ratio.median == statistics.median([2, 1, 0.5, 1, 1 / 3])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_peak_memory_counts_what_is_gone_by_the_end() -> None:
    less = peak_memory(lambda: None, device=CPU)
    more = peak_memory(lambda: np.ones(2**24).sum(), device=CPU)
    assert 100 < more - less < 200


# ------------------------------------------------------------------------------ training


@pytest.fixture(scope="module")
def sizes() -> object:
    small = replace(QUICK, model=QUICK.model.model_copy(update={"size": 32}), rounds=1)
    return replace(small, batch=16, steps=3)


@pytest.fixture(scope="module")
def images(sizes) -> datasets.ImageSet:
    return datasets.load(epochs.study_of(sizes), paths.data())


def test_all_loops_are_timed_and_compared(sizes) -> None:
    found, peaks = epochs.training_speed(sizes, device=CPU)
    assert [(one.kind, one.unit) for one in found] == [
        ("limit", "images/s"),
        ("limit", "images/s"),
        ("peer", "images/s"),
        ("peer", "images/s"),
    ]
    assert all(one.ours.median > 0 and "test_resnet at 32×32" in one.name for one in found)
    # The same loop beside two things is the same measurement.
    assert found[0].ours == found[2].ours and found[2].theirs == found[3].theirs
    assert [peak.name for peak in peaks] in (
        ["float32", "bfloat16", "the original's loop"],
        [],
    )


def test_the_fast_setting_trains_on_as_many_images_in_larger_batches(sizes) -> None:
    sizes = replace(sizes, batch=2, steps=16)
    found, _ = epochs.training_speed(sizes, device=CPU, fast=True)
    fast = [one for one in found if "batches of 16" in one.name]
    assert [one.kind for one in fast] == ["limit", "peer"]
    # The smallest batches cost most, so eight in one are faster than the loop that is compared.
    assert fast[1].ratio.median > 1


def test_pictures_are_the_images_that_the_classifier_sees(images: datasets.ImageSet) -> None:
    positions = images.positions("train")
    pictures = epochs.Pictures(images, positions, size=64)
    assert len(pictures) == len(positions)
    batch = torch.stack([pictures[number][0] for number in range(8)])
    native = torch.from_numpy(images.images[positions[:8]]).permute(0, 3, 1, 2) / 255
    expected = (F.interpolate(native, size=(64, 64), mode="bilinear") - 0.5) / 0.5
    # Pictures are rounded to 8 bits after each direction: at most a level, which is 2/255 here.
    assert (batch - expected).abs().max() < 2.1 / 255
    assert [pictures[number][1] for number in range(8)] == images.labels[positions[:8]].tolist()


def test_the_original_s_loop_trains(sizes, images: datasets.ImageSet) -> None:
    torch.manual_seed(0)
    steps = epochs.original(sizes, images, device=CPU, workers=0)
    losses = [steps() for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("half", [False, True])
def test_bare_steps_train(sizes, images: datasets.ImageSet, half: bool) -> None:
    steps = epochs.bare(sizes, images, device=CPU, half=half)
    losses = [steps() for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]


# ------------------------------------------------------------------------------ probes


@pytest.fixture(scope="module")
def setting() -> probes.Setting:
    return probes.setting(QUICK, device=CPU)


def test_every_way_of_fgsm_predicts_the_same(setting: probes.Setting) -> None:
    # So large that what an untrained network predicts does change.
    setting = replace(setting, sizes=replace(QUICK, epsilons=(0.01, 1.0)))
    theirs = torch.stack(probes.gradient_for_each_epsilon(setting))
    assert torch.equal(probes.sweep(setting), theirs)
    assert theirs.shape == (2, 8) and not torch.equal(theirs[0], theirs[1])
    assert len(probes.least_possible(setting)) == 2


def test_every_way_of_grad_cam_maps_the_same(setting: probes.Setting) -> None:
    layers = QUICK.layers
    ours, theirs = probes.batched(setting, layers), probes.one_at_a_time(setting, layers)
    for layer in layers:
        assert ours[layer].shape == theirs[layer].shape and ours[layer].max() > 0
        assert torch.allclose(ours[layer], theirs[layer], atol=1e-4 * theirs[layer].max().item())


def test_probes_are_compared_with_limits_and_peers(setting: probes.Setting) -> None:
    found = [*probes.fgsm(setting), *probes.grad_cam(setting)]
    assert [one.kind for one in found] == ["limit", "peer", "peer", "peer"]
    assert {one.unit for one in found} == {"s"} and min(one.ours.low for one in found) > 0
    # A batch of eight at once, beside eight by themselves.
    assert found[-1].ratio.median < 1


# ------------------------------------------------------------------------------ commands


def test_claims_are_judged_on_a_copy(finished: Playground) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.results.iterdir()}
    found = commands.claims("tiny", rounds=1)
    assert found.name == "judging the claims of tiny, 2 runs"
    assert (found.kind, found.theirs.median) == ("limit", 60)
    assert found.ratio.median == pytest.approx(found.ours.median / 60)
    assert {path: path.stat().st_mtime_ns for path in finished.results.iterdir()} == before


def test_empty_pages_keep_their_title_their_formats_and_a_kernel(tmp_path: Path) -> None:
    project = tmp_path / "project"
    commands.copy_project(project, "demo")
    names = sorted(path.name for path in paths.ROOT.glob("*.qmd"))
    commands.make_empty(project)
    assert sorted(path.name for path in project.glob("*.qmd")) == names
    for name in names:
        before, after = (
            yaml.safe_load((folder / name).read_text("utf-8").split("---\n")[1])
            for folder in (paths.ROOT, project)
        )
        assert after == {key: before[key] for key in ("title", "format") if key in before}
        assert (project / name).read_text("utf-8").count("```{python}") == 1
    settings = yaml.safe_load((project / "_quarto.yml").read_text("utf-8"))
    assert "pre-render" not in settings["project"] and "html" in settings["format"]
    assert results.load("demo", folder=project / "build" / "results" / "demo").verify()


PAGE = """---
title: Small
---

```{python}
from analysis import results
results.load("demo").study.name
```
"""


@pytest.fixture
def small_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one page beside the packages and results of this one."""
    committed = paths.ROOT / "build" / "results" / "demo"
    if not committed.is_dir():
        pytest.skip("demo has no committed results")
    project = tmp_path / "small"
    (project / "build" / "results").mkdir(parents=True)
    for name in ("analysis", "report", "build/results/demo"):
        (project / name).symlink_to(paths.ROOT / name)
    settings = {
        "project": {"type": "website", "output-dir": "build/site", "execute-dir": "project"},
        "study": "demo",
        "format": {"html": {"toc": False}},
    }
    (project / "_quarto.yml").write_text(yaml.safe_dump(settings))
    (project / "index.qmd").write_text(PAGE)
    monkeypatch.delenv("FAILURE_MODES_RESULTS", raising=False)
    monkeypatch.setattr(paths, "ROOT", project)
    return project


def test_a_preview_is_timed_beside_an_empty_one(
    small_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (found,) = commands.rendering("demo", rounds=1)
    assert found.name == "rendering demo, 1 page, the preview" and found.kind == "limit"
    # The page with a cell takes a kernel more than the empty one.
    assert found.ours.median > found.theirs.median > 0
    assert not (small_project / "build" / "site").exists()


def test_pages_that_cannot_be_rendered_are_told(
    small_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (small_project / "index.qmd").write_text("---\ntitle: Small\n---\n\nSee @fig-nothing.\n")
    with pytest.raises(UserError, match="fig-nothing"):
        commands.rendering("demo", rounds=1)
    with pytest.raises(UserError, match="no profile of 'svhn'"):
        commands.rendering("svhn", rounds=1)


# ------------------------------------------------------------------------------ written down


def some_timings() -> Timings:
    times = np.array([1.0, 2.0, 3.0])
    slow, fast = compared("a", times, times / 3, against="b", kind="peer"), times * 1000
    return Timings(
        quick=False,
        device="a processor",
        system="a system",
        cores=2,
        load=0.5,
        packages={"python": "3.11"},
        revision=None,
        finished="2025-01-01T00:00:00+00:00",
        comparisons=(slow, compared("c", times, fast, against="d", kind="limit", images=6000)),
        peaks=(Peak(name="a", mebibytes=1234.5),),
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "benchmark.json"
    assert timings.write(some_timings(), path) == [path, path.with_suffix(".md")]
    assert timings.read(path) == some_timings()
    json.loads(path.read_text("utf-8"))
    assert timings.read(tmp_path / "absent.json") is None
    path.write_text("{")
    with pytest.raises(UserError, match=r"benchmark.json is damaged"):
        timings.read(path)


def test_the_table_has_a_row_of_text_for_each_comparison() -> None:
    rows = timings.table(some_timings())
    assert rows.to_numpy().tolist() == [
        ["a", "s", "2 (1 to 3)", "b (peer)", "0.667 (0.333 to 1)", "3"],
        ["c", "images/s", "3,000 (2,000 to 6,000)", "d (limit)", "3 (2 to 6)", "1,000"],
    ]
    page = timings.markdown(some_timings())
    assert page.count("\n|") == 2 + len(rows)
    assert "a processor; 2 cores" in page and "- a: 1,234 MiB" in page
    assert "say nothing" not in page
    quick = some_timings().model_copy(update={"quick": True})
    assert "these numbers say nothing" in timings.markdown(quick)


def test_processes_are_pooled_to_the_median_of_medians_and_all_that_they_span() -> None:
    limit = np.ones(3)
    each = [
        compared("a", np.array(times, float), limit, against="b", kind="limit")
        for times in ([1, 2, 3], [4, 5, 9], [2, 2, 2])
    ]
    found = timings.pooled(each)
    assert found.ours == Spread(median=2, low=1, high=9) == found.ratio
    assert found.theirs == Spread(median=1, low=1, high=1)
    assert (found.name, found.rounds) == ("a", 9)
    assert timings.pooled(each[:1]) == each[0]


def test_a_spread_without_width_is_one_number() -> None:
    assert Spread.of([60, 60]) == Spread(median=60, low=60, high=60)
    comparison = Comparison(
        name="a",
        against="b",
        kind="limit",
        unit="s",
        ours=Spread.of([6, 6]),
        theirs=Spread.of([60, 60]),
        ratio=Spread.of([0.1, 0.1]),
        rounds=2,
    )
    found = some_timings().model_copy(update={"comparisons": (comparison,)})
    assert timings.table(found).iloc[0].tolist() == ["a", "s", "6", "b (limit)", "60", "0.1"]


# ------------------------------------------------------------------------------ the command


def test_parts_are_measured_and_written_where_they_are_wanted(
    finished: Playground, command: Command
) -> None:
    out = finished.folder / "found" / "b.json"
    asked = ("--quick", "claims", "fgsm", "--study", "tiny", "--out", out)
    status, page, said = command("benchmark", *asked)
    assert status == 0
    # In an order of their own.
    assert said.splitlines() == [
        "fgsm, 1 of 1 …",
        "claims, 1 of 1 …",
        str(out),
        str(out.with_suffix(".md")),
    ]
    assert page == out.with_suffix(".md").read_text("utf-8") and "say nothing" in page
    found = timings.read(out)
    assert found.quick and [one.name[:4] for one in found.comparisons] == ["FGSM", "FGSM", "judg"]


def test_numbers_that_say_nothing_are_not_kept(playground: Playground, command: Command) -> None:
    assert command("benchmark", "--quick", "grad-cam")[0] == 0
    assert timings.default_path().is_relative_to(playground.folder)
    assert timings.read() is None and not playground.results.parent.exists()


def test_one_that_is_stopped_says_that_nothing_is_kept(
    playground: Playground, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> Timings:
        raise KeyboardInterrupt

    monkeypatch.setattr("analysis.benchmarks.measure", stopped)
    status, out, errors = command("benchmark", "--quick", "fgsm", "--out", playground.folder / "b")
    assert (status, out) == (130, "") and errors.startswith("Stopped; nothing was written")
    assert not (playground.folder / "b").exists()


def test_an_unknown_part_is_answered_with_the_nearest(
    playground: Playground, command: Command
) -> None:
    status, out, errors = command("benchmark", "fgms")
    assert (status, out) == (1, "")
    assert "'fgms'" in errors and "'fgsm'" in errors and len(errors.splitlines()) == 1


def test_a_study_without_results_is_refused_before_anything_is_timed(
    playground: Playground, command: Command
) -> None:
    status, out, errors = command("benchmark", "--quick", "fgsm", "claims", "--study", "demo")
    assert (status, out) == (1, "")
    assert "holds no results" in errors and "fgsm, 1 of 1 …" not in errors
