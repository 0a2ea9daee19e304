"""The command on stored results: what is paired and what is not, its status, and its errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from analysis.comparison import compare
from analysis.comparison.pairs import _together
from analysis.project import paths
from analysis.study import Study
from tests import made_up

Command = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]
CLASSES = ("cat", "dog", "emu")


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILURE_MODES_RESULTS", str(tmp_path / "results"))


@pytest.fixture
def networks(tmp_path: Path) -> Callable[..., Study]:
    """Return a function that makes a study of networks with results, which nothing computed."""

    def write(
        name: str,
        text: str = "claims = []\n",
        *,
        weights: str = "5",
        source: str = 'source = "svhn-subset"',
        **changes: object,
    ) -> Study:
        text += made_up.STUDY.replace('source = "svhn-subset"', source)
        study = made_up.made_up_study(tmp_path, text, name=name)
        parts = ("attributes", "duplicates", "predictions", "attacks")
        found = made_up.filled(study, weights=weights * 64, analyses=parts)
        for record in list(found.runs.values()):
            found.write_run(record.model_copy(update=changes))
        return study

    return write


@pytest.fixture
def predictions(tmp_path: Path, command: Command) -> Write:
    """Return a function that writes a study of predictions alone, and takes them up."""

    def write(
        name: str,
        wrong: np.ndarray,
        *,
        label: np.ndarray | None = None,
        classes: tuple[str, ...] = CLASSES,
        text: str = "",
        **columns: object,
    ) -> Path:
        number = np.arange(len(wrong)) % 3 if label is None else label
        predicted = np.where(wrong, (number + 1) % 3, number)
        scores = np.full((len(wrong), 3), 0.1)
        scores[np.arange(len(wrong)), predicted] = 0.8
        rows = pd.DataFrame(scores, columns=CLASSES)[list(classes)]
        rows.assign(label=np.array(CLASSES)[number], **columns).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
        path = tmp_path / f"{name}.toml"
        path.write_text(
            f"""title = "{name}"\nbootstrap = {{ resamples = 200 }}\n"""
            f"""claims = []\n[predictions]\nfile = "{name}.csv"\n{text}\n"""
        )
        assert command("run", path)[0] == 0
        return path

    return write


def errors(share: float, *, images: int = 300, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(images) < share


# ------------------------------------------------------------------------------ pairs


def test_networks_on_the_same_images_are_paired(networks) -> None:
    found = compare(networks("one"), networks("two", weights="6"))
    assert found.paired and not found.reason and found.mcnemar is None
    names = dict.fromkeys(measure.measure for measure in found.measures)
    assert list(names) == [
        "accuracy",
        "error of the worst class",
        "calibration error",
        "accuracy under attack",
        "error of a class",
    ]
    assert all(measure.difference for measure in found.measures)
    assert (found.a.images, found.a.groups, found.a.repeats) == (60, 30, 2)


def test_claims_are_side_by_side_with_those_of_one_study_and_of_other_tests(networks) -> None:
    def claim(name: str, above: float) -> str:
        rest = f'statement = "S.", test = "accuracy", above = {above}'
        own, both = (f'{{ id = "{each}", {rest} }}' for each in (name, "both"))
        return f"claims = []\nclaim = [{own}, {both}]\n"

    one, two = (
        networks("one", claim("first", 0.1)),
        networks("two", claim("second", 0.9), weights="6"),
    )
    rows = {each.id: each for each in compare(one, two).claims}
    assert list(rows) == ["first", "both", "second"]
    first, second = rows["first"], rows["second"]
    assert first.b is None and second.a is None and not rows["both"].same_test
    assert (first.a.verdict, second.b.verdict) == ("holds", "does not hold")
    assert first.a.low < first.a.value < first.a.high


def test_other_training_images_leave_the_evaluated_ones_what_they_are(networks) -> None:
    """Their digests differ, and what is measured on each evaluated image agrees."""
    one, two = networks("one"), networks("two", weights="6", images="2" * 64)
    assert compare(one, two).paired


@pytest.mark.parametrize(("path", "paired"), [("photos", True), ("others", False)])
def test_images_in_another_size_are_the_same_if_they_come_from_the_same_place(
    networks, path: str, paired: bool
) -> None:
    one = networks("one", source='source = "folder", path = "photos", size = 64')
    two = networks(
        "two", source=f'source = "folder", path = "{path}", size = 96', images="2" * 64, weights="6"
    )
    found = compare(one, two)
    assert found.paired == paired and bool(found.reason) != paired


def test_predictions_are_paired_by_labels_and_may_have_classes_in_another_order(
    predictions: Write, command: Command
) -> None:
    a, b = errors(0.2), errors(0.3, seed=1)
    first = predictions("first", a)
    second = predictions(
        "second",
        b,
        classes=("emu", "cat", "dog"),
        group=np.arange(300) // 2,
        text='group = "group"',
    )
    status, out, _ = command("compare", first, second, "--json")
    found = json.loads(out)
    assert status == 0 and found["paired"] and found["a"]["groups"] == 150
    rows = {(one["measure"], one["part"]): one for one in found["measures"]}
    assert rows["accuracy", ""]["difference"]["value"] == pytest.approx(a.mean() - b.mean())
    for place, name in enumerate(CLASSES):
        members = np.arange(300) % 3 == place
        one = rows["error of a class", name]
        assert one["b"]["value"] == pytest.approx(b[members].mean(), abs=1e-6)
        assert one["a"]["value"] == pytest.approx(a[members].mean(), abs=1e-6)
    only_a, only_b = int((~a & b).sum()), int((a & ~b).sum())
    assert found["mcnemar"]["only_a_right"] == only_a
    assert found["mcnemar"]["only_b_right"] == only_b
    expected = binomtest(only_a, only_a + only_b).pvalue
    assert found["mcnemar"]["p"] == pytest.approx(expected)


def test_other_images_have_two_columns_and_no_gate(predictions: Write, command: Command) -> None:
    wrong = errors(0.2)
    first = predictions("first", wrong, id=np.arange(300), text='id = "id"')
    others = {
        "few": dict(wrong=wrong[:150]),
        "labels": dict(wrong=wrong, label=np.arange(300)[::-1] % 3),
        "ids": dict(wrong=wrong, id=np.arange(300) + 1, text='id = "id"'),
    }
    for name, parts in others.items():
        other = predictions(name, **parts)
        status, out, _ = command("compare", first, other)
        assert status == 0 and "These are not paired, as" in out and "B − A" not in out, name
        status, out, said = command("compare", first, other, "--gate", "0.01")
        assert (status, out) == (2, "") and "cannot be paired" in said
        assert len(said.splitlines()) <= 2


def test_groups_of_either_study_stay_together() -> None:
    found = _together(np.array([5, 5, 7, 8, 9, 9]), np.array([0, 1, 1, 2, 3, 4]))
    assert len(set(found)) == 3 and len({*found[:3]}) == len({*found[4:]}) == 1


# ------------------------------------------------------------------------------ the command


def test_the_status_says_whether_the_gate_was_passed(predictions: Write, command: Command) -> None:
    good, bad = predictions("good", errors(0.1)), predictions("bad", errors(0.4, seed=1))
    assert command("compare", good, bad)[0] == 0
    status, out, _ = command("compare", good, bad, "--gate", "0.01")
    assert status == 1 and "Gate failed: B is worse than A by more than 1 point:" in out
    assert "accuracy falls by" in out and "at least" in out
    assert command("compare", bad, good, "--gate", "0.01")[0] == 0
    assert command("compare", bad, good, "--gate", "0", "--strict")[0] == 0
    status, out, _ = command(
        "compare", good, predictions("same", errors(0.1)), "--gate", "0", "--strict"
    )
    assert status == 1 and "may be worse" in out and "at most" in out
    status, out, _ = command("compare", good, bad, "--gate", "0.01", "--json")
    assert status == 1 and not json.loads(out)["gate"]["passed"]


def test_the_table_is_as_wide_as_its_names_and_has_every_class(
    predictions: Write, command: Command
) -> None:
    first, second = (predictions(n, errors(0.2, seed=s)) for n, s in (("first", 0), ("second", 1)))
    out = command("compare", first, second)[1]
    assert "McNemar" in out and "300 images, 1 repeat" in out
    rows = [line for line in out.splitlines() if line.startswith(("accuracy", "error of '"))]
    assert [row.split("  ")[0] for row in rows[1:]] == [f"error of {name!r}" for name in CLASSES]
    assert len({row.index("(") for row in rows}) == 1


def test_mistakes_have_a_status_of_their_own(
    networks, predictions: Write, command: Command, tmp_path: Path
) -> None:
    wrong = errors(0.2)
    first = predictions("first", wrong)
    networks("network")
    empty = made_up.made_up_study(tmp_path, name="empty")
    for arguments, said in (
        ([first, "demos"], "the nearest is 'demo'"),
        ([first, tmp_path / "missing.toml"], "There is no study"),
        ([first, first], "Both are the study first"),
        ([first, tmp_path / f"{empty.name}.toml"], "has no complete repeat yet"),
        ([first, tmp_path / "network.toml"], "different classes: only"),
        ([first, "demo", "--gate", "-0.1"], "not in the range"),
        ([first, "demo", "--gate", "1"], "not in the range"),
        ([first, "demo", "--gate", "nan"], "must be a number"),
        ([first, "demo", "--strict"], "--strict is for --gate"),
        ([first], "Missing argument"),
    ):
        status, out, message = command("compare", *arguments)
        assert (status, out) == (2, ""), arguments
        assert said in message and len(message.splitlines()) <= 2, message


def test_it_needs_no_torch(predictions: Write, tmp_path: Path) -> None:
    first, second = (predictions(n, errors(0.2, seed=s)) for n, s in (("first", 0), ("second", 1)))
    code = (
        "import sys; from analysis.__main__ import main; "
        f"print(main(['compare', {str(first)!r}, {str(second)!r}]), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 False"
