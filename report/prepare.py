"""What comes before rendering: the files that pages load, and those that they offer."""

from __future__ import annotations

import sys
from pathlib import Path


def prepare(study: str) -> None:
    """Write the Vega bundle and the downloads of a study.

    Raises ``UserError`` where its results are missing or broken.
    """
    from analysis import results
    from report import bundle, downloads

    bundle.prepare()
    downloads.prepare(results.load(study))


def _for_quarto() -> None:
    from analysis import paths
    from analysis.errors import UserError
    from report.preview import configuration

    try:
        # Quarto names its profile in the environment, where this finds it.
        prepare(configuration(paths.ROOT, None)["study"])
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    # Quarto runs this file itself, so the project is not yet where modules are looked for.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    try:
        _for_quarto()
    except ModuleNotFoundError as error:
        sys.exit(
            f"{sys.executable} has no {error.name}. Activate the environment of this project, or\n"
            "set QUARTO_PYTHON to its Python; `make report` makes one in build/env/report."
        )
