"""Functions in somebody else's Python code, and what goes wrong in them."""

from __future__ import annotations

import importlib
import importlib.machinery
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from analysis.project import paths
from analysis.project.errors import UserError, nearest, printable

_NAME = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")


def function(name: str, *, key: str, folder: Path) -> Callable[..., Any]:
    """Return the function ``package.module:function``, from ``folder`` or an installed package.

    Raises ``UserError``, which begins with the study's ``key``, if there is none.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise UserError(f"{key}: {name[:80]!r} must be written as 'package.module:function'.")
    with _importable(folder):
        _forget_other(match["module"].partition(".")[0], folder, key=key)
        with reported(f"{key}: {match['module']} cannot be imported"):
            module = importlib.import_module(match["module"])
            found = getattr(module, match["function"], None)
    if found is None:
        likely = nearest(match["function"], [n for n in vars(module) if not n.startswith("_")])
        hint = f"; the nearest is {likely!r}" if likely else ""
        raise UserError(f"{key}: {match['module']} has no {match['function']!r}{hint}.")
    if not callable(found):
        raise UserError(f"{key}: {name!r} is {type(found).__name__}, not a function.")
    return found


@contextmanager
def reported(where: str, *, folder: Path | None = None, advice: str = "") -> Iterator[None]:
    """Turn whatever somebody else's code raises into a ``UserError``.

    It begins with ``where`` and names the exception, and ends with ``advice`` or the line of that
    code that caused it. In the meantime, modules can be imported from ``folder``, if it is given.
    """
    try:
        if folder is None:
            yield
        else:
            with _importable(folder):
                yield
    except (UserError, KeyboardInterrupt):
        raise
    # A script that ends itself would end this program without a word, and what fails in another
    # language need not be an Exception.
    except BaseException as error:
        place = cause(error)
        # Whoever uses a generator of this project's may have enough of it.
        if isinstance(error, GeneratorExit) and not place:
            raise
        second = advice or place
        raise UserError(f"{where}: {said(error)}" + (f"\n{second}" if second else "")) from error


def said(error: BaseException) -> str:
    """Return the type and the message of an exception, in one line of at most 200 letters."""
    try:
        text = str(error.msg) if isinstance(error, SyntaxError) else str(error)
    except KeyboardInterrupt:
        raise
    # Somebody else's exception may have no words for itself.
    except BaseException:
        text = ""
    text = " ".join(text.split())
    whole = printable(f"{type(error).__name__}: {text}" if text else type(error).__name__)
    return whole if len(whole) <= 200 else f"{whole[:199]}…"


def cause(error: BaseException) -> str:
    """Return file and line of somebody else's code that an exception came from, if any."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_foreign(frame.filename):
            line = printable((frame.line or "").strip()[:100])
            return f"{frame.filename}, line {frame.lineno}: {line}"
    return ""


def _is_foreign(name: str) -> bool:
    """Return whether a file is neither Python's, an installed package's nor this project's."""
    if name.startswith("<") or name in ("built-in", "frozen"):
        return False
    path = Path(name).resolve()
    own = [Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib")]
    own += [paths.ROOT / "analysis"]
    return not any(path.is_relative_to(folder.resolve()) for folder in own)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules be imported from a folder and from the current one, before any others."""
    added = [str(folder.resolve()), str(Path.cwd())]
    sys.path[:0] = added
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for name in added:
            # The code may have tidied the path itself.
            with suppress(ValueError):
                sys.path.remove(name)


def _forget_other(package: str, folder: Path, *, key: str) -> None:
    """Forget a package of the same name that was imported from another study's folder.

    Raises ``UserError`` if the package in ``folder`` has the name of one that is needed here.
    """
    loaded = getattr(sys.modules.get(package), "__spec__", None)
    found = importlib.machinery.PathFinder.find_spec(package, [str(folder.resolve())])
    if loaded is None or found is None or _place(loaded) == _place(found):
        return
    if not all(map(_is_foreign, _place(loaded))):
        raise UserError(
            f"{key}: the module {package!r} in {folder} has the name of a package that is in use.\n"
            "Give it another name."
        )
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def _place(spec: importlib.machinery.ModuleSpec) -> tuple[str, ...]:
    """Return the file of a module, or the folders of a package without one."""
    return (spec.origin,) if spec.origin else tuple(spec.submodule_search_locations or ())
