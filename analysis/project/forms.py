"""Forms that content from a file is checked against, with mistakes named in one line."""

from __future__ import annotations

import re
import reprlib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Strict, ValidationError

from analysis.project.errors import nearest

# What pydantic adds to the place of a value that may have several types.
_TYPE = re.compile(r"str|int|float|bool|(constrained-|tuple\[|function-|nullable\[).*")


# A number may be whole, but is no text and no truth value; a truth value is neither 1 nor "yes".
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]


class Section(BaseModel):
    """A part of a study file: unknown keys are refused, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def problem(error: ValidationError, form: type[BaseModel]) -> str:
    """Return the first problem of content that does not fit a form, in one line."""
    # A misspelt key is missing under its right name too; the misspelling says more.
    first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    where = [part for part in first["loc"] if not _TYPE.fullmatch(str(part))]
    key = ".".join(str(part)[:60] for part in where) or "the file"
    if first["type"] == "extra_forbidden":
        known = nearest(str(where[-1]), _keys(form, where))
        return f"unknown key {key!r}; the nearest is {known!r}."
    if first["type"] == "missing":
        return f"{key!r} is missing."
    message = first["msg"].removeprefix("Value error, ")
    # It may be large, or nested deeply.
    value = reprlib.repr(first["input"])
    shown = "" if isinstance(first["input"], dict) or len(value) > 100 else f", not {value}"
    return f"{key}: {message[0].lower()}{message[1:]}{shown}."


def _keys(form: type[BaseModel], where: list[str | int]) -> set[str]:
    """Return the keys of a form or, further down, of all sections."""
    forms = [form] if len(where) == 1 else Section.__subclasses__()
    return {key for each in forms for key in each.model_fields}
