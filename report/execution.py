"""What is being rendered, as Quarto tells the cells of a page."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import UserError


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

    Outside a rendering, in a notebook say, it is the web and the study ``svhn-subset``. Raises
    ``UserError`` for a page that is not in the profile's list, which Quarto tells no study.
    """
    name = os.environ.get("QUARTO_EXECUTE_INFO")
    if not name:
        return Execution(print=False, study="svhn-subset", offset="")
    info = json.loads(Path(name).read_text(encoding="utf-8"))
    document = Path(info["document-path"]).parent
    project = Path(os.environ.get("QUARTO_PROJECT_ROOT", document))
    depth = len(document.resolve().relative_to(project.resolve()).parts)
    metadata = info["format"]["metadata"]
    if "study" not in metadata:
        raise UserError(
            f"{Path(info['document-path']).name} is not a page of this profile.\n"
            "Render it with a profile that has it under `render`, such as demo or local."
        )
    return Execution(
        print=not info["format"]["pandoc"]["to"].startswith("html"),
        study=metadata["study"],
        offset="../" * depth,
        local=metadata.get("local") is True,
    )
