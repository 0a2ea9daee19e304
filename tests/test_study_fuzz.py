"""Study files that nobody would write: each is refused in a line, or means what it says."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import time
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis import claims
from analysis.__main__ import main
from analysis.project.errors import UserError
from analysis.study import Study, resources
from analysis.study.reading import read
from tests.made_up import STUDY
from tests.playground import TINY

SECONDS = 2.0
GIVEN = """
title = "A network from a file"
images = { source = "folder", path = "photos", size = 32, fit = "pad", attributes = "a.csv" }
network = { model = "resnet18", weights = "w.safetensors", mean = [0.5, 0.4, 0.3], std = 0.2 }
maps = {}
corruptions = { noise = [0.1], jpeg = [60, 30] }
[paper]
keywords = ["one", "two"]
[[claim]]
id = "mine"
statement = "One in two is right."
test = "accuracy"
above = 0.5
"""
ALONE = """
title = "Predictions alone"
predictions = { file = "p.csv", attributes = ["colour"], id = "name", group = "photo" }
"""
BASES = [tomllib.loads(text) for text in (TINY, STUDY, GIVEN, ALONE)]
HUGE = [0, -1, 1, 2, 8, 2**31, 2**63, 10**30, 1_000_000, 10_000, 1000, 4096, 65_536]
ODD = ["", "\0", "a\nb", "x" * 5000, "é×", "../../x", "/etc/passwd", "nan", "train", "all"]
ODD += ["pretrained", "python:os:system", "python:a.b:c", "CON", "a:b", "[x](y)", "{{< x >}}"]


def nested(depth: int) -> Any:
    """Return a list in a list, and so on."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


numbers = st.one_of(
    st.sampled_from(HUGE),
    st.integers(),
    st.floats(),
    st.sampled_from([1e-300, 1e300, 5e-324, math.nan, math.inf, -0.0]),
)
plain = st.one_of(
    numbers,
    st.booleans(),
    st.sampled_from(ODD),
    st.sampled_from(["0.5", "1", "true", "yes"]),
    st.integers(1, 4000).map(lambda digits: 16**digits - 1),
    st.integers(1, 300).map(nested),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.just(date(1979, 5, 27)),
)
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text("abcdefgh_", max_size=8), inner)
    ),
    max_leaves=6,
)


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


# Keys that a study may have, so that most changes reach a check of a value.
KNOWN = sorted(
    (section, key)
    for section, field in Study.model_fields.items()
    for form in (field.annotation, *get_args(field.annotation))
    for key in getattr(form, "model_fields", ())
)


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a study with one to four changes."""
    content = copy.deepcopy(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["value", "value", "known", "top", "gone"]))
        if kind == "known":
            section, key = draw(st.sampled_from(KNOWN))
            if isinstance(content.setdefault(section, {}), dict):
                content[section][key] = draw(values)
        elif kind == "top":
            content[draw(st.sampled_from([*Study.model_fields, "odd"]))] = draw(values)
        else:
            *above, last = draw(st.sampled_from(sorted(places(content), key=repr)))
            place = content
            for key in above:
                place = place[key]
            if kind == "gone":
                del place[last]
            else:
                place[last] = draw(values)
    return content


def toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, (bool, str)):
        # Only the one control character that JSON leaves as it is has to be escaped.
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    # Python writes no more than 4,300 decimal digits.
    return hex(value) if isinstance(value, int) and value > 2**64 else str(value)


def finite(content: Any) -> bool:
    if isinstance(content, dict):
        return all(map(finite, content.values()))
    if isinstance(content, (list, tuple)):
        return all(map(finite, content))
    return not isinstance(content, float) or math.isfinite(content)


def same_kinds(given: Any, kept: Any) -> bool:
    """Return whether every value that was given is kept as what it is."""
    if isinstance(given, dict):
        return isinstance(kept, dict) and all(same_kinds(given[k], kept.get(k)) for k in given)
    if isinstance(given, list):
        return len(given) == len(kept) and all(map(same_kinds, given, kept))
    return given == kept and (
        type(given) is type(kept) or (type(given), type(kept)) == (int, float)
    )


def check(content: dict[str, Any], folder: Path) -> None:
    text = "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in content.items())
    path = folder / "fuzzed.toml"
    path.write_text(text, encoding="utf-8")
    begin = time.process_time()
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        status = main(["status", str(path)])
    assert time.process_time() - begin < SECONDS, text
    message = errors.getvalue()
    assert status == (1 if message else 0) and len(message.splitlines()) <= 2, message
    assert "should not happen" not in message and len(message) < 700, message
    try:
        study = read(text, name="fuzzed", folder=folder)
        claims.of(study)
    except UserError:
        assert status == 1
        return
    # Nothing was taken for what it is not: only a whole number may become another kind.
    kept = json.loads(json.dumps(study.model_dump(), default=str))
    assert same_kinds(json.loads(json.dumps(content, default=str)), kept), text
    # What is accepted is finite, the same when it is read again, and no more than can be run.
    assert finite(study.model_dump())
    again = Study.model_validate_json(study.model_dump_json())
    assert again.model_dump() == study.model_dump() and again.content() == study.content()
    assert len(study.runs) <= 50_000 and study.epochs <= 100_000
    assert len({run.name for run in study.runs}) == len(study.runs)
    with contextlib.suppress(UserError):
        resources.check(study)


def fuzz(folder: Path, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(studies())
    def fuzzed(content: dict[str, Any]) -> None:
        check(content, folder)

    fuzzed()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "results"))
    return tmp_path


def test_the_studies_that_are_changed_are_valid(folder: Path) -> None:
    for content in BASES:
        text = "\n".join(f"{key} = {toml(value)}" for key, value in content.items())
        assert read(text, name="base", folder=folder).title == content["title"]


def test_a_hundred_studies_that_nobody_would_write(folder: Path) -> None:
    fuzz(folder, 100)


@pytest.mark.slow
def test_a_thousand_studies_that_nobody_would_write(folder: Path) -> None:
    fuzz(folder, 1000)
