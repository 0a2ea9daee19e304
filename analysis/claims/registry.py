"""The registered tests, each with the words that explain it.

A test is a function of the evidence and of the claim's parameters. Its words are templates that are
filled with the parameters, so that no number is written twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import ValidationError, create_model

from analysis.claims.judging import Finding
from analysis.project.errors import UserError, nearest
from analysis.project.forms import Section, problem
from analysis.results.records import Kind, Side, Unit
from analysis.results.schemas import FGSM, FGSM_NATIVE, LEVELS, PGD, RANDOM_SIGN

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Test:
    """One registered test.

    ``sentence`` begins the explanation, which the threshold ends; ``clause`` states the claim in
    lower case, if its threshold is on one of ``sides``; ``effect`` names what is measured: all
    three are templates. ``reports`` are the numbers reported with it. It ``asks`` if it is made of
    people's answers.
    """

    name: str
    function: Callable[..., Finding]
    parameters: type[Section]
    sentence: str
    clause: str
    sides: tuple[Side, ...]
    effect: str
    unit: Unit
    reports: tuple[Kind, ...]
    asks: bool = False

    def checked(self, parameters: Parameters, *, claim: str) -> Parameters:
        """Return the parameters with their defaults. Raises ``UserError`` for one that is wrong."""
        try:
            return self.parameters.model_validate(parameters).model_dump()
        except ValidationError as error:
            raise UserError(f"claim {claim}: {problem(error, self.parameters)}") from None

    def words(self, template: str, parameters: Parameters, words: dict[str, str]) -> str:
        """Return a template filled with the parameters, with words about them, and with others.

        ``words`` must hold noun and nouns.
        """
        said = {key: _said(key, value) for key, value in parameters.items()}
        return template.format(**said | _about(parameters, words) | words)


TESTS: dict[str, Test] = {}


def test(
    name: str,
    *,
    sentence: str,
    clause: str,
    sides: tuple[Side, ...],
    effect: str,
    unit: Unit,
    reports: tuple[Kind, ...] = (),
    asks: bool = False,
) -> Callable[[Callable[..., Finding]], Callable[..., Finding]]:
    """Register a function as a test; its keyword arguments are the parameters of its claims."""

    def register(function: Callable[..., Finding]) -> Callable[..., Finding]:
        hints = get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {
            key: (hints[key], ... if value.default is value.empty else value.default)
            for key, value in inspect.signature(function).parameters.items()
            if value.kind is value.KEYWORD_ONLY
        }
        form = create_model(function.__name__, __base__=Section, **fields)
        words = sentence, clause, sides, effect
        TESTS[name] = Test(name, function, form, *words, unit, reports, asks)
        return function

    return register


def named(name: str, *, claim: str) -> Test:
    """Return a test by its name. Raises ``UserError`` with the nearest one."""
    if name not in TESTS:
        raise UserError(
            f"claim {claim}: there is no test {name!r}; the nearest is {nearest(name, TESTS)!r}."
        )
    return TESTS[name]


def listed(parts: Sequence[str]) -> str:
    """Return parts as a list in words."""
    if not parts:
        return ""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


ATTACKS = {
    FGSM: "FGSM",
    FGSM_NATIVE: "FGSM on native pixels",
    PGD: "PGD",
    RANDOM_SIGN: "random signs",
}


def _about(parameters: Parameters, words: dict[str, str]) -> dict[str, str]:
    """Return the words that depend on whether a parameter is there."""
    classes, others = parameters.get("classes") or (), parameters.get("others")
    one = len(classes) == 1
    fixing = f" with {parameters['fixed']} held fixed" if parameters.get("fixed") else ""
    if parameters.get("margin") == "fixed":
        fixing = " by equal margins"
    source = parameters.get("source")
    return {
        "group": f"the {words['noun'] if one else words['nouns']} {listed(classes)}",
        "rest": listed(others) if others else "the others",
        "errs": "errs" if one else "err",
        "has": "has" if one else "have",
        "fixing": fixing,
        "scaling": ", scaled by temperature," if parameters.get("scaled") else "",
        "among": " among correct predictions" if parameters.get("correct") else "",
        "trained": f" of networks trained on the training split of {source}" if source else "",
    }


def _said(key: str, value: Any) -> str:
    if key == "attack":
        return ATTACKS[value]
    if isinstance(value, tuple):
        return listed(value)
    if key == "epsilon":
        return f"{value:g} ({LEVELS * value:.1f} levels)"
    return f"{value:g}" if isinstance(value, float) else str(value)


SIDES: dict[Side, str] = {"above": "above", "below": "below", "within": "within ±"}
