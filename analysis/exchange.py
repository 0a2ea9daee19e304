"""Moving finished runs from one checkout to another: each as one file that can be checked.

An archive such as ``svhn-subset-r1f3.fmrun`` is a ZIP file of ``run.json``, which holds the run's
entry in the manifest and the digests of all that its numbers depend on, and of the run's Parquet
files. Its comment is its own SHA-256 without a comment. The same run gives the same bytes.

Weights are not in it: an analysis that is new since then has to train the run again.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from analysis import analyses, derived, results
from analysis import study as studies
from analysis.analyses import ANALYSES
from analysis.errors import UserError, nearest
from analysis.files import written_whole
from analysis.results import Broken, Results, RunEntry, TableEntry
from analysis.state import states, valid
from analysis.study import TRAINED, Section, Study

SUFFIX = ".fmrun"
RUN = "run.json"
# The time of every member: the earliest that the format knows.
_TIME = (1980, 1, 1, 0, 0, 0)
_DIGITS = 64


class RunRecord(Section):
    """What an archive says of its run.

    ``sections`` are the digests of the study's sections that the run depends on, ``versions`` those
    of training and of the analyses.
    """

    format: Literal[1] = 1
    study: str
    run: str
    study_digest: str
    data_digest: str
    sections: dict[str, str]
    versions: dict[str, int]
    entry: RunEntry


@dataclass(frozen=True)
class Archive:
    """An archive whose files agree with what it says of them. ``files`` are bytes by name."""

    path: Path
    record: RunRecord
    files: dict[str, bytes]


# ------------------------------------------------------------------------------ export


def export(study: Study, stored: Results, runs: Sequence[str] = (), *, to: Path) -> list[Path]:
    """Write finished runs as archives, all of them where none is named, and return their paths.

    ``to`` is a folder, or a file where its name ends in ``.fmrun``. Raises ``UserError`` where a
    run is unknown, not finished or not in order.
    """
    found = {state.run.name: state for state in states(study, stored)}
    chosen = list(dict.fromkeys(runs)) or [name for name, state in found.items() if state.done]
    for name in chosen:
        if name not in found:
            raise UserError(
                f"{study.name} has no run {name!r}; the nearest is {nearest(name, found)!r}."
            )
        steps = {"training": found[name].training, **found[name].analyses}
        left = [f"{step} is {state}" for step, state in steps.items() if state != "done"]
        if left:
            raise UserError(
                f"{study.name} {name} is not finished: {', '.join(left)}.\n"
                f"Finish it with `python -m analysis run {study.name}`."
            )
    if not chosen:
        raise UserError(
            f"{study.name} has no finished run to export.\n"
            f"Finish one with `python -m analysis run {study.name}`."
        )
    into_file = to.suffix == SUFFIX
    if into_file and len(chosen) > 1:
        raise UserError(f"{to} is one file, and there are {len(chosen)} runs: name a folder.")
    store = valid(study, stored)
    written = []
    for name in chosen:
        path = to if into_file else to / f"{study.name}-{name}{SUFFIX}"
        content = packed(_record(study, name, store), store.folder)
        with written_whole(path) as temporary:
            temporary.write_bytes(content)
        written.append(path)
    return written


def packed(record: RunRecord, folder: Path) -> bytes:
    """Return the bytes of an archive, with the run's files from ``folder``."""
    text = json.dumps(record.model_dump(mode="json"), indent=1) + "\n"
    members = {RUN: text.encode()}
    for name, entry in sorted(_tables(record.entry)):
        members[_file_name(record, name, entry)] = (folder / entry.file).read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, date_time=_TIME)
            # Otherwise the system that writes would show.
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)
    return sealed(buffer.getvalue())


def sealed(content: bytes) -> bytes:
    """Return a ZIP file without a comment with its own SHA-256 as the comment."""
    digest = hashlib.sha256(content).hexdigest().encode()
    # The last two bytes say how long the comment is.
    return content[:-2] + len(digest).to_bytes(2, "little") + digest


def _record(study: Study, run: str, store: Results) -> RunRecord:
    return RunRecord(
        study=study.name,
        run=run,
        study_digest=study.digest(),
        data_digest=store.manifest.data_digest,
        sections=_sections(study),
        versions=_versions(study),
        entry=store.manifest.runs[run],
    )


def _sections(study: Study) -> dict[str, str]:
    """Return the digest of each section of a study that its runs depend on."""
    used = {name for analysis in analyses.of(study) for name in ANALYSES[analysis].sections}
    return {name: study.digest(name) for name in [*TRAINED, *sorted(used)]}


def _versions(study: Study) -> dict[str, int]:
    """Return the versions of training and of a study's analyses."""
    versions = {name: ANALYSES[name].version for name in analyses.of(study)}
    return {"training": analyses.TRAINING_VERSION, **versions}


def _tables(entry: RunEntry) -> Iterator[tuple[str, TableEntry]]:
    """Give every table of a run with its file."""
    yield "history", entry.training.history
    for analysis in entry.analyses.values():
        yield from analysis.tables.items()


def _file_name(record: RunRecord, table: str, entry: TableEntry) -> str:
    return results.file_name(table, run=record.run, sha256=entry.sha256)


# ------------------------------------------------------------------------------ import


def import_runs(
    archives: Sequence[Path],
    *,
    study: str | None = None,
    replace: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Put the runs of archives into the results here; derive estimates and claims from all.

    ``study`` is a study's name or file where it is not one of the project's. Everything is checked
    before anything is written, and each study's manifest is replaced in one rename. Raises
    ``UserError`` for an archive that is not in order or does not fit the study here, and, but for
    ``replace``, where a run is here with other weights.
    """
    by_study: dict[str, list[Archive]] = {}
    for archive in map(read, archives):
        by_study.setdefault(archive.record.study, []).append(archive)
    merges = []
    with ExitStack() as locks:
        for found in by_study.values():
            chosen = _study_here(found[0], study)
            for archive in found:
                check_fits(archive, chosen)
            locks.enter_context(derived.alone(chosen))
            merges.append(_planned(chosen, found, replace=replace))
        for merge in merges:
            _carry_out(merge, say=say)


def read(path: Path) -> Archive:
    """Return a verified archive. Raises ``UserError`` where it is not one, or not in order."""
    if not path.is_file():
        raise UserError(f"{path} is missing: there is no such file.")
    if not zipfile.is_zipfile(path):
        raise _refused(path, "is no archive of a run, or is truncated")
    content = path.read_bytes()
    if sealed(content[: -2 - _DIGITS] + bytes(2)) != content:
        raise _refused(path, "is truncated or altered: its SHA-256 is not the one it ends with")
    try:
        members = _members(content)
        record = RunRecord.model_validate_json(members.pop(RUN))
        files = _verified(record, members)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "content"
        raise _refused(path, f"is damaged: {RUN}: {where}: {problem['msg']}") from None
    except Broken as problem:
        raise _refused(path, str(problem)) from None
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, KeyError):
        raise _refused(path, "is no archive of a run") from None
    return Archive(path, record, files)


def _members(content: bytes) -> dict[str, bytes]:
    """Return the content of each member by name. Nothing is ever unpacked under such a name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members: dict[str, bytes] = {}
        for info in archive.infolist():
            # As they are stored, so that none is larger than the file that was read.
            if info.filename in members or info.compress_type != zipfile.ZIP_STORED:
                raise Broken(f"holds {info.filename[:80]!r} twice or compressed")
            members[info.filename] = archive.read(info)
    return members


def _verified(record: RunRecord, members: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of a record. Raises ``Broken`` for others, and for what is not in order."""
    tables = dict(_tables(record.entry))
    expected = {_file_name(record, name, entry): name for name, entry in tables.items()}
    for name in members.keys() - expected.keys():
        raise Broken(f"holds {name[:80]!r}, which is no file of {record.run}")
    for name, table in expected.items():
        if name != tables[table].file or name not in members:
            raise Broken(f"does not hold the file of {table} that it speaks of")
        try:
            results.parsed(members[name], table, tables[table])
        except Broken as problem:
            raise Broken(f"is not in order: {name} {problem}") from None
    return members


def _study_here(archive: Archive, named: str | None) -> Study:
    """Return the study of an archive as it is here."""
    name = archive.record.study
    if named is None and name not in studies.names():
        raise _refused(
            archive.path,
            f"is of a study {name[:80]!r} that is not here",
            mend="Name its study file with `--study FILE`.",
        )
    chosen = studies.load(named or name)
    if chosen.name != name:
        raise _refused(
            archive.path, f"is of {name[:80]!r}, not of {chosen.name!r}", mend="Leave it out."
        )
    return chosen


def check_fits(archive: Archive, study: Study) -> None:
    """Raise ``UserError`` where an archive's numbers are not those that the study here would give.

    They may be of another revision of the code: versions and digests decide.
    """
    record, runs = archive.record, {run.name: run for run in study.runs}
    for name, digest in _sections(study).items():
        if record.sections.get(name) != digest:
            raise _refused(
                archive.path,
                f"is of another study: its {name} is not that of {study.name} here",
                mend="Make the two study files equal and compute the run again.",
            )
    here, there = _versions(study), record.versions
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            raise _refused(
                archive.path,
                f"is of another version of {name[:40]}: {there.get(name, 'none')}, and "
                f"{here.get(name, 'none')} here",
                mend="Bring both checkouts to the same code and compute the run again.",
            )
    if record.run not in runs:
        raise _refused(
            archive.path,
            f"holds {record.run[:40]!r}, which is no run of {study.name} here",
            mend=f"Its runs are {', '.join(runs)}: raise split.repeats if you want more.",
        )
    run, entry = runs[record.run], record.entry
    digests = {name: analysis.digest for name, analysis in entry.analyses.items()}
    tables = {name: set(analysis.tables) for name, analysis in entry.analyses.items()}
    names = analyses.of(study)
    if (
        (entry.repeat, entry.fold, entry.seed) != (run.repeat, run.fold, run.seed)
        or entry.training.digest != analyses.training_digest(study)
        or digests != {name: analyses.digest(study, name) for name in names}
        or tables != {name: set(ANALYSES[name].tables) for name in names}
    ):
        raise _refused(archive.path, f"contradicts itself: {record.run} is not as it says it is")


@dataclass(frozen=True)
class _Merge:
    """What is to be done to one study's results: archives to take, by run, and what to say."""

    study: Study
    store: Results
    taken: dict[str, Archive]
    present: list[str]
    left_out: list[str]


def _planned(study: Study, archives: Sequence[Archive], *, replace: bool) -> _Merge:
    """Compare archives with the results here; nothing is written."""
    opened = _opened(study, archives)
    store = valid(study, opened)
    taken: dict[str, Archive] = {}
    present = []
    for archive in archives:
        run = archive.record.run
        if not _is_new(archive, store, replace=replace):
            present.append(run)
        elif run in taken and taken[run].record != archive.record:
            problem = f"holds {run} as {taken[run].path} does, and another one"
            raise _refused(archive.path, problem, mend="Leave one of them out.")
        else:
            taken[run] = archive
    return _Merge(study, store, taken, present, _left_out(opened, store, taken))


def _opened(study: Study, archives: Sequence[Archive]) -> Results:
    """Return the results here, which are in order and of the same images as the archives."""
    stored = results.load_if_any(study.name)
    digest = archives[0].record.data_digest
    if stored is not None:
        # The merged manifest would forget a run that is broken here.
        stored.check_folder()
        stored.verify()
        if stored.study.digest("seed", "data") == study.digest("seed", "data"):
            digest = stored.manifest.data_digest
    for archive in archives:
        other = archive.record.data_digest
        if other != digest:
            raise _refused(
                archive.path,
                f"is of other images: their digest is {other[:12]}…, not {digest[:12]}…",
                mend="Compute the run again from the same data.",
            )
    return results.open_for_writing(study, data_digest=digest)


def _is_new(archive: Archive, store: Results, *, replace: bool) -> bool:
    """Tell whether there is anything to take. Raises ``UserError`` for a run of other weights."""
    run, entry = archive.record.run, archive.record.entry
    here = store.manifest.runs.get(run)
    if here is None or replace:
        return here != entry
    if here.training.weights_sha256 != entry.training.weights_sha256:
        raise _refused(
            archive.path,
            f"holds {run} with other weights than {store.study.name} has here",
            mend="Keep what is here, or take the archive's with `--replace`.",
        )
    # Of the same weights, what is finished here is as good as what is in the archive.
    return not entry.analyses.keys() <= here.analyses.keys()


def _left_out(opened: Results, store: Results, taken: dict[str, Archive]) -> list[str]:
    """Return what is of another study than the one here, and would not count any more."""
    kept = store.manifest.runs
    return [
        f"{run} {step}"
        for run, entry in opened.manifest.runs.items()
        if run not in taken
        for step in ["training", *entry.analyses]
        if run not in kept or step not in {"training", *kept[run].analyses}
    ]


def _carry_out(merge: _Merge, *, say: Callable[[str], None]) -> None:
    """Write the files of new runs, then the manifest, then what follows from all runs."""
    name, folder = merge.study.name, merge.store.folder
    for run in merge.present:
        say(f"{name}: {run} is here already")
    if not merge.taken:
        derived.derive_again(merge.study, merge.store, say=say)
        return
    for archive in merge.taken.values():
        for file, content in archive.files.items():
            with written_whole(folder / file) as temporary:
                temporary.write_bytes(content)
    store = derived.commit(merge.store, {r: a.record.entry for r, a in merge.taken.items()})
    for run in merge.taken:
        say(f"{name}: {run} imported")
    for step in merge.left_out:
        say(f"{name}: {step} was stale, and is left out")
    derived.conclude(store)
    say(f"{name}: estimates and claims derived again")


def _refused(
    path: Path, problem: str, *, mend: str = "Export the run again where it was made."
) -> UserError:
    return UserError(f"{path} {problem}; nothing was changed.\n{mend}")
