"""The pictures of the README, which are figures of the paper: ``python -m report.readme``."""

from __future__ import annotations

from pathlib import Path

from analysis import paths
from report.paper import Paper

FOLDER = paths.ROOT / "report" / "assets" / "readme"
FIGURES = ("claims", "fragility")


def pictures() -> dict[str, str]:
    """Return each picture as SVG by the name of its figure, from the cached results."""
    figures = Paper.open().figures
    return {name: getattr(figures, name)().svg() for name in FIGURES}


def write(folder: Path = FOLDER) -> list[Path]:
    """Write the pictures and return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in pictures().items():
        path = folder / f"{name}.svg"
        path.write_text(f"{content}\n", encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    print(*write(), sep="\n")
