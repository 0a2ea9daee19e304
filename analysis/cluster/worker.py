"""A task on a worker: one run, in a folder of its own, which is returned as its files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from analysis.project.errors import UserError
from analysis.project.foreign import said
from analysis.results import status
from analysis.results.store import Store
from analysis.study import Run, Study

# The digest, the name and the content of each file that a study names, by its key.
Files = dict[str, tuple[str, str, Any]]


class Counter:
    """What tasks report while they work: steps of each run, and lines to say."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        self._lines: list[str] = []

    def begin(self, run: str) -> None:
        """Forget the steps of a run whose worker has died."""
        self._steps[run] = 0

    def step(self, run: str, count: int) -> None:
        """Count steps of a run."""
        self._steps[run] += count

    def say(self, line: str) -> None:
        """Keep a line until somebody looks."""
        self._lines.append(line)

    def look(self) -> tuple[int, list[str]]:
        """Return the steps of all runs, and the lines since the last look."""
        lines, self._lines = self._lines, []
        return sum(self._steps.values()), lines


def task(
    study: Study,
    run: Run,
    images: Any,
    given: Files,
    earlier: dict[str, bytes],
    counter: Any,
    *,
    kind: str,
    cache: str,
) -> tuple[dict[str, bytes], str | None]:
    """Do what is missing of a run; return its files and, if it failed, why.

    It works on one thread, so that a processor gives the same bits whatever else it does.
    """
    import torch

    from analysis import running

    torch.set_num_threads(1)
    counter.begin.remote(run.name)
    with tempfile.TemporaryDirectory(prefix="failure-modes-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ["FAILURE_MODES_CACHE"] = _writable(cache)
        study = with_files(study, given, folder / "files")
        unpack(folder / "results" / run.name, earlier)
        opened = Store.open(study, folder / "results", runs=[run])
        problem = None
        try:
            running.finish(
                opened,
                run,
                images,
                device=torch.device(kind),
                progress=lambda count: counter.step.remote(run.name, count),
                say=counter.say.remote,
            )
        except UserError as error:
            problem = str(error)
        except (OSError, ImportError) as error:
            problem = said(error)
        return opened.files(run), problem


def _writable(cache: str) -> str:
    """Return the folder of the cache on this worker: the driver's if it can be written."""
    try:
        Path(cache).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            return cache
    except OSError:
        return str(Path(tempfile.gettempdir()) / "failure-modes-cache")


def with_files(study: Study, given: Files, folder: Path) -> Study:
    """Return a study whose files are on this worker: those that are not here are written."""
    import ray

    for key, (digest, name, content) in given.items():
        if status.contents(study, [key])[key] != digest:
            path = folder / key / name
            path.parent.mkdir(parents=True)
            path.write_bytes(bytes(ray.get(content)))
            section, _, field = key.partition(".")
            changed = getattr(study, section).model_copy(update={field: str(path)})
            study = study.model_copy(update={section: changed})
    return study


def unpack(folder: Path, content: dict[str, bytes]) -> None:
    """Write a run's files, which have no folders in their names."""
    folder.mkdir(parents=True)
    for name, each in content.items():
        (folder / Path(name).name).write_bytes(each)
