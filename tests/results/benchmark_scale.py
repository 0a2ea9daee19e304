"""What a finished run costs in a study of a hundred, a thousand and ten thousand.

Run by ``make scale``, which writes ``build/scale.csv``. The tables are made up: they are those of
one run, written again under the name of each, so that time is spent in the store alone.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from analysis.project import paths
from analysis.results.store import Store
from analysis.study import Study
from tests.made_up import STUDY, add_run, made_up_study

SIZES = (100, 1_000, 10_000)


def cost(function: Callable[[], object], *, runs: int) -> float:
    """Return the CPU time that a call takes, in milliseconds a run."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    function()
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return 1000 * used / runs


def study_of(runs: int, folder: Path) -> Study:
    text = STUDY.replace("repeats = 2", f"repeats = {runs // 2}")
    return made_up_study(folder, text)


def measured(runs: int, folder: Path) -> dict[str, float]:
    """Return milliseconds and bytes of each run of a study of so many."""
    study = study_of(runs, folder)
    opened, row = Store.open(study), {"runs": runs}
    for run in study.runs[:4]:
        add_run(opened, run)
    arrived = Store.open(study, folder / "arrived", runs=[])
    templates = {}
    for run in study.runs[2:4]:
        templates[run.fold] = opened.runs[run.name]
        shutil.copytree(opened.folder / run.name, arrived.folder / run.name)

    def take() -> None:
        """Take runs over as those that come back from another machine are."""
        names = {fold: record.name for fold, record in templates.items()}
        for run in study.runs[4:]:
            (arrived.folder / names[run.fold]).rename(arrived.folder / run.name)
            names[run.fold] = run.name
            changed = {"repeat": run.repeat, "seed": run.seed}
            opened.take(arrived, templates[run.fold].model_copy(update=changed))

    row["take"] = cost(take, runs=runs - 4)
    row["open"] = cost(lambda: Store.open(study), runs=runs)
    found = Store.open(study)
    assert len(found.runs) == runs and not found.problems
    row["to do"] = cost(lambda: [found.todo(run) for run in study.runs], runs=runs)
    row["repeats"] = cost(found.shown_repeats, runs=runs)
    row["sort"] = cost(found.sort, runs=runs)
    files = [path for path in opened.folder.rglob("*") if path.is_file()]
    row["bytes"] = sum(path.stat().st_size for path in files) / runs
    row["files"] = len(files) / runs
    return row


def main(path: Path) -> None:
    rows = []
    for runs in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["FAILURE_MODES_RESULTS"] = f"{folder}/results"
            begin = time.perf_counter()
            rows.append(measured(runs, Path(folder)))
            print(rows[-1], f"{time.perf_counter() - begin:.0f} s", flush=True)
    pd.DataFrame(rows).to_csv(path, index=False, float_format="%.4g")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else paths.scale())
