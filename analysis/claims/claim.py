"""A claim as a TOML table, and the claims of a study.

A claim has an ``id``, a ``statement``, where it was said (``says``), the name of a registered
``test``, a threshold as ``above``, ``below`` or ``within``, and the parameters of the test. Claim
sets are files in ``analysis/studies/claims``; a study may hold further ``[[claim]]`` tables.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError

from analysis.claims import registry
from analysis.claims.registry import OPPOSITES, SIDES, Test
from analysis.project import paths
from analysis.project.errors import UserError, nearest
from analysis.project.forms import Section, problem
from analysis.results.records import Side
from analysis.study import Line, Paragraph, Study

FOLDER = paths.STUDIES / "claims"
_OWN = ("id", "statement", "says", "test", "above", "below", "within")


class Written(Section):
    """The keys that every claim may have; all others are parameters of its test."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    statement: Line
    says: Paragraph = ""
    test: Line
    above: float | None = None
    below: float | None = None
    within: Annotated[float, Field(gt=0)] | None = None

    @property
    def sides(self) -> list[tuple[Side, float]]:
        """Return the side and the threshold."""
        pairs: list[tuple[Side, float | None]] = [
            ("above", self.above),
            ("below", self.below),
            ("within", self.within),
        ]
        return [(side, value) for side, value in pairs if value is not None]


@dataclass(frozen=True)
class Claim:
    """A claim with its test and the checked parameters."""

    id: str
    statement: str
    says: str
    test: Test
    parameters: dict[str, Any]
    side: Side | None
    threshold: float | None

    @property
    def confirmatory(self) -> bool:
        """Return whether the claim has a threshold."""
        return self.threshold is not None

    def sentence(self, words: dict[str, str]) -> str:
        """Return how the claim is tested."""
        start = self.test.words(self.test.sentence, self.parameters, words)
        if self.side is None or self.threshold is None:
            return f"{start}."
        return f"{start} is {SIDES[self.side]} {_number(self.threshold)}.".replace("± ", "±")

    def against(self) -> str:
        """Return what would speak against the claim."""
        if self.side is None or self.threshold is None:
            return "nothing: it has no threshold"
        opposite = f"{OPPOSITES[self.side]} {_number(self.threshold)}".replace("± ", "±")
        return f"{self.test.effect} {opposite}"

    def clause(self, words: dict[str, str]) -> str:
        """Return the claim as its test understands it, in lower case and without a full stop.

        Where the words of the test state the opposite, it is the statement.
        """
        if self.side not in self.test.sides:
            start, rest = self.statement[0], self.statement[1:].rstrip(".")
            return (start if rest[:1].isupper() else start.lower()) + rest
        more = {"more": "more" if self.side == "above" else "less"}
        return self.test.words(self.test.clause, self.parameters, words | more)


@dataclass(frozen=True)
class Claims:
    """The claims of a study, and what their sets say about themselves."""

    claims: tuple[Claim, ...]
    introduction: str

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all that the claims say."""
        content = [
            [c.id, c.statement, c.says, c.test.name, c.parameters, c.side, c.threshold]
            for c in self.claims
        ]
        text = json.dumps([content, self.introduction], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def confirmatory(self) -> int:
        """Return how many claims have a threshold."""
        return sum(claim.confirmatory for claim in self.claims)

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raise ``UserError`` for a claim about a class that is none of these."""
        for claim in self.claims:
            for key in ("classes", "others"):
                for name in claim.parameters.get(key, ()):
                    if name not in classes:
                        raise UserError(
                            f"claim {claim.id}: there is no class {name!r}; the nearest is "
                            f"{nearest(name, classes)!r}."
                        )


class ClaimSet(Section):
    """A file of claims; ``introduction`` says where they come from."""

    introduction: Paragraph = ""
    claim: tuple[dict[str, Any], ...]


def of(study: Study) -> Claims:
    """Return the claims of a study. Raises ``UserError`` for one that is not valid."""
    sets = [_set(name) for name in study.claims]
    written = [claim for each in sets for claim in each.claim] + list(study.claim)
    claims = tuple(_claim(content) for content in written)
    ids = [claim.id for claim in claims]
    if twice := [name for name in ids if ids.count(name) > 1]:
        raise UserError(f"{study.name} has two claims {twice[0]!r}; give one of them another id.")
    return Claims(claims, " ".join(each.introduction for each in sets if each.introduction))


def _set(name: str) -> ClaimSet:
    known = sorted(path.stem for path in FOLDER.glob("*.toml"))
    if name not in known:
        raise UserError(f"There is no claim set {name!r}; the nearest is {nearest(name, known)!r}.")
    try:
        return ClaimSet.model_validate(
            tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
        )
    except ValueError as error:
        reason = problem(error, ClaimSet) if isinstance(error, ValidationError) else error
        raise UserError(f"claims/{name}.toml: {reason}") from None


def _claim(content: dict[str, Any]) -> Claim:
    claim = str(content.get("id", "without an id"))[:60]
    try:
        written = Written.model_validate({k: v for k, v in content.items() if k in _OWN})
    except ValidationError as error:
        raise UserError(f"claim {claim}: {problem(error, Written)}") from None
    test = registry.named(written.test, claim=claim)
    parameters = {k: v for k, v in content.items() if k not in _OWN}
    known = [*_OWN, *test.parameters.model_fields]
    if unknown := [key for key in content if key not in known]:
        likely = nearest(unknown[0], known)
        raise UserError(f"claim {claim}: unknown key {unknown[0]!r}; the nearest is {likely!r}.")
    if len(written.sides) != (test.name != "none"):
        number = "no" if test.name == "none" else "one"
        raise UserError(f"claim {claim} needs {number} threshold: above, below or within.")
    side, threshold = written.sides[0] if written.sides else (None, None)
    return Claim(
        id=written.id,
        statement=written.statement,
        says=written.says,
        test=test,
        parameters=test.checked(parameters, claim=claim),
        side=side,
        threshold=threshold,
    )


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")
