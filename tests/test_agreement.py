"""A run that is probed again, beside its cached results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from analysis import agreement, trained
from tests.playground import Playground
from tests.test_command_line import refused

Command = Callable[..., tuple[int, str, str]]
NAMES = {"predictions", "saliency", "attacks"}


def told(answer: tuple[int, str, str]) -> pd.DataFrame:
    """Return the lines of the command as rows."""
    status, out, errors = answer
    assert (status, errors) == (0, "")
    heading, names, *rows = out.splitlines()
    assert heading.startswith("tiny r0f0: ")
    found = pd.DataFrame([row.split() for row in rows], columns=names.split())
    return found.astype({"values": int, "differ": int, "largest": float})


def test_the_same_device_gives_the_same_numbers(finished: Playground, command: Command) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.results.iterdir()}
    found = told(command("agree", finished.study, "r0f0", "--device", "cpu"))
    assert set(found["table"]) == NAMES
    assert (found["differ"] == 0).all() and (found["largest"] == 0).all()
    # Sixty images, each under two sizes of two attacks and clean.
    values = found.drop_duplicates("table").set_index("table")["values"]
    assert values["predictions"] == 60 and values["saliency"] == 120
    assert {path: path.stat().st_mtime_ns for path in finished.results.iterdir()} == before


def test_some_images_are_compared_with_their_own_rows(
    finished: Playground, command: Command
) -> None:
    found = told(command("agree", finished.study, "r0f0", "--images", "7", "--device", "cpu"))
    assert set(found.loc[found["table"] == "predictions", "values"]) == {7}
    # A smaller batch may add up in another order, and that is all.
    logits = found[found["column"].str.startswith("logit")]
    assert len(logits) == 10 and (logits["largest"] < 1e-4).all()


def test_another_network_is_seen(
    finished: Playground, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = trained.read

    def changed(*arguments: object, **options: object) -> object:
        classifier, facts = read(*arguments, **options)
        with torch.no_grad():
            for parameter in classifier.parameters():
                parameter.mul_(1.01)
        return classifier, facts

    monkeypatch.setattr(trained, "read", changed)
    found = told(command("agree", finished.study, "r0f0", "--device", "cpu"))
    logits = found[found["column"].str.startswith("logit")]
    assert (logits["differ"] == 60).all() and (logits["largest"] > 1e-3).all()


def test_differences_are_those_of_the_same_rows() -> None:
    there = pd.DataFrame(
        {
            "layer": ["a", "a", "b", "b"],
            "index": [1, 2, 1, 2],
            "spread": [0.1, np.nan, 0.3, np.nan],
            "area": [0.5, 0.6, 0.7, 0.8],
        }
    )
    here = there.iloc[[3, 0]].assign(spread=[0.2, 0.1], area=[0.5, 0.5])
    found = agreement.differences("saliency", here, there).set_index("column")
    assert found.loc["spread", ["values", "differ", "largest"]].tolist() == [2, 1, 0]
    assert found.loc["area", ["values", "differ"]].tolist() == [2, 1]
    assert found.loc["area", "largest"] == pytest.approx(0.3)


def test_what_cannot_be_compared_is_told(finished: Playground, command: Command) -> None:
    ask = ("agree", finished.study)
    refused(command(*ask, "r0f00"), "no run 'r0f00'", "'r0f0'")
    refused(command(*ask, "r0f0", "--images", "0"), "one image or more")
    first, second = finished.weights()
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    refused(command(*ask, "r0f0"), "other weights")
    first.unlink()
    refused(command(*ask, "r0f0"), "has no weights here", "FAILURE_MODES_CACHE")
    first.write_bytes(content)
    finished.edit_manifest(lambda content: content["runs"]["r0f0"]["analyses"].pop("attacks"))
    refused(command(*ask, "r0f0"), "no results to compare with", "python -m analysis run")
