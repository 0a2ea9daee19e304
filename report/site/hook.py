"""What Quarto runs before and after rendering: a check of the results, and what the site adds.

Quarto runs this file itself, so Python does not search the project for modules yet.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
try:
    from analysis.project import paths
    from analysis.project.errors import UserError
    from analysis.results import store
    from report.site import after, downloads, turn
    from report.site.preview import configuration, found
except ModuleNotFoundError as error:
    sys.exit(
        f"{sys.executable} has no {error.name}. Activate the environment of this project, or\n"
        "set QUARTO_PYTHON to its Python; `make report` makes one in build/env/report."
    )


def _run(written: str | None) -> None:
    # Quarto names its profile in the environment, where this finds it.
    config = configuration(paths.ROOT, None)
    derived = store.derived(config["study"])
    site = Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"])
    if written is None:
        # Its parent is the Quarto that renders.
        if turn.VARIABLE not in os.environ and not turn.take(
            paths.ROOT / "build", process=os.getppid()
        ):
            raise UserError(
                "Another rendering of this project is in progress, whose files this would mix.\n"
                "Wait for it to end, or use `python -m report`, which waits."
            )
        downloads.contents(derived)
        after.add_notebooks(site, found(paths.ROOT, config["project"]["render"]))
        return
    for page in map(Path, written.splitlines()):
        if page.suffix == ".html":
            html = page.read_text(encoding="utf-8")
            page.write_text(after.finished(html, folder=page.parent), encoding="utf-8")
    after.add_files(site, derived)
    after.clear_notebooks()


if __name__ == "__main__":
    try:
        # Only afterwards does Quarto name the pages.
        _run(os.environ.get("QUARTO_PROJECT_OUTPUT_FILES"))
    except UserError as reason:
        sys.exit(str(reason))
