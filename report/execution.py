"""What is being rendered, as Quarto tells the cells of a page."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Execution:
    """One execution of a page: in print or for the web, and the study that it shows.

    ``local`` tells that the page stays on this machine.
    """

    print: bool
    study: str
    offset: str
    local: bool = False


def current() -> Execution:
    """Return what the file named by ``QUARTO_EXECUTE_INFO`` says (Quarto 1.8 or later).

    Outside a rendering, in a notebook say, it is the web and the study ``svhn-subset``.
    """
    name = os.environ.get("QUARTO_EXECUTE_INFO")
    if not name:
        return Execution(print=False, study="svhn-subset", offset="")
    info = json.loads(Path(name).read_text(encoding="utf-8"))
    document = Path(info["document-path"]).parent
    project = Path(os.environ.get("QUARTO_PROJECT_ROOT", document))
    depth = len(document.resolve().relative_to(project.resolve()).parts)
    return Execution(
        print=not info["format"]["pandoc"]["to"].startswith("html"),
        study=info["format"]["metadata"]["study"],
        offset="../" * depth,
        local=info["format"]["metadata"].get("local") is True,
    )
