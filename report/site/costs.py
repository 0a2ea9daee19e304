"""What many runs cost: measured on the results of a study, and on made-up ones of any number."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.project import paths
from analysis.results.store import Derived, Store
from report import page

# Studies in the plan.
STUDIES = 1000


@dataclass(frozen=True)
class Costs:
    """The runs of a study: how many, and the seconds, bytes and files of one."""

    count: int
    seconds: float
    bytes: float
    held: float

    @classmethod
    def of(cls, derived: Derived) -> Costs:
        """Return the mean costs of the runs that a study's pages show."""
        store = Store.open(derived.study)
        names = [run for runs in derived.record.repeats.values() for run in runs]
        records = [store.runs[name] for name in names]
        files = [
            path.stat().st_size for name in names for path in (store.folder / name).glob("[!.]*")
        ]
        parts = [part for each in records for part in (each.training, *each.analyses.values())]
        count = len(names)
        seconds = sum(part.seconds for part in parts)
        return cls(count, seconds / count, sum(files) / count, len(files) / count)

    @property
    def runs(self) -> str:
        """Return the number of runs."""
        return str(self.count)

    @property
    def minutes(self) -> str:
        """Return the minutes of one run."""
        return f"{self.seconds / 60:.0f}"

    @property
    def megabytes(self) -> str:
        """Return the size of one run."""
        return f"{self.bytes / 1e6:.2f}"

    @property
    def files(self) -> str:
        """Return the number of files of one run."""
        return f"{self.held:.3g}"

    @property
    def all_runs(self) -> str:
        """Return the number of runs of all studies."""
        return f"{STUDIES * self.count:,}"

    @property
    def days(self) -> str:
        """Return the days that all studies take, one run after another."""
        return f"{STUDIES * self.count * self.seconds / 86400:,.0f}"

    @property
    def all_gigabytes(self) -> str:
        """Return the size of all studies."""
        return f"{STUDIES * self.count * self.bytes / 1e9:.1f}"

    @property
    def all_files(self) -> str:
        """Return the number of files of all studies."""
        return f"{STUDIES * self.count * self.held:,.0f}"

    @property
    def table(self) -> page.Markdown:
        """Return what a run costs in studies of several sizes."""
        rows = pd.read_csv(paths.scale())
        return page.table(
            {
                "runs": [f"{runs:,}" for runs in rows["runs"]],
                "taken over": [f"{value:.1f}" for value in rows["take"]],
                "opened": [f"{value:.2f}" for value in rows["open"]],
                "found to do": [f"{value:.3f}" for value in rows["to do"]],
                "kB": [f"{value / 1000:.1f}" for value in rows["bytes"]],
                "files": [f"{value:.1f}" for value in rows["files"]],
            }
        )
