"""Which Quarto renders the pages: one on the PATH, or one in the environment of this Python.

``python -m report.site.renderer`` installs one into that environment where there is none, and has
exit status 1 if it cannot. The package ``quarto-cli`` downloads the official release while it is
built, so without a network there is nothing to install.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from report.site import processes

OLDEST = (1, 8)
RELEASES = "https://github.com/quarto-dev/quarto-cli/releases"
# A download of 140 MB over a slow line, then half a gigabyte to unpack.
_INSTALLING = 900.0
_VERSION = re.compile(r"v?(\d+)\.(\d+)[\w.+-]*")
# What the package says of its download, an exception, or else what pip says.
_REASONS = (r"Error downloading Quarto: (.+)", r"^(\w*(?:Error|Exception): .+)", r"ERROR: (.+)")


class Search(NamedTuple):
    """The path of a Quarto that can be used, if there is one, and why others cannot."""

    path: str | None
    rejected: tuple[str, ...] = ()


def search() -> Search:
    """Return the first Quarto of the PATH, then of this environment, that is new enough.

    It must be new enough to say which study it renders, and it must run.
    """
    own = str(Path(sys.executable).parent)
    found = (shutil.which("quarto", path=folder) for folder in [*os.get_exec_path(), own])
    rejected: list[str] = []
    for path in dict.fromkeys(os.path.abspath(path) for path in found if path):
        if not (reason := _unusable(path)):
            return Search(path, tuple(rejected))
        rejected.append(f"{path} is not used: {reason}")
    return Search(None, tuple(rejected))


def find_quarto() -> str | None:
    """Return the path of the Quarto that renders, if there is one."""
    return search().path


def _unusable(path: str) -> str:
    """Return why a Quarto cannot be used, or nothing if it can."""
    try:
        asked = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"it does not run ({_short(error)})"
    if asked.returncode:
        return f"it does not run (exit status {asked.returncode})"
    answer = asked.stdout.decode(errors="replace").strip().splitlines()
    version = _VERSION.fullmatch(answer[-1].strip()) if answer else None
    if version is None:
        return "it does not say its version"
    if tuple(map(int, version.groups())) < OLDEST:
        return f"its version is {version[0][:20]}, and the pages need 1.8 or later"
    return ""


def install() -> str:
    """Install a Quarto into the environment of this Python; return why not, or nothing.

    What an attempt leaves behind is removed. The environment has all else that Quarto needs, so
    nothing but the package is installed.
    """
    script = Path(sysconfig.get_path("scripts"), "quarto")
    # The package waits for a server that does not answer as long as the system lets it.
    try:
        request = urllib.request.Request(RELEASES, method="HEAD")
        urllib.request.urlopen(request, timeout=10).close()  # nosec B310  # https, see RELEASES
    except (OSError, ValueError, HTTPException) as error:
        return f"{RELEASES} cannot be reached ({_short(getattr(error, 'reason', error))})"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--ignore-installed", "--retries=1", "quarto-cli>=1.8"]
    reason = "it was stopped"
    try:
        status, lines = processes.run(command, timeout=_INSTALLING)
        reason = _reason(lines) if status else _unusable(str(script))
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = _short(error)
    finally:
        if reason:
            _remove(script)
    return reason


def _remove(script: Path) -> None:
    """Remove a package that pip did not finish, which pip itself cannot remove."""
    for path in Path(sysconfig.get_path("purelib")).glob("quarto_cli*"):
        shutil.rmtree(path, ignore_errors=True)
    script.unlink(missing_ok=True)


def _reason(lines: list[str]) -> str:
    found = (match[1] for one in _REASONS for line in lines if (match := re.search(one, line)))
    return _short(next(found, lines[-1] if lines else "pip did not say why"))


def _short(reason: object) -> str:
    return " ".join(str(reason).split())[:200]


def main() -> int:
    """Install a Quarto if there is none; return 0, or 1 after one line that says why not."""
    path, rejected = search()
    if path:
        return 0
    own = f"{Path(sys.executable).parent}{os.sep}"
    # One that was installed and does not run would not run the next time either.
    if not any(line.startswith(own) for line in rejected):
        print("There is no Quarto: installing one, a download of 140 MB.", file=sys.stderr)
        reason = install()
        if not reason:
            return 0
        rejected = (*rejected, f"Quarto could not be installed: {reason}")
    print(f"The pages are a preview. {'; '.join(rejected)}.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    # A polite kill is an interruption like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Stopped; nothing was installed.")
