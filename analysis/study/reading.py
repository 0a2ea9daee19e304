"""Read a study from its file."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from analysis.project import paths
from analysis.project.errors import UserError, nearest
from analysis.project.forms import problem
from analysis.study.study import Study

# A study file is written by a person; what is larger, longer or deeper is not one.
_LARGEST_FILE, _LONGEST_LINE, _DEEPEST = 300_000, 20_000, 20
# A key of too many parts, which tomllib would take seconds and gigabytes for.
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_DEEPEST}}}")
# How an error about a key begins, such as "network.size:".
_KEY = re.compile(rf"({'|'.join(Study.model_fields)})(\.\w+)*:")


def names() -> list[str]:
    """Return the names of the project's own studies."""
    return sorted(path.stem for path in paths.STUDIES.glob("*.toml"))


def load(name: str | Path, *, data: Path | None = None) -> Study:
    """Read a study by its name, or from a path that ends in ``.toml``.

    ``data`` is the folder of the data sets, if it is not the usual one.
    Raises ``UserError`` for an unknown study, an unknown key (with the nearest known one), a value
    out of range, and a file that is not TOML.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = paths.STUDIES / f"{name}.toml"
        known = str(name) in names()
    else:
        # Unlike Path.is_file, it is false for a name that no file system can hold.
        known = os.path.isfile(path)
    if not known:
        likely = nearest(str(name)[:100], names())
        raise UserError(f"There is no study {str(name)[:100]!r}; the nearest is {likely!r}.")
    # Also if only a file system that knows no capitals would take them for one.
    same = [own for own in names() if own.casefold() == path.stem.casefold()]
    if same and path.resolve() != (paths.STUDIES / f"{same[0]}.toml").resolve():
        raise UserError(
            f"{path} has the name of one of the project's studies, whose results it would share.\n"
            "Give the file another name."
        )
    study = read(_text(path), name=path.stem, folder=path.resolve().parent)
    study._data = data
    return study


def read(text: str, *, name: str, folder: Path) -> Study:
    """Return the study that a text in TOML says; its relative paths start from ``folder``.

    Raises ``UserError`` as ``load`` does.
    """
    content = _parsed(text, name)
    if "name" in content:
        raise UserError(f"{name}.toml: 'name' is the name of the file, and is not written in it.")
    try:
        study = Study.model_validate({"name": name, **content})
    except ValidationError as error:
        raise UserError(f"{name}.toml: {problem(error, Study)}") from None
    study._folder = folder
    return study


@contextmanager
def named(study: Study) -> Iterator[None]:
    """Let an error about a key of a study begin with the name of its file."""
    try:
        yield
    except UserError as error:
        if _KEY.match(str(error)):
            raise UserError(f"{study.name}.toml: {error}") from error
        raise


def _text(path: Path) -> str:
    if path.stat().st_size > _LARGEST_FILE:
        raise UserError(f"{path.name} is larger than {_LARGEST_FILE:,} bytes, so it is no study.")
    try:
        # Windows begins a file with a byte order mark.
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is not valid TOML: {str(error)[:200]}") from None


def _parsed(text: str, name: str) -> dict[str, Any]:
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > _LONGEST_LINE:
            raise UserError(
                f"{name}.toml: line {number} has more than {_LONGEST_LINE:,} letters; break it."
            )
        if _LONG_KEY.search(line):
            raise UserError(f"{name}.toml: line {number} has a key of more than {_DEEPEST} parts.")
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise UserError(f"{name}.toml is nested too deeply.") from None
    # A number of too many digits is a plain ValueError.
    except ValueError as error:
        raise UserError(f"{name}.toml is not valid TOML: {str(error)[:200]}") from None
    _check_depth(content, name)
    return content


def _check_depth(content: dict[str, Any], name: str) -> None:
    """Raise ``UserError`` for what is nested too deeply, and for a number beyond TOML's 64 bits."""
    left: list[tuple[tuple[Any, ...], Any]] = [((), content)]
    while left:
        place, value = left.pop()
        if len(place) > _DEEPEST:
            raise UserError(f"{name}.toml is nested too deeply.")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            key = ".".join(str(part)[:60] for part in place)
            raise UserError(f"{name}.toml: {key}: a whole number must fit in 64 bits.")
        parts = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(parts, dict):
            left += [((*place, key), one) for key, one in parts.items()]
