"""The results store: one folder a study, with Parquet tables and a manifest that vouches for them.

A table's file is named after its content, and only the manifest says which files count. New files
are written first and the manifest last, in one rename, so a kill at any moment leaves either the
old results or the new. Reading verifies every file against the manifest and its schema.
"""

from __future__ import annotations

import hashlib
import json
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandera.errors import SchemaError, SchemaErrors
from pydantic import ValidationError

from analysis import paths
from analysis.errors import UserError, nearest
from analysis.files import TEMPORARY, move_into_place, sha256, written_beside, written_whole
from analysis.study import Section, Study, names
from analysis.tables import SCHEMAS
from analysis.verdicts import ClaimsTable

MANIFEST = "manifest.json"
CLAIMS = "claims.json"
_NAMED = re.compile(r"(?P<table>[a-z]+)-(?P<run>r\d+f\d+|all)-(?P<sha256>[0-9a-f]{12})\.parquet")


class TableEntry(Section):
    """One file of the store."""

    file: str
    sha256: str
    rows: int


class DerivedEntry(TableEntry):
    """A file computed from those of the runs. ``digest`` is of all that it depends on."""

    digest: str = ""


class ClaimsEntry(Section):
    """The file of the claims. ``digest`` is of all that they depend on."""

    file: Literal["claims.json"] = CLAIMS
    sha256: str
    digest: str


class Provenance(Section):
    """How something was computed. ``digest`` is of all that it depends on."""

    digest: str
    device: str
    packages: dict[str, str]
    revision: str | None
    finished: str
    seconds: float


class TrainingEntry(Provenance):
    """How a run was trained, and the SHA-256 of its weights file."""

    weights_sha256: str
    training_images: int
    history: TableEntry


class AnalysisEntry(Provenance):
    """One analysis of a run."""

    tables: dict[str, TableEntry]


class RunEntry(Section):
    """One trained run and what has been computed from it."""

    repeat: int
    fold: int
    seed: int
    training: TrainingEntry
    analyses: dict[str, AnalysisEntry] = {}

    def table(self, name: str) -> TableEntry | None:
        """Return the file of a table, or nothing where it has not been computed."""
        if name == "history":
            return self.training.history
        tables = (analysis.tables for analysis in self.analyses.values())
        return next((entries[name] for entries in tables if name in entries), None)


class Manifest(Section):
    """What the store vouches for."""

    format: Literal[1] = 1
    study: Study
    study_digest: str
    data_digest: str
    runs: dict[str, RunEntry] = {}
    derived: dict[str, DerivedEntry] = {}
    claims: ClaimsEntry | None = None

    def entries(self) -> Iterable[tuple[str, TableEntry]]:
        """Give every file of the store with the table that it belongs to."""
        for run in self.runs.values():
            yield "history", run.training.history
            for analysis in run.analyses.values():
                yield from analysis.tables.items()
        yield from self.derived.items()

    def files(self) -> set[str]:
        """Return the names of all files that the store vouches for."""
        tables = {entry.file for _, entry in self.entries()}
        return tables | {self.claims.file} if self.claims else tables


@dataclass(frozen=True)
class Results:
    """The cached results of one study. Every table that is read has been verified."""

    folder: Path
    manifest: Manifest

    @property
    def study(self) -> Study:
        """Return the study that the results are of."""
        return self.manifest.study

    def with_manifest(self, **changes: object) -> Results:
        """Return the same store with some parts of its manifest changed, in memory alone."""
        return Results(self.folder, self.manifest.model_copy(update=changes))

    def table(self, name: str) -> pd.DataFrame:
        """Return a table over all runs, with a ``run`` column first where it has one a run.

        Raises ``UserError`` that names the file, where one is missing, altered or not of the
        declared schema, and where the table has not been computed.
        """
        if name in self.manifest.derived:
            return self.read(name, self.manifest.derived[name])
        parts = [
            self.read(name, entry).assign(run=run)
            for run, found in self.manifest.runs.items()
            if (entry := found.table(name))
        ]
        if not parts:
            raise UserError(
                f"{self.study.name} has no table {name!r} yet.\n"
                f"Compute it with `python -m analysis run {self.study.name}`."
            )
        table = pd.concat(parts, ignore_index=True)
        return table[["run", *table.columns.drop("run")]]

    def read(self, name: str, entry: TableEntry) -> pd.DataFrame:
        """Return the verified content of one file."""
        path = self.folder / entry.file
        if not path.is_file():
            raise self._broken(path, "is missing")
        try:
            return parsed(path.read_bytes(), name, entry)
        except Broken as problem:
            raise self._broken(path, str(problem)) from None

    def claims(self) -> ClaimsTable:
        """Return the verified claims. Raises ``UserError`` where they are not in order."""
        entry = self.manifest.claims
        if entry is None:
            raise UserError(
                f"{self.study.name} has no claims yet.\n"
                f"Judge them with `python -m analysis claims {self.study.name}`."
            )
        path = self.folder / entry.file
        if not path.is_file():
            raise self._broken(path, "is missing")
        if sha256(path) != entry.sha256:
            raise self._broken(path, "is altered: its SHA-256 is not the manifest's")
        try:
            claims = ClaimsTable.model_validate_json(path.read_bytes())
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"]) or "content"
            raise self._broken(path, f"is damaged: {where}: {problem['msg']}") from None
        if claims.study != self.study.name:
            raise self._broken(path, f"is of another study, {claims.study!r}")
        if claims.digest != entry.digest:
            raise self._broken(path, "is of other tables: its digest is not the manifest's")
        return claims

    def complete_repeats(self, analysis: str = "predictions") -> dict[int, list[str]]:
        """Return the names of the runs of each repeat in which every fold has been analysed."""
        done: dict[int, list[str]] = {}
        for name, run in self.manifest.runs.items():
            if analysis in run.analyses:
                done.setdefault(run.repeat, []).append(name)
        folds = self.study.split.folds
        return {repeat: runs for repeat, runs in sorted(done.items()) if len(runs) == folds}

    def verify(self) -> int:
        """Read and check every file; return how many there are. Raises ``UserError``."""
        entries = list(self.manifest.entries())
        for name, entry in entries:
            self.read(name, entry)
        if self.manifest.claims:
            self.claims()
        return len(entries) + bool(self.manifest.claims)

    def check_folder(self) -> None:
        """Raise ``UserError`` for a file that the manifest does not know, or that is not there."""
        known = self.manifest.files() | {MANIFEST}
        for name in sorted(known):
            if not (self.folder / name).is_file():
                raise self._broken(self.folder / name, "is missing")
        for path in sorted(self.folder.iterdir()):
            if path.name not in known and not _is_leftover(path):
                raise UserError(
                    f"{_shown(path)} is foreign: the manifest does not know it.\n"
                    "Move it elsewhere or delete it."
                )

    def _broken(self, path: Path, problem: str) -> UserError:
        return UserError(
            f"{_shown(path)} {problem}.\nGet it back with `git restore {_shown(self.folder)}`, or "
            f"compute it again with `python -m analysis run {self.study.name}`."
        )


class Broken(Exception):
    """What is wrong with a file: the rest of a sentence that begins with its name."""


def parsed(content: bytes, name: str, entry: TableEntry) -> pd.DataFrame:
    """Return the table that a file's bytes hold, verified against what is vouched for.

    Raises ``Broken`` where they are altered, or not of the declared schema.
    """
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise Broken("is truncated or altered: its SHA-256 is not the manifest's")
    try:
        table = pq.read_table(pa.BufferReader(content)).to_pandas()
        SCHEMAS[name].validate(table)
    # What a page of Parquet cannot be decoded from comes as an OSError.
    except (pa.ArrowException, OSError, SchemaError, SchemaErrors, KeyError) as error:
        raise Broken(f"breaks the schema of {name}: {_reason(error)}") from None
    if len(table) != entry.rows:
        raise Broken(f"has {len(table)} rows, not {entry.rows}")
    return table


def load(study: str, *, folder: Path | None = None) -> Results:
    """Open the cached results of a study.

    Raises ``UserError`` where there are none, or where files are missing or foreign.
    """
    results = load_if_any(study, folder=folder)
    if results is None:
        if study not in names():
            raise UserError(
                f"There is no study {study!r}; the nearest is {nearest(study, names())!r}."
            )
        raise none_yet(folder or paths.results(study), study)
    results.check_folder()
    return results


def none_yet(folder: Path, study: str) -> UserError:
    """Return the error for a folder without results; ``study`` is what the command takes."""
    return UserError(
        f"{_shown(folder)} holds no results.\nCompute them with `python -m analysis run {study}`."
    )


def load_if_any(study: str, *, folder: Path | None = None) -> Results | None:
    """Open the cached results of a study, or return nothing where there is no manifest.

    Raises ``UserError`` where the manifest is damaged or of another study.
    """
    folder = folder or paths.results(study)
    path = folder / MANIFEST
    if not path.is_file():
        return None
    mend = f"Get it back with `git restore {_shown(folder)}`, or delete the folder to begin anew."
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "content"
        raise UserError(f"{_shown(path)} is damaged: {where}: {problem['msg']}.\n{mend}") from None
    if manifest.study.name != study:
        raise UserError(f"{_shown(path)} is of another study, {manifest.study.name!r}.\n{mend}")
    if manifest.study.digest() != manifest.study_digest:
        raise UserError(f"{_shown(path)} is altered: its study has another digest.\n{mend}")
    return Results(folder, manifest)


def open_for_writing(study: Study, *, data_digest: str, folder: Path | None = None) -> Results:
    """Open a study's results, or begin them; what is there stays until a manifest is written.

    Raises ``UserError`` where the results were computed from other data.
    """
    folder = folder or paths.results(study.name)
    results = load_if_any(study.name, folder=folder)
    if results is None:
        manifest = Manifest(study=study, study_digest=study.digest(), data_digest=data_digest)
        return Results(folder, manifest)
    same = results.study.digest("seed", "data") == study.digest("seed", "data")
    if same and results.manifest.data_digest != data_digest:
        raise UserError(
            f"The images are not those behind {_shown(folder)}: their digest is "
            f"{data_digest[:12]}…, not {results.manifest.data_digest[:12]}….\n"
            "Restore the data, or delete that folder to begin anew."
        )
    return results.with_manifest(study=study, study_digest=study.digest(), data_digest=data_digest)


def write_table(folder: Path, name: str, table: pd.DataFrame, *, run: str | None) -> TableEntry:
    """Validate a table and write it under the name of its content.

    It counts only once a manifest says so.
    """
    SCHEMAS[name].validate(table)
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    with written_beside(folder / f"{name}.parquet") as temporary:
        # The bytes of a float by their place: like ones stand together and pack a third smaller.
        floats = [field.name for field in arrow.schema if pa.types.is_floating(field.type)]
        pq.write_table(
            arrow,
            temporary,
            compression="zstd",
            compression_level=9,
            use_dictionary=[name for name in arrow.column_names if name not in floats],
            use_byte_stream_split=floats,
        )
        digest = sha256(temporary)
        file = file_name(name, run=run, sha256=digest)
        move_into_place(temporary, folder / file)
    return TableEntry(file=file, sha256=digest, rows=len(table))


def file_name(name: str, *, run: str | None, sha256: str) -> str:
    """Return the name of a table's file: it says what the file holds."""
    return f"{name}-{run or 'all'}-{sha256[:12]}.parquet"


def write_manifest(results: Results) -> None:
    """Make the manifest the one that counts, then remove the files that no longer do."""
    path = results.folder / MANIFEST
    before = load_if_any(results.study.name, folder=results.folder)
    # Also those that were altered, and so are no longer what their names say.
    replaced = before.manifest.files() if before else set()
    text = json.dumps(results.manifest.model_dump(mode="json"), indent=1) + "\n"
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    known = results.manifest.files() | {MANIFEST}
    for file in results.folder.iterdir():
        if file.name not in known and (file.name in replaced or _is_leftover(file)):
            file.unlink()


def write_claims(results: Results, claims: ClaimsTable) -> Results:
    """Write the claims and the manifest that vouches for them; return the store with them.

    The file has one name whatever it says, so the manifest forgets the old claims before the new
    ones are written: it never vouches for others than those that are there.
    """
    forgotten = results.with_manifest(claims=None)
    write_manifest(forgotten)
    path = results.folder / CLAIMS
    with written_whole(path) as temporary:
        temporary.write_text(claims.model_dump_json(indent=1) + "\n", encoding="utf-8")
    entry = ClaimsEntry(sha256=sha256(path), digest=claims.digest)
    results = results.with_manifest(claims=entry)
    write_manifest(results)
    return results


def _reason(error: Exception) -> str:
    """Return the first of what may be many problems, without every value that has it."""
    first = error.schema_errors[0] if isinstance(error, SchemaErrors) else error
    line = str(first).splitlines()[0].partition(" {")[0]
    return textwrap.shorten(line, 160, placeholder=" …").rstrip(".")


def _is_leftover(path: Path) -> bool:
    """Tell whether an interrupted write left this file, so that it is safe to ignore."""
    # The claims are taken out of the manifest before other ones are written.
    if path.name.startswith(TEMPORARY) or path.name == CLAIMS:
        return True
    named = _NAMED.fullmatch(path.name)
    return bool(named) and sha256(path).startswith(named["sha256"])


def _shown(path: Path) -> str:
    return str(path.relative_to(paths.ROOT)) if path.is_relative_to(paths.ROOT) else str(path)
