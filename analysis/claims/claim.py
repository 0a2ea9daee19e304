"""A claim as a TOML table, and the claims of a study.

A claim has an ``id``, a ``statement``, where it was said (``says``), the name of a registered
``test``, a threshold as ``above``, ``below`` or ``within``, and the parameters of the test. Its
``variants`` are other reasonable choices, each a table of what it changes; ``crossed`` holds lists
of such tables, of which every combination is a variant. Claim sets are files in
``analysis/studies/claims``; a study may hold further ``[[claim]]`` tables.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from analysis.claims import registry
from analysis.claims.registry import SIDES, Test
from analysis.project import paths
from analysis.project.errors import UserError, nearest
from analysis.project.forms import Number, Section, problem
from analysis.results.records import Side
from analysis.study import Line, Paragraph, Study

FOLDER = paths.STUDIES / "claims"
_OWN = ("id", "statement", "says", "test", "above", "below", "within", "variants", "crossed")
# Parameters that name classes.
_NAMES = ("classes", "others", "left_out")
_MOST_VARIANTS = 500


class Written(Section):
    """The keys that every claim may have; all others are parameters of its test."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    statement: Line
    says: Paragraph = ""
    test: Line
    above: Number | None = None
    below: Number | None = None
    within: Annotated[Number, Field(gt=0)] | None = None
    variants: tuple[dict[str, Any], ...] = ()
    crossed: tuple[tuple[dict[str, Any], ...], ...] = ()

    @property
    def changes(self) -> list[dict[str, Any]]:
        """Return what each variant changes, each once."""
        combined = [
            {key: value for part in parts for key, value in part.items()}
            for parts in product(*self.crossed)
        ]
        every = [*combined, *self.variants]
        return [one for place, one in enumerate(every) if one and one not in every[:place]]

    @property
    def sides(self) -> list[tuple[Side, float]]:
        """Return the side and the threshold."""
        pairs: list[tuple[Side, float | None]] = [
            ("above", self.above),
            ("below", self.below),
            ("within", self.within),
        ]
        return [(side, value) for side, value in pairs if value is not None]


class Evidence(Section):
    """What a variant may change about the evidence, whatever the test.

    ``without`` leaves out images whose label is suspected to be wrong, ``labels`` takes those that
    readers agreed on, and ``resample`` draws networks as well as groups of images.
    """

    without: Literal["suspects"] | None = None
    labels: Literal["audited"] | None = None
    resample: Literal["networks"] | None = None


@dataclass(frozen=True)
class Choice:
    """A variant of a claim: what it changes, and the test and parameters that result."""

    changes: dict[str, Any]
    evidence: Evidence
    test: Test
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """A claim with its test, the checked parameters and its variants."""

    id: str
    statement: str
    says: str
    test: Test
    parameters: dict[str, Any]
    side: Side | None
    threshold: float | None
    variants: tuple[Choice, ...] = ()

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

    def clause(self, words: dict[str, str]) -> str:
        """Return the claim as its test understands it, in lower case and without a full stop.

        Where the words of the test state the opposite, it is the statement.
        """
        if self.side not in self.test.sides:
            first, space, rest = self.statement.rstrip(".").partition(" ")
            # A name, such as Grad-CAM, keeps its letters.
            return (first.lower() if first[1:].islower() or not first[1:] else first) + space + rest
        above = self.side == "above"
        words = words | {"more": "more" if above else "less"}
        words |= {"better": "better" if above else "no better"}
        return self.test.words(self.test.clause, self.parameters, words)

    def measured(self, words: dict[str, str]) -> str:
        """Return the name of what is measured."""
        return self.test.words(self.test.effect, self.parameters, words)


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
            + [variant.changes for variant in c.variants]
            for c in self.claims
        ]
        text = json.dumps([content, self.introduction], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def confirmatory(self) -> int:
        """Return how many claims have a threshold."""
        return sum(claim.confirmatory for claim in self.claims)

    def testable(self, *, asked: bool) -> int:
        """Return how many claims can be tested; without ``asked`` no people's answers are known."""
        return sum(claim.confirmatory and (asked or not claim.test.asks) for claim in self.claims)

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raise ``UserError`` for a claim about a class that is none of these."""
        for claim in self.claims:
            every = [claim.parameters, *(variant.parameters for variant in claim.variants)]
            named = [each.get(key) or () for each in every for key in _NAMES]
            for names in named:
                for name in names:
                    if name not in classes:
                        raise UserError(
                            f"claim {claim.id}: there is no class {name!r}; the nearest is "
                            f"{nearest(name, classes)!r}."
                        )


class ClaimSet(Section):
    """A file of claims; ``introduction`` says where they come from, ``sets`` are others to add."""

    introduction: Paragraph = ""
    sets: tuple[Line, ...] = ()
    claim: tuple[dict[str, Any], ...] = ()


def of(study: Study) -> Claims:
    """Return the claims of a study. Raises ``UserError`` for one that is not valid."""
    named = [_set(name) for name in study.claims]
    sets = [one for each in named for one in (each, *map(_set, each.sets))]
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
        variants=_choices(written, parameters, claim=claim),
    )


def _choices(written: Written, parameters: dict[str, Any], *, claim: str) -> tuple[Choice, ...]:
    """Return the variants of a claim. Raises ``UserError`` for one that is not valid."""
    # Counted before any is made; a combination that changes nothing is the claim itself.
    own = all({} in part for part in written.crossed)
    count = prod(map(len, written.crossed)) + len(written.variants) - own
    if count > _MOST_VARIANTS:
        many = f"{count:,}" if count < 10**9 else "over a billion"
        raise UserError(f"claim {claim} has {many} variants; at most {_MOST_VARIANTS}.")
    changes = written.changes
    if changes and written.test == "none":
        raise UserError(f"claim {claim} is not tested, so it has no variants.")
    return tuple(_choice(written.test, parameters, each, claim=claim) for each in changes)


def _choice(
    test: str, parameters: dict[str, Any], changes: dict[str, Any], *, claim: str
) -> Choice:
    where = f"{claim}, variant {json.dumps(changes)[:100]}"
    other = registry.named(str(changes.get("test", test)), claim=where)
    # Another test takes none of the claim's own parameters that it does not know.
    kept = {
        key: value
        for key, value in parameters.items()
        if other.name == test or key in other.parameters.model_fields
    }
    of_evidence = {k: v for k, v in changes.items() if k in Evidence.model_fields}
    own = {k: v for k, v in changes.items() if k not in of_evidence and k != "test"}
    known = ["test", *other.parameters.model_fields, *Evidence.model_fields]
    if unknown := [key for key in own if key not in known]:
        likely = nearest(unknown[0], known)
        raise UserError(f"claim {where}: unknown key {unknown[0]!r}; the nearest is {likely!r}.")
    try:
        evidence = Evidence.model_validate(of_evidence)
    except ValidationError as error:
        raise UserError(f"claim {where}: {problem(error, Evidence)}") from None
    return Choice(changes, evidence, other, other.checked(kept | own, claim=where))


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")
