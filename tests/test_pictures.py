"""Which single images are shown, what is drawn of them, and where that may lie."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from PIL import Image
from scipy.special import softmax

from analysis import attack, datasets, panels, paths, pictures, results, saliency, study
from analysis.batches import batches
from analysis.datasets import ImageSet
from analysis.errors import UserError
from analysis.model import Classifier
from analysis.pictures import CONFUSION, ERROR, FLIPPED, SUSPECT
from tests.conftest import CPU
from tests.playground import Playground, run_main

EPSILON = 0.015


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


# ------------------------------------------------------------------------------ choosing


def tables(*, images: int = 400, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return made-up predictions of two repeats, the same under attack, and suspects."""
    draw = np.random.default_rng(seed)
    label = draw.integers(0, 10, images)
    clean, attacked = [], []
    for run, wrong in (("r0f0", 0.2), ("r1f0", 0.3)):
        index = draw.permutation(images)
        names = [f"logit_{digit}" for digit in range(10)]
        for kind, share in ((clean, wrong), (attacked, 0.6)):
            missed = draw.random(images) < share
            away = label[index] + missed * draw.integers(1, 4, images)
            logits = draw.normal(size=(images, 10))
            logits[np.arange(images), away % 10] += 6
            rows = pd.DataFrame(logits.astype(np.float32), columns=names)
            rows = rows.assign(run=run, split="test", index=index, label=label[index])
            sure = softmax(logits, axis=1).max(axis=1)
            kind.append(rows.assign(predicted=logits.argmax(axis=1), confidence=sure))
    predictions, under = pd.concat(clean), pd.concat(attacked)
    wrong = predictions[predictions["label"] != predictions["predicted"]]
    both = wrong[wrong.duplicated(["index", "predicted"], keep=False)]
    suspects = both.drop_duplicates("index")[["index", "label", "predicted", "confidence"]]
    return predictions, under.drop(columns=["split", "confidence"]), suspects


def test_the_chosen_images_follow_the_rules() -> None:
    predictions, under, suspects = tables()
    chosen = pictures.choose(predictions, under, suspects)
    # In plain loops, over all rows from the surest down.
    rows = sorted(predictions.to_dict("records"), key=lambda row: -row["confidence"])
    wrong = [row for row in rows if row["label"] != row["predicted"]]
    counts: dict[tuple[int, int], int] = {}
    for row in wrong:
        pair = (row["label"], row["predicted"])
        counts[pair] = counts.get(pair, 0) + 1
    shown: set[int] = set()
    expected: list[tuple[str, str, int]] = []

    def take(group: str, row: dict) -> None:
        shown.add(row["index"])
        expected.append((group, row["run"], row["index"]))

    for pair in sorted(counts, key=lambda pair: (-counts[pair], pair))[:6]:
        of_pair = [row for row in wrong if (row["label"], row["predicted"]) == pair]
        take(CONFUSION, next(row for row in of_pair if row["index"] not in shown))
    named = {(row["index"], row["predicted"]) for row in suspects.to_dict("records")}
    for group, allowed in (
        (SUSPECT, [row for row in wrong if (row["index"], row["predicted"]) in named]),
        (ERROR, wrong),
    ):
        for row in allowed:
            if row["index"] not in shown and sum(one[0] == group for one in expected) < 8:
                take(group, row)
    right = {(r["run"], r["index"]): r for r in rows if r["label"] == r["predicted"]}
    logits = under[[f"logit_{digit}" for digit in range(10)]].to_numpy(float)
    order = np.argsort(-softmax(logits, axis=1).max(axis=1))
    digits: set[int] = set()
    for row in under.iloc[order].to_dict("records"):
        found = right.get((row["run"], row["index"]))
        flips = found and row["predicted"] != row["label"] and row["index"] not in shown
        if flips and row["label"] not in digits and len(digits) < 4:
            digits.add(row["label"])
            expected.append((FLIPPED, row["run"], row["index"]))
    assert list(chosen[["group", "run", "index"]].itertuples(index=False, name=None)) == expected
    assert set(chosen["group"]) == set(pictures.GROUPS) and len(expected) == 6 + 8 + 8 + 4


def test_no_image_stands_twice_and_what_is_chosen_is_a_row_of_the_table() -> None:
    predictions, under, suspects = tables(images=40, seed=2)
    chosen = pictures.choose(predictions, under, suspects)
    assert not chosen.duplicated(["split", "index"]).any()
    columns = ["run", "split", "index", "label", "predicted", "confidence"]
    assert len(chosen.merge(predictions[columns])) == len(chosen) > 10


def test_a_network_without_a_fault_has_nothing_to_show() -> None:
    predictions, under, suspects = tables(images=40)
    predictions["predicted"], under["predicted"] = predictions["label"], under["label"]
    assert pictures.choose(predictions, under, suspects.head(0)).empty


# ------------------------------------------------------------------------------ drawing


@pytest.fixture(scope="module")
def few(digits: ImageSet) -> ImageSet:
    """Small digits in colour, so that the channels cannot be mixed up."""
    tint = np.array([1.0, 0.7, 0.4])
    return replace(digits, images=(digits.images * tint).astype(np.uint8))


def test_panels_are_what_attack_and_saliency_give(learned: Classifier, few: ImageSet) -> None:
    (batch,) = batches(few, few.positions("test")[:12], device=CPU)
    layer = "layer3.0"
    found = panels.panels(learned, batch, layer=layer, epsilon=EPSILON)
    clean = learned.resize(batch.pixels)
    fgsm = FastGradientMethod(attack.art_classifier(learned), eps=EPSILON, batch_size=12)
    attacked = torch.from_numpy(fgsm.generate(clean.numpy(), batch.labels.numpy()))
    torch.testing.assert_close(found.attacked, attacked, atol=1e-6, rtol=0)
    expected = (0.5 + 20 * (attacked - clean)).clamp(0, 1)
    torch.testing.assert_close(found.perturbation, expected, atol=1e-4, rtol=0)
    assert found.clean is batch.pixels
    for number, seen in enumerate((clean, attacked)):
        logits = softmax(learned(seen).numpy(), axis=1)
        assert np.array_equal(found.predicted[number], logits.argmax(axis=1))
        np.testing.assert_allclose(found.confidence[number], logits.max(axis=1), atol=1e-5)
        maps = saliency.grad_cam(learned, seen, layers=[layer])[1][layer].numpy()
        there = found.mapped[number].numpy()
        assert np.array_equal(there, maps.max(axis=(1, 2)) > 0) and there.any()
        places = (np.arange(64) + 0.5) / 64 * 4 - 0.5
        for image in np.flatnonzero(there):
            rows = np.array([np.interp(places, np.arange(4), row) for row in maps[image]])
            large = np.array([np.interp(places, np.arange(4), row) for row in rows.T]).T
            np.testing.assert_allclose(found.maps[number][image], large / large.max(), atol=1e-3)


def test_files_hold_what_is_drawn() -> None:
    pixels = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
    image = decoded(panels.png(pixels))
    assert image.shape == (5, 7, 3) and image.dtype == np.uint8
    np.testing.assert_allclose(image / 255, pixels.permute(1, 2, 0), atol=0.5 / 255 + 1e-6)
    strength = torch.linspace(0, 1, 35).view(5, 7)
    veil = decoded(panels.veil(strength))
    assert veil.shape == (5, 7, 4)
    assert len(np.unique(veil[..., :3].reshape(-1, 3), axis=0)) == 1
    np.testing.assert_allclose(veil[..., 3] / veil[..., 3].max(), strength, atol=0.01)
    assert 0.6 < veil[..., 3].max() / 255 < 0.75


def test_a_map_that_is_zero_everywhere_stays_zero() -> None:
    assert torch.equal(panels.upsampled(torch.zeros(2, 4, 4), size=8), torch.zeros(2, 8, 8))


# ------------------------------------------------------------------------------ the command


@pytest.fixture
def apart(finished: Playground, monkeypatch: pytest.MonkeyPatch) -> Playground:
    """A finished study whose pictures lie in its own folder."""
    monkeypatch.setattr(paths, "ROOT", finished.folder)
    return finished


def drawn(place: Playground) -> Path:
    return place.folder / "build" / "pictures" / "tiny.parquet"


def test_the_command_draws_the_chosen_images_with_their_own_networks(apart, command) -> None:
    status, out, errors = command("pictures", apart.study, "--device", "cpu")
    assert (status, errors) == (0, "")
    assert out.split()[0] == str(drawn(apart))
    stored = results.load("tiny")
    table = pictures.read(stored)
    chosen = pictures.of_results(stored)
    columns = ["group", "run", "split", "index"]
    pd.testing.assert_frame_equal(table[columns], chosen[columns])
    assert {CONFUSION, ERROR} <= set(table["group"]) and set(table["run"]) == {"r0f0", "r1f0"}
    # The networks see here what they saw when the tables were made.
    assert np.array_equal(table["predicted"], chosen["predicted"])
    np.testing.assert_allclose(table["confidence"], chosen["confidence"], atol=1e-4)
    under = table.merge(stored.table("attacked"), on=["run", "index"], validate="one_to_one")
    assert (under["attacked_predicted"] == under["predicted_y"]).mean() > 0.9
    images = datasets.load(stored.study, apart.folder)
    for row in table.itertuples():
        place = np.flatnonzero((images.split == row.split) & (images.index == row.index))[0]
        assert np.array_equal(decoded(row.clean), images.images[place])
        assert row.label == images.labels[place]
        assert decoded(row.attacked).shape == (64, 64, 3)
    once = drawn(apart).read_bytes()
    assert command("pictures", apart.study, "--device", "cpu")[0] == 0
    assert drawn(apart).read_bytes() == once


def refused(outcome: tuple[int, str, str], *words: str) -> None:
    status, out, errors = outcome
    assert (status, out) == (1, "")
    assert len(errors.strip().splitlines()) == 2 and "Traceback" not in errors
    assert not [word for word in words if word not in errors], errors


def test_missing_weights_are_named_with_what_to_do(apart, command) -> None:
    first, second = apart.weights()
    second.unlink()
    refused(command("pictures", apart.study), "r1f0", str(second), "FAILURE_MODES_CACHE")
    shutil.copy(first, second)
    refused(command("pictures", apart.study), str(second), "other weights", "analysis run tiny")
    assert not drawn(apart).exists()


def test_missing_and_other_data_are_told(apart, command, monkeypatch) -> None:
    images = datasets.load(study.load(apart.study), apart.folder)
    other = replace(images, images=255 - images.images)
    monkeypatch.setattr(panels.datasets, "load", lambda study, folder: other)
    refused(command("pictures", apart.study), "not those behind the results", "--data")

    def nothing(study: object, folder: Path) -> ImageSet:
        raise UserError(f"There is no svhn_subset.npz in {folder}.\nPut it there.")

    monkeypatch.setattr(panels.datasets, "load", nothing)
    refused(command("pictures", apart.study, "--data", apart.folder), "svhn_subset.npz")


def test_a_study_without_results_has_nothing_to_choose_from(playground, command) -> None:
    refused(command("pictures", playground.study), "holds no results", "analysis run")


def test_pictures_of_other_results_and_damaged_ones_are_not_shown(apart) -> None:
    stored = results.load("tiny")
    with pytest.raises(pictures.NotThere, match="There are no pictures of tiny"):
        pictures.read(stored)
    assert run_main("pictures", apart.study, "--device", "cpu") == 0
    assert len(pictures.read(stored)) > 5
    runs = dict(stored.manifest.runs)
    training = runs["r0f0"].training.model_copy(update={"weights_sha256": "0" * 64})
    runs["r0f0"] = runs["r0f0"].model_copy(update={"training": training})
    with pytest.raises(pictures.NotThere, match=r"other results of tiny\.\nDraw them with"):
        pictures.read(stored.with_manifest(runs=runs))
    content = drawn(apart).read_bytes()
    drawn(apart).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="truncated or altered"):
        pictures.read(stored)


# ------------------------------------------------------------------------------ where they lie


def test_only_pictures_of_drawn_digits_are_where_git_looks() -> None:
    for name in study.names():
        chosen = study.load(name)
        place = pictures.path(chosen).relative_to(paths.ROOT)
        kept = place.parts[:2] == ("build", "pictures")
        assert kept == (chosen.data.name == "streetdigits")
        assert kept or place.parts[:2] == ("build", "local")


def test_the_committed_pictures_are_of_the_committed_results_and_of_drawn_digits() -> None:
    folder = paths.ROOT / "build" / "pictures"
    assert [path.name for path in folder.iterdir()] == ["demo.parquet"]
    stored = results.load("demo", folder=paths.ROOT / "build" / "results" / "demo")
    table = pictures.read(stored)
    images = datasets.load(stored.study, folder)
    for row in table.itertuples():
        place = np.flatnonzero((images.split == row.split) & (images.index == row.index))[0]
        assert np.array_equal(decoded(row.clean), images.images[place])
