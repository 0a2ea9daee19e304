"""The pictures of the README, which are figures of the paper: ``python -m report.site.readme``."""

from __future__ import annotations

from pathlib import Path

from analysis.project import paths
from report.paper import Paper

FOLDER = paths.ROOT / "report" / "assets" / "readme"
FIGURES = ("claims", "fragility")


def write(folder: Path = FOLDER) -> list[Path]:
    """Write each picture as SVG, from the cached results, and return where they are."""
    figure = Paper.open().figure
    folder.mkdir(parents=True, exist_ok=True)
    for name in FIGURES:
        (folder / f"{name}.svg").write_text(f"{getattr(figure, name)().svg()}\n", encoding="utf-8")
    return [folder / f"{name}.svg" for name in FIGURES]


if __name__ == "__main__":
    print(*write(), sep="\n")
