"""Runs on a Ray cluster: equal to those of one process, whatever happens to the workers."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from analysis import derivation, study
from analysis.cluster import driver, worker
from analysis.images import load
from analysis.project import paths
from analysis.project.errors import UserError
from analysis.results import status as status_of
from analysis.results import verification
from analysis.results.store import RUN, Store
from analysis.study.reading import read
from tests.made_up import filled, made_up_study
from tests.playground import Playground

Command = Callable[..., tuple[int, str, str]]
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install -e '.[ray]'"
)


def closed_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


# ------------------------------------------------------------ without a cluster


def test_nothing_of_ray_is_imported_without_the_flag() -> None:
    code = "import sys, analysis.__main__, analysis.pipeline, analysis.cluster; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=True
    )
    assert "ray" not in done.stdout.split()


def test_what_is_derived_does_not_depend_on_the_threads_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "results"))
    opened, threads = filled(made_up_study(tmp_path)), []
    summaries = derivation.summaries

    def counted(*arguments: object, **options: object) -> object:
        threads.extend(pool["num_threads"] for pool in threadpool_info())
        return summaries(*arguments, **options)

    monkeypatch.setattr(derivation, "summaries", counted)
    with threadpool_limits(limits=2):
        derivation.derive(opened, say=lambda line: None)
    assert threads and set(threads) == {1}


def test_without_ray_one_line_says_how_to_install_it(
    playground: Playground, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    status, _, errors = command("run", playground.study, "--ray")
    assert status == 1 and "pip install -e '.[ray]'" in errors and len(errors.splitlines()) == 2
    assert not list(playground.results.glob("r*"))


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "a:b", "a:99999", "a"])
def test_an_address_where_no_cluster_is(
    playground: Playground, command: Command, address: str
) -> None:
    status, _, errors = command("run", playground.study, "--ray", address.format(closed_port()))
    assert status == 1 and "--ray: no cluster can be used at" in errors
    assert len(errors.splitlines()) == 2


def test_which_device_it_is_ray_decides(playground: Playground, command: Command) -> None:
    status, _, errors = command("run", playground.study, "--ray", "--device", "cuda:1")
    assert status == 1 and "it is cpu or cuda" in errors


def test_a_persons_own_module_goes_with_the_code(tmp_path: Path) -> None:
    for name in ("mynet.py", "other.py"):
        (tmp_path / name).touch()
    # A folder of the same name that is no package is not what Python imports.
    for name in ("package", "mynet"):
        (tmp_path / name).mkdir()
    for model, expected in (
        ("python:mynet:network", ["mynet.py"]),
        ("python:package.nets:network", ["package"]),
        ("python:torchvision.models:resnet18", []),
        ("resnet18", []),
    ):
        text = f"""
title = "x"
images = {{ source = "svhn-subset" }}
network = {{ model = "{model}", weights = "w.safetensors", size = 64 }}
"""
        found = driver._code(read(text, name="own", folder=tmp_path))
        assert found == [str(paths.ROOT / "analysis"), *(str(tmp_path / one) for one in expected)]


# ------------------------------------------------------------ a task, and what it returns


@pytest.fixture
def task(finished: Playground) -> Callable[..., tuple[dict[str, bytes], str | None]]:
    """Return a function that does the first run as a worker would, from what is in the store."""
    counter = worker.Counter()
    remote = SimpleNamespace(
        **{
            name: SimpleNamespace(remote=getattr(counter, name))
            for name in ("begin", "step", "say")
        }
    )
    cache = str(finished.folder / "cache")

    def done(**options: object) -> tuple[dict[str, bytes], str | None]:
        found = study.load(finished.study)
        opened, images = Store.open(found), load(found, finished.folder)
        run = found.runs[0]
        arguments = {"kind": "cpu", "cache": cache} | options
        return worker.task(found, run, images, {}, opened.files(run), remote, **arguments)

    return done


def take(place: Playground, content: dict[str, bytes]) -> None:
    opened = Store.open(study.load(place.study))
    run = opened.study.runs[0]
    images = opened.runs["r1f0"].images
    driver._take(opened, run, content, images=images, revision="a" * 40, say=print)


def test_only_what_is_missing_is_made_and_comes_back(
    finished: Playground, task: Callable[..., tuple[dict[str, bytes], str | None]]
) -> None:
    before = finished.tables()
    next(finished.results.glob("r0f0/maps*")).unlink()
    shutil.rmtree(finished.folder / "cache" / "tiny" / "r1f0", ignore_errors=True)
    trained = [path.stat().st_mtime_ns for path in finished.weights()]
    content, problem = task()
    assert problem is None and [path.stat().st_mtime_ns for path in finished.weights()] == trained
    assert not list(finished.results.glob("r0f0/maps*"))
    take(finished, content)
    assert finished.tables() == before
    assert verification.check_run(Store.open(study.load(finished.study)), "r0f0") > 5


def test_a_run_that_fails_gives_back_what_it_has(
    finished: Playground, task: Callable[..., tuple[dict[str, bytes], str | None]]
) -> None:
    next(finished.results.glob("r0f0/maps*")).unlink()
    finished.weights()[0].write_bytes(b"")
    content, problem = task()
    assert "weights.safetensors is truncated or altered" in str(problem)
    assert RUN in content and not [name for name in content if name.startswith("maps")]


@pytest.mark.parametrize("how", ["bit", "lost", "record", "other run", "other images"])
def test_a_run_that_is_damaged_on_its_way_is_refused(finished: Playground, how: str) -> None:
    opened = Store.open(study.load(finished.study))
    first, second = opened.study.runs
    content = opened.files(first)
    table = next(name for name in content if name.startswith("attacks"))
    if how == "bit":
        content[table] = content[table][:-9] + bytes([content[table][-9] ^ 1]) + content[table][-8:]
    elif how == "lost":
        del content[table]
    elif how == "record":
        content[RUN] = content[RUN][:-20]
    elif how == "other run":
        content = opened.files(second)
    else:
        content[RUN] = opened.runs["r0f0"].model_copy(update={"images": "1" * 64}).sealed()
    before = {path: path.read_bytes() for path in finished.results.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="What came back is damaged"):
        take(finished, content)
    assert before == {
        path: path.read_bytes() for path in finished.results.rglob("*") if path.is_file()
    }


def test_files_that_a_study_names_reach_a_worker_that_lacks_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
title = "x"
images = { source = "svhn-subset" }
network = { model = "test_resnet", weights = "w.safetensors", size = 64 }
"""
    there = read(text, name="x", folder=tmp_path / "driver")
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver" / "w.safetensors").write_bytes(b"weights")
    digest = status_of.training_digest(there)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda content: content))
    known = status_of.contents(there, ["network.weights"])["network.weights"]
    here = read(text, name="x", folder=tmp_path / "worker")
    given = {"network.weights": (known, "w.safetensors", b"weights")}
    found = worker.with_files(here, given, tmp_path / "files")
    assert status_of.training_digest(found) == digest
    assert found.files["network.weights"].read_bytes() == b"weights"
    assert worker.with_files(there, given, tmp_path / "files") is there


# ------------------------------------------------------------ a cluster of its own


def processes(of: subprocess.Popen, name: str = "") -> list[psutil.Process]:
    """Return the processes that one has started, or those of a name."""
    found = []
    for process in psutil.Process(of.pid).children(recursive=True):
        try:
            if name in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def until(process: subprocess.Popen, done: Callable[[], object]) -> None:
    end = time.monotonic() + 300
    while not done():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)


@needs_ray
@pytest.mark.slow
def test_a_failed_run_does_not_stop_the_others(
    finished: Playground, undisturbed: Playground
) -> None:
    for path in finished.results.glob("r*/maps*"):
        path.unlink()
    weights = finished.weights()[1]
    weights.write_bytes(weights.read_bytes()[:-1])
    process = finished.start("run", finished.study, "--ray")
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 1 and "Traceback" not in errors
    assert out.count("r1f0 has failed.") == 1 and "weights.safetensors is truncated" in out
    assert "1 of 2 runs of tiny failed: r1f0." in errors
    # The run that failed has lost what its analysis of maps had written; the other has it again.
    names = undisturbed.tables().keys()
    different = names ^ finished.tables().keys()
    assert {name for name in different if "/" in name} == {
        name for name in names if name.startswith(("r1f0/maps-", "r1f0/mean_maps-"))
    }


@needs_ray
@pytest.mark.slow
def test_killed_and_stopped_it_continues_to_the_same_results(
    playground: Playground, undisturbed: Playground
) -> None:
    def there(pattern: str) -> Callable[[], object]:
        return lambda: list(playground.folder.glob(pattern))

    for pattern, how in (
        ("cache/**/checkpoint*", signal.SIGKILL),
        ("results/tiny/r*/run.json", signal.SIGINT),
    ):
        process = playground.start("run", playground.study, "--ray")
        until(process, there(pattern))
        started = processes(process)
        process.send_signal(how)
        _, errors = process.communicate(timeout=300)
        ended = process.returncode, "Traceback" in errors
        assert how == signal.SIGKILL or ended == (130, False), errors
        # Ray's own agents look for the rest of it now and then.
        assert psutil.wait_procs(started, timeout=180)[1] == []
    shutil.rmtree(playground.folder / "cache")
    shutil.rmtree(playground.results)
    process = playground.start("run", playground.study, "--ray")
    until(process, there("cache/**/checkpoint*"))
    workers = processes(process, "ray::task")
    assert workers
    for one in workers:
        one.kill()
    assert process.wait(timeout=300) == 0
    assert playground.tables() == undisturbed.tables()
