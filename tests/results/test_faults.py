"""The long form of the fault tests: every committed file damaged, a study killed at any moment."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analysis import study as studies
from analysis.project import paths
from analysis.project.errors import UserError
from analysis.project.files import TEMPORARY
from analysis.results import store as stores
from analysis.results import verification
from analysis.results.store import Store
from tests.playground import Playground

Damage = Callable[[Path, random.Random], None]

pytestmark = pytest.mark.slow


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(content))


def swap(path: Path, chance: random.Random) -> None:
    """Exchange a file with another one of its folder, if there is one, or of another folder."""
    others = [one for one in path.parent.parent.rglob(f"*{path.suffix}") if one != path]
    other = chance.choice(others)
    content = path.read_bytes()
    if content == other.read_bytes():
        return flip(path, chance)
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)


DAMAGE: dict[str, Damage] = {
    "a bit flipped": flip,
    "the last byte cut": lambda path, chance: path.write_bytes(path.read_bytes()[:-1]),
    "a byte added": lambda path, chance: path.write_bytes(path.read_bytes() + b"\n"),
    "emptied": lambda path, chance: path.write_bytes(b""),
    "deleted": lambda path, chance: path.unlink(),
    "swapped": swap,
    "a stranger next to it": lambda path, chance: path.with_name("odd.txt").touch(),
    "a folder in its place": lambda path, chance: (path.unlink(), path.mkdir()),
}


def whole(name: str) -> bool:
    """Return whether verification finds nothing wrong, and that there is something derived."""
    try:
        verification.check_all(Store.open(studies.load(name)))
    except UserError as error:
        assert len(str(error).splitlines()) <= 2
        return False
    return stores.derived_if_any(name) is not None


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that copies a study's committed results to where they may be damaged."""
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path))

    def fresh(name: str) -> Path:
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        ignored = shutil.ignore_patterns(stores.LOCK, stores.SUPERSEDED)
        shutil.copytree(paths.ROOT / "build" / "results" / name, tmp_path / name, ignore=ignored)
        return tmp_path / name

    return fresh


def committed(name: str) -> Iterator[Path]:
    folder = paths.ROOT / "build" / "results" / name
    for path in sorted(folder.rglob("*")):
        local = {stores.SUPERSEDED, stores.LOCK} & set(path.relative_to(folder).parts)
        if path.is_file() and not local:
            yield path.relative_to(folder)


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", ["demo", "svhn-subset"])
def test_damage_to_any_committed_file_is_found(
    copies: Callable[[str], Path], name: str, kind: str
) -> None:
    folder, chance = copies(name), random.Random(f"{name} {kind}")
    assert whole(name)
    missed = []
    for part in committed(name):
        # What is not touched is not read again each time.
        kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        DAMAGE[kind](folder / part, chance)
        if whole(name):
            missed.append(part)
        for path in [*folder.rglob("*")]:
            if path.is_dir() and path in kept:
                path.rmdir()
            elif path.is_file() and path not in kept:
                path.unlink()
        for path, content in kept.items():
            if not path.is_file() or path.read_bytes() != content:
                path.write_bytes(content)
    assert missed == []


def test_killed_at_any_moment_it_goes_on_to_the_same_results(
    playground: Playground, undisturbed: Playground
) -> None:
    chance = random.Random(0)
    begin = time.monotonic()
    assert playground.start("run", playground.study).wait(600) == 0
    seconds = time.monotonic() - begin
    assert playground.tables() == undisturbed.tables()
    kills = 0
    for _ in range(4):
        for folder in (playground.folder / "results", playground.folder / "cache"):
            shutil.rmtree(folder)
        # Each trial is killed again and again, until it ends.
        while True:
            process = playground.start("run", playground.study)
            time.sleep(chance.uniform(0.2, 0.7) * seconds)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            if process.returncode == 0:
                break
            kills += 1
            opened = Store.open(studies.load(playground.study))
            try:
                verification.check_all(opened)
            except UserError as error:
                # Killed between the last run and what is derived from it.
                assert "claims.json is missing, although a repeat is complete" in str(error)
        assert playground.tables() == undisturbed.tables()
        assert not list(playground.folder.rglob(f"{TEMPORARY}*"))
        assert not list(playground.folder.rglob("checkpoint*"))
    assert kills >= 4 and os.path.isfile(playground.results / stores.CLAIMS)
