"""Where, when and with what something was computed."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from analysis.project import paths

PACKAGES = ("torch", "torchvision", "timm", "captum", "adversarial-robustness-toolbox", "numpy")


def now() -> str:
    """Return the time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def packages() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def revision() -> str | None:
    """Return the commit of the code, with ``-modified`` where files differ from it.

    There is none for a copy without a repository of its own, such as a download: the commit of a
    repository around it says nothing about it.
    """
    top = _git("rev-parse", "--show-toplevel")
    if not top or not paths.ROOT.samefile(top):
        return None
    described = "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-modified"
    return _git(*described) or None


def _git(*arguments: str) -> str:
    """Return what git says of the project's folder, or nothing."""
    # A hook of git's own names another repository in the environment.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        done = subprocess.run(  # nosec B607  # whichever git the user has
            ["git", *arguments], cwd=paths.ROOT, env=environment, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return os.fsdecode(done.stdout).strip()


def processor() -> str:
    """Return the name of the CPU and the number of cores in use."""
    import torch

    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' * (threads != 1)}"
