"""The control attacks against the Adversarial Robustness Toolbox, and against one another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from scipy.special import softmax
from torch import Tensor

from analysis import controls, probes
from analysis.attack import art_classifier, gradient_sign, perturbed
from analysis.batches import Batch, batches
from analysis.controls import NATIVE, PGD, attack_native, descend
from analysis.datasets import ImageSet
from analysis.model import Classifier
from analysis.tables import SCHEMAS
from tests.conftest import CPU, small_study

EPSILONS = (0.005, 0.015, 0.05)
STUDY = small_study(
    attack={"epsilons": [0, *EPSILONS]}, controls={"photos": 20, "epsilons": EPSILONS}
)
TABLES = ("controls", "attacked", "perturbations")


@pytest.fixture(scope="module")
def batch(digits: ImageSet) -> Batch:
    return next(batches(digits, digits.positions("test"), device=CPU))


@pytest.fixture(scope="module")
def subject(learned: Classifier, digits: ImageSet) -> probes.Subject:
    """130 images: two batches and a rest."""
    return probes.Subject(STUDY, STUDY.runs[0], learned, digits, digits.positions("test"))


@pytest.fixture(scope="module")
def tables(subject: probes.Subject) -> dict[str, pd.DataFrame]:
    done = probes.predictions(subject, {})
    return done | probes.attacks(subject, done) | probes.controls(subject, {})


def accuracy(rows: pd.DataFrame) -> pd.Series:
    return (rows["label"] == rows["predicted"]).groupby([rows["attack"], rows["epsilon"]]).mean()


def losses(classifier: Classifier, pixels: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return -classifier(pixels).log_softmax(dim=1)[torch.arange(len(labels)), labels]


# ------------------------------------------------------------------------------ native pixels


def test_one_native_gradient_gives_what_art_gives_once_for_each_epsilon(
    learned: Classifier, batch: Batch
) -> None:
    native = art_classifier(learned, size=32)
    table = attack_native(native, learned, batch, epsilons=EPSILONS)
    direction = gradient_sign(native, batch.pixels, batch.labels)
    for epsilon, moved in zip(EPSILONS, perturbed(batch.pixels, direction, EPSILONS), strict=True):
        art = art_classifier(learned, size=32)
        method = FastGradientMethod(art, eps=epsilon, eps_step=epsilon, batch_size=64)
        theirs = method.generate(batch.pixels.numpy(), np.eye(10, dtype=np.float32)[batch.labels])
        assert theirs.shape == (64, 3, 32, 32)
        assert np.array_equal(moved.numpy(), theirs), f"ε = {epsilon}"
        logits = art.predict(theirs, batch_size=64)
        found = table[table["epsilon"] == epsilon]
        assert np.array_equal(found["predicted"], logits.argmax(axis=1))
        expected = softmax(logits, axis=1).max(axis=1)
        np.testing.assert_allclose(found["confidence"], expected, rtol=1e-5)
        assert np.array_equal(found["index"], batch.index)
        assert np.array_equal(found["label"], batch.labels)


def test_the_native_gradient_went_back_through_the_resize(
    learned: Classifier, batch: Batch
) -> None:
    resized, back = torch.func.vjp(learned.resize, batch.pixels)
    one_hot = torch.nn.functional.one_hot(batch.labels, 10)
    (expected,) = back(art_classifier(learned).loss_gradient(resized, one_hot))
    direction = gradient_sign(art_classifier(learned, size=32), batch.pixels, batch.labels)
    assert (direction == expected.sign()).float().mean() > 0.999


def test_one_native_gradient_serves_all(
    learned: Classifier, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    art = art_classifier(learned, size=32)
    original, calls = art.loss_gradient, []

    def counted(*arguments: object) -> Tensor:
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(art, "loss_gradient", counted)
    attack_native(art, learned, batch, epsilons=EPSILONS)
    assert len(calls) == 1


# ------------------------------------------------------------------------------ many steps


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_descent_stays_within_its_size_and_the_range_of_pixels(
    learned: Classifier, batch: Batch, epsilon: float
) -> None:
    pixels = learned.resize(batch.pixels)
    art = art_classifier(learned)
    moved = descend(art, pixels, batch.labels, epsilon=epsilon, steps=4)
    assert moved.shape == pixels.shape and moved.dtype == pixels.dtype
    assert (moved - pixels).abs().max() <= epsilon + 1e-6
    assert (moved - pixels).abs().max() > 0.9 * epsilon
    assert moved.min() >= 0 and moved.max() <= 1
    again = descend(art, pixels, batch.labels, epsilon=epsilon, steps=4)
    assert torch.equal(moved, again), "nothing is left to chance"


def test_one_step_is_the_fast_gradient_sign_method(learned: Classifier, batch: Batch) -> None:
    """A step of 2.5·ε, brought back to the edge of the ε-ball."""
    pixels, art = learned.resize(batch.pixels), art_classifier(learned)
    moved = descend(art, pixels, batch.labels, epsilon=0.02, steps=1)
    (expected,) = perturbed(pixels, gradient_sign(art, pixels, batch.labels), [0.02])
    # In another layout of memory sums round otherwise, and a gradient next to 0 may change sign.
    assert ((moved - expected).abs() < 1e-6).float().mean() > 0.999


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_ten_steps_raise_the_loss_above_that_of_one(
    learned: Classifier, batch: Batch, epsilon: float
) -> None:
    pixels, art = learned.resize(batch.pixels), art_classifier(learned)
    (once,) = perturbed(pixels, gradient_sign(art, pixels, batch.labels), [epsilon])
    often = descend(art, pixels, batch.labels, epsilon=epsilon, steps=10)
    assert losses(learned, often, batch.labels).mean() > losses(learned, once, batch.labels).mean()


def test_the_descent_is_at_least_as_strong_on_the_same_images(
    tables: dict[str, pd.DataFrame],
) -> None:
    descent = tables["controls"].query("attack == @PGD")
    once = tables["attacks"].query("attack == 'fgsm' and epsilon > 0")
    once = once[once["index"].isin(descent["index"])]
    assert len(once) == len(descent) == 40 * 3
    after, before = accuracy(descent)[PGD], accuracy(once)["fgsm"]
    assert (after <= before + 1 / 40).all()
    assert after.mean() < before.mean()


# ------------------------------------------------------------------------------ the tables


def test_the_tables_are_the_declared_ones(tables: dict[str, pd.DataFrame]) -> None:
    for name in TABLES:
        SCHEMAS[name].validate(tables[name])
    assert list(tables["controls"].columns) == list(tables["attacks"].columns)
    sizes = tables["controls"].groupby(["attack", "epsilon"]).size()
    assert sizes[NATIVE].to_dict() == dict.fromkeys((0.005, 0.015, 0.035, 0.05), 130)
    assert sizes[PGD].to_dict() == dict.fromkeys(EPSILONS, 40)


def test_the_descent_is_on_the_sample_of_photos(
    tables: dict[str, pd.DataFrame], subject: probes.Subject, digits: ImageSet
) -> None:
    for _, rows in tables["controls"].query("attack == @PGD").groupby("epsilon"):
        assert np.array_equal(rows["index"], digits.index[subject.sample])
        assert np.array_equal(rows["label"], digits.labels[subject.sample])
    assert set(tables["perturbations"]["images"]) == {40}


def test_logits_under_attack_are_those_of_the_attack_s_own_rows(
    tables: dict[str, pd.DataFrame],
) -> None:
    attacked = tables["attacked"]
    rows = tables["attacks"].query("attack == 'fgsm' and epsilon == 0.015")
    assert set(attacked["epsilon"]) == {0.015}
    for column in ("index", "label", "predicted"):
        assert np.array_equal(attacked[column], rows[column]), column
    logits = attacked[[f"logit_{digit}" for digit in range(10)]].to_numpy(float)
    assert np.array_equal(logits.argmax(axis=1), attacked["predicted"])
    np.testing.assert_allclose(softmax(logits, axis=1).max(axis=1), rows["confidence"], rtol=1e-5)


def test_every_attack_is_measured_at_both_resolutions(tables: dict[str, pd.DataFrame]) -> None:
    table = tables["perturbations"]
    table = table.set_index(["attack", "epsilon", "resolution", "measure"]).sort_index()
    assert len(table) == 4 * 3 * 2 * 4
    for epsilon in EPSILONS:
        for attack in ("fgsm", "random-sign", NATIVE, PGD):
            side, other = (32, 64) if attack == NATIVE else (64, 32)
            at = table.loc[attack, epsilon]
            assert at.loc[(side, "linf"), "q95"] == pytest.approx(epsilon * 255, rel=1e-3)
            assert at.loc[(other, "linf"), "q95"] <= epsilon * 255 * 1.001
            # Resizing takes the mean of neighbours that were moved to different sides.
            assert at.loc[(other, "rms"), "mean"] < at.loc[(side, "rms"), "mean"]
            for resolution in (side, other):
                ratio, size = (at.loc[(resolution, name), "median"] for name in ("psnr", "rms"))
                assert ratio == pytest.approx(20 * np.log10(255 / size), abs=0.01)


def test_a_study_without_a_resize_has_one_resolution(learned: Classifier, batch: Batch) -> None:
    resized = Batch(
        pixels=learned.resize(batch.pixels[:2]),
        labels=batch.labels[:2],
        split=batch.split[:2],
        index=batch.index[:2],
        photo=batch.photo[:2],
    )
    art = art_classifier(learned)
    found = controls.sampled(
        controls.Views(art, art),
        learned,
        resized,
        settings=small_study(controls={"steps": 1, "epsilons": [0.05]}).controls,
        generator=torch.Generator().manual_seed(0),
    )
    assert set(found.changes["resolution"]) == {64}
    assert not found.changes.duplicated(["attack", "measure", "value"]).all()


def test_a_fold_without_a_sampled_photo_has_no_sampled_rows(subject: probes.Subject) -> None:
    rest = np.setdiff1d(subject.positions, subject.sample)[:2]
    small = probes.Subject(STUDY, subject.run, subject.classifier, subject.images, rest)
    found = probes.controls(small, {})
    for name in TABLES:
        SCHEMAS[name].validate(found[name])
    assert set(found["controls"]["attack"]) == {NATIVE}
    assert len(found["attacked"]) == 2 and found["perturbations"].empty


def test_controls_are_the_same_each_time_and_leave_the_network_alone(
    learned: Classifier, digits: ImageSet
) -> None:
    study = small_study(controls={"photos": 4, "steps": 2})
    subject = probes.Subject(study, study.runs[0], learned, digits, digits.positions("test")[:70])
    first, again = probes.controls(subject, {}), probes.controls(subject, {})
    for name in TABLES:
        pd.testing.assert_frame_equal(first[name], again[name])
    assert all(weight.grad is None for weight in learned.parameters())
    assert not any(weight.requires_grad for weight in learned.parameters())
    assert not learned.training
