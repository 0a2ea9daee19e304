"""The process that was started: it connects, hands out runs, and alone writes the store."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from analysis import pipeline
from analysis.cluster import worker
from analysis.pipeline import Say, Workers
from analysis.project import interruption, paths, provenance
from analysis.project.errors import UserError
from analysis.project.foreign import said
from analysis.results import status, verification
from analysis.results.records import Provenance, RunRecord
from analysis.results.store import Store
from analysis.study import Run, Study

# The address of a cluster that is started here and ends with the command.
OWN = "local"
# What Ray calls a device.
_RESOURCE = {"cpu": "CPU", "cuda": "GPU"}
# How often a run is begun again after its worker has died.
_RETRIES = 5
# Seconds between two looks at how far the runs are.
_LOOK = 0.5
_Part = TypeVar("_Part", bound=Provenance)


def run(study: Study, *, data: Path, device: str | None, address: str, say: Say = print) -> None:
    """Do what is missing of a study as ``pipeline.run`` does, with its runs on a Ray cluster.

    ``address`` is the cluster's, or ``OWN``. A run that fails does not stop the others. Raises
    ``UserError`` as ``pipeline.run`` does, without Ray, and if no cluster answers.
    """
    if device not in (None, "cpu", "cuda"):
        raise UserError("--device: with --ray it is cpu or cuda; Ray chooses which one.")
    place = partial(_workers, study, address, device)
    own = device if device == "cpu" else None
    pipeline.run(study, data=data, device=own, say=say, place=place)


@contextlib.contextmanager
def _workers(study: Study, address: str, device: str | None) -> Iterator[Workers]:
    """Connect to a cluster, give its workers, and leave none of their processes behind."""
    try:
        import ray
    except ModuleNotFoundError:
        raise UserError(
            "--ray needs Ray, which is not installed.\nInstall it with `pip install -e '.[ray]'`."
        ) from None
    import torch

    _reach(address)
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == OWN:
        options["include_dashboard"] = False
    else:
        # On this machine the code is where it is.
        options["runtime_env"] = {"py_modules": _code(study)}
    handler = signal.getsignal(signal.SIGTERM)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            ray.init(address, **options)
    # Ray gives up with an exception of no type of its own if a machine is too busy to start it.
    except Exception as error:
        ray.shutdown()
        raise _unusable(address, error) from error
    finally:
        # Ray has put its own in the place of this program's.
        signal.signal(signal.SIGTERM, handler)
    try:
        has = ray.cluster_resources()
        if device == "cuda" and not has.get("GPU"):
            raise UserError("--device: the Ray cluster has no GPU; leave it out, or use cpu.")
        kind = device or ("cuda" if has.get("GPU") else "cpu")
        count = int(has.get(_RESOURCE[kind], 0))
        on = f"a Ray cluster with {count} {_RESOURCE[kind]}{'s' * (count != 1)}"
        yield Workers(partial(_work, kind=kind), on=on, device=torch.device("cpu"))
    finally:
        # Half shut down, Ray ends this process with a status of its own.
        with interruption.deferred():
            ray.shutdown()


def _reach(address: str) -> None:
    """Raise ``UserError`` if nothing answers at an address, for which Ray would wait minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _unusable(address, error) from error


def _unusable(address: str, error: Exception) -> UserError:
    if address == OWN:
        return UserError(f"--ray: no cluster can be started on this machine: {said(error)}")
    return UserError(
        f"--ray: no cluster can be used at {address[:100]!r}: {said(error)}\n"
        "Start one with `ray start --head`, or leave the address out to work on this machine."
    )


def _code(study: Study) -> list[str]:
    """Return what workers import that may not be installed there: this package, and a person's.

    Of a person's code it is the module that the study names, or the package that has it.
    """
    found = [str(paths.ROOT / "analysis")]
    model = study.network.model if study.network else ""
    if model.startswith("python:"):
        name = model.removeprefix("python:").partition(":")[0].partition(".")[0]
        for folder in (study.located("."), Path.cwd()):
            # As Python finds it: a folder that is no package comes last.
            package, module = folder / name, folder / f"{name}.py"
            if module.is_file() and not (package / "__init__.py").is_file():
                return [*found, str(module.resolve())]
            if package.is_dir():
                return [*found, str(package.resolve())]
    return found


def _work(
    opened: Store,
    todo: list[Run],
    images: Any,
    *,
    progress: Callable[[int], object],
    say: Say,
    kind: str,
) -> dict[str, str]:
    """Have runs done by tasks, and write each as it comes back; see ``pipeline.Work``."""
    import ray

    study, revision, failed = opened.study, provenance.revision(), {}
    digest = images.digest()
    given = {
        key: (status.contents(study, [key])[key], path.name, ray.put(path.read_bytes()))
        for key, path in study.files.items()
        if path.is_file()
    }
    # Ray's types know no function of so many arguments.
    remote = cast(Any, ray.remote)
    counter = remote(num_cpus=0, max_restarts=-1)(worker.Counter).remote()
    task = remote(num_cpus=1, num_gpus=int(kind == "cuda"), max_retries=_RETRIES)(worker.task)
    shared = ray.put(images)
    options = {"kind": kind, "cache": str(paths.cache().absolute())}
    waiting, seen = deque(todo), 0
    begun: dict[Any, Run] = {}

    def look() -> None:
        nonlocal seen
        with contextlib.suppress(ray.exceptions.RayError):
            steps, lines = ray.get(counter.look.remote())
            if steps != seen:
                progress(steps - seen)
            seen = steps
            for line in lines:
                say(line)

    try:
        while waiting or begun:
            # A few more than can be done at once, so that a cluster which grows on demand does.
            slots = ray.cluster_resources().get(_RESOURCE[kind], 0)
            while waiting and len(begun) < 2 * max(slots, 4):
                each = waiting.popleft()
                earlier = opened.files(each)
                begun[task.remote(study, each, shared, given, earlier, counter, **options)] = each
            done, _ = ray.wait(list(begun), timeout=_LOOK)
            look()
            for reference in done:
                each = begun.pop(reference)
                try:
                    content, problem = ray.get(reference)
                    _take(opened, each, content, images=digest, revision=revision, say=say)
                except ray.exceptions.RuntimeEnvSetupError as error:
                    raise UserError(
                        f"--ray: the code cannot reach the workers: {said(error)}"
                    ) from error
                except ray.exceptions.RayError as error:
                    problem = said(getattr(error, "cause", None) or error)
                except UserError as error:
                    problem = str(error)
                if problem:
                    failed[each.name] = problem
                    say(f"{each.name} has failed. {problem}")
    finally:
        # Whatever ended the loop is what is said, even if Ray cannot cancel any more.
        with contextlib.suppress(Exception):
            for reference in begun:
                ray.cancel(reference, force=True)
    return failed


def _take(
    opened: Store,
    run: Run,
    content: dict[str, bytes],
    *,
    images: str,
    revision: str | None,
    say: Say,
) -> None:
    """Check a run that came back, whole, and write it into the store.

    Raises ``UserError`` for one that is damaged, or not what was asked for.
    """
    if not content:
        return
    with tempfile.TemporaryDirectory() as name:
        worker.unpack(Path(name) / run.name, content)
        arrived = Store.open(opened.study, Path(name), runs=[run])
        problems = [
            f"{step} is {what}" for step, what in arrived.problems.get(run.name, {}).items()
        ]
        record = arrived.runs.get(run.name)
        if record is not None and record.images != images:
            problems.append("it is of other images")
        if record is not None and not problems:
            try:
                verification.check_run(arrived, run.name)
            except UserError as error:
                problems.append(str(error).splitlines()[0])
        if problems or record is None:
            raise UserError(f"What came back is damaged: {'; '.join(problems) or 'no record'}.")
        opened.keep_earlier(run, say=say)
        opened.take(arrived, _identified(record, opened.runs.get(run.name), revision))


def _identified(record: RunRecord, earlier: RunRecord | None, revision: str | None) -> RunRecord:
    """Return a record whose new parts name the revision, which a worker without git cannot know."""
    known = [earlier.training, *earlier.analyses.values()] if earlier else []

    def named(part: _Part) -> _Part:
        if part.revision or part in known:
            return part
        return part.model_copy(update={"revision": revision})

    analyses = {name: named(each) for name, each in record.analyses.items()}
    return record.model_copy(update={"training": named(record.training), "analyses": analyses})
