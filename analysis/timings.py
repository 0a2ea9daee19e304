"""What a benchmark found: written as JSON beside a Markdown table, and read back without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import ValidationError

from analysis import paths
from analysis.errors import UserError
from analysis.files import written_whole
from analysis.study import Section

_PEAKS = "Peak memory while training, of a GPU's tensors or, without one, of the whole process:"
PARTS = ("training", "fgsm", "grad-cam", "claims", "rendering")


class Spread(Section):
    """The median of some values, between the least and the greatest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> Spread:
        """Return the spread of values."""
        found = np.asarray(values, dtype=float)
        return cls(median=float(np.median(found)), low=float(found.min()), high=float(found.max()))


class Comparison(Section):
    """How fast something is beside something else, measured in turns.

    ``kind`` tells whether that is a limit or a peer. ``ratio`` is ours over theirs, round by round:
    of images/s more is better, of seconds less.
    """

    name: str
    against: str
    kind: Literal["limit", "peer"]
    unit: Literal["images/s", "s"]
    ours: Spread
    theirs: Spread
    ratio: Spread
    rounds: int


def pooled(comparisons: Sequence[Comparison]) -> Comparison:
    """Return one comparison of several processes: the median of medians, and all that they span."""

    def over(spreads: Sequence[Spread]) -> Spread:
        return Spread(
            median=float(np.median([spread.median for spread in spreads])),
            low=min(spread.low for spread in spreads),
            high=max(spread.high for spread in spreads),
        )

    return comparisons[0].model_copy(
        update={
            "ours": over([one.ours for one in comparisons]),
            "theirs": over([one.theirs for one in comparisons]),
            "ratio": over([one.ratio for one in comparisons]),
            "rounds": sum(one.rounds for one in comparisons),
        }
    )


class Peak(Section):
    """The largest memory in MiB while something ran: the device's, or the process's on a CPU."""

    name: str
    mebibytes: float


class Timings(Section):
    """One benchmark: where it ran, with what, and what it found. ``load`` is the system's before.

    ``quick`` marks sizes that are for trying it out: such numbers say nothing.
    """

    format: Literal[1] = 1
    quick: bool
    device: str
    system: str
    cores: int
    load: float | None
    packages: dict[str, str]
    revision: str | None
    finished: str
    comparisons: tuple[Comparison, ...]
    peaks: tuple[Peak, ...]


def default_path() -> Path:
    """Return where the benchmark is kept whose numbers are reported."""
    return paths.results("benchmark") / "benchmark.json"


def read(path: Path | None = None) -> Timings | None:
    """Return a benchmark, or nothing where there is none. Raises ``UserError`` if damaged."""
    path = path or default_path()
    if not path.is_file():
        return None
    try:
        return Timings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "content"
        raise UserError(
            f"{path} is damaged: {where}: {problem['msg']}.\n"
            "Get it back with `git restore`, or measure again with `python -m analysis benchmark`."
        ) from None


def write(timings: Timings, path: Path) -> list[Path]:
    """Write a benchmark as JSON and, beside it, as a page of Markdown; return both paths."""
    texts = {
        path: timings.model_dump_json(indent=1) + "\n",
        path.with_suffix(".md"): markdown(timings),
    }
    for file, text in texts.items():
        with written_whole(file) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return list(texts)


def table(timings: Timings) -> pd.DataFrame:
    """Return one row of text for each comparison: medians, with the least and the greatest."""
    rows = [
        {
            "what": one.name,
            "unit": one.unit,
            "here": _said(one.ours),
            "beside": f"{one.against} ({one.kind})",
            "there": _said(one.theirs),
            "ratio": _said(one.ratio),
        }
        for one in timings.comparisons
    ]
    return pd.DataFrame(rows, columns=["what", "unit", "here", "beside", "there", "ratio"])


def markdown(timings: Timings) -> str:
    """Return a benchmark as a page."""
    rows = table(timings)
    lines = [list(rows.columns), ["---"] * len(rows.columns), *rows.to_numpy().tolist()]
    peaks = [f"- {peak.name}: {peak.mebibytes:,.0f} MiB" for peak in timings.peaks]
    packages = ", ".join(f"{name} {version}" for name, version in timings.packages.items())
    load = "" if timings.load is None else f"; load before: {timings.load:.1f}"
    parts = [
        "# Benchmark",
        "**Tiny sizes, to try the benchmark out: these numbers say nothing.**"
        if timings.quick
        else "Median (least to greatest round), measured in turns. A ratio is what was measured "
        "here over what stands beside it: of images/s more is better, of seconds less.",
        f"{timings.device}; {timings.cores} cores; {timings.system}{load}. {packages}. "
        f"Revision {timings.revision or 'unknown'}, {timings.finished}.",
        "\n".join("| " + " | ".join(line) + " |" for line in lines),
        *([_PEAKS, "\n".join(peaks)] if peaks else []),
    ]
    return "\n\n".join(parts) + "\n"


def _said(spread: Spread) -> str:
    if spread.low == spread.high:
        return _number(spread.median)
    return f"{_number(spread.median)} ({_number(spread.low)} to {_number(spread.high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
