"""FGSM against the Adversarial Robustness Toolbox called once for each ε, and its control."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from torch import Tensor

from analysis import attack as attacks
from analysis import datasets, probes, study, trained
from analysis.attack import FGSM, RANDOM_SIGN, art_classifier, gradient_sign, perturbed
from analysis.batches import Batch, batches
from analysis.datasets import ImageSet
from analysis.model import Classifier
from analysis.prediction import predict
from analysis.split import divide
from analysis.tables import SCHEMAS
from tests.conftest import CPU, data_file, small_study

EPSILONS = [0, 0.0025, 0.015, 0.05, 0.3]


@pytest.fixture(scope="module")
def batch(digits: ImageSet) -> Batch:
    return next(batches(digits, digits.positions("test"), device=CPU))


@pytest.fixture(scope="module")
def rows(learned: Classifier, batch: Batch) -> pd.DataFrame:
    return attacked(learned, batch)


def attacked(classifier: Classifier, batch: Batch, epsilons=EPSILONS) -> pd.DataFrame:
    return attacks.attack(
        art_classifier(classifier),
        classifier,
        batch,
        clean=predict(classifier, batch),
        epsilons=epsilons,
        generator=torch.Generator().manual_seed(1),
    )


def assert_equal_to_art(classifier: Classifier, batch: Batch, epsilons: list[float]) -> None:
    """Compare perturbed images bit for bit, and then the predictions for them."""
    pixels = classifier.resize(batch.pixels)
    true_labels = np.eye(10, dtype=np.float32)[batch.labels]
    direction = gradient_sign(art_classifier(classifier), pixels, batch.labels)
    ours = perturbed(pixels, direction, epsilons)
    table = attacked(classifier, batch, [0, *epsilons]).query("attack == 'fgsm'")
    art = art_classifier(classifier)
    for epsilon, moved in zip(epsilons, ours, strict=True):
        method = FastGradientMethod(art, eps=epsilon, eps_step=epsilon, batch_size=len(pixels))
        theirs = method.generate(pixels.numpy(), true_labels)
        assert np.array_equal(moved.numpy(), theirs), f"ε = {epsilon}"
        logits = art.predict(theirs, batch_size=len(pixels))
        found = table[table["epsilon"] == epsilon]
        assert np.array_equal(found["predicted"], logits.argmax(axis=1))


# ------------------------------------------------------------------------------ FGSM


def test_one_gradient_gives_what_art_gives_once_for_each_epsilon(
    learned: Classifier, batch: Batch
) -> None:
    assert_equal_to_art(learned, batch, EPSILONS[1:])


def test_the_same_holds_for_a_network_of_the_real_study(tmp_path: Path) -> None:
    chosen = study.load("svhn-subset")
    finished = [run for run in chosen.runs if trained.weights(chosen, run).is_file()]
    if not finished:
        pytest.skip("no run of svhn-subset has been trained here")
    images = datasets.load(chosen, data_file("svhn_subset.npz").parent)
    classifier, _ = trained.read(chosen, finished[0], device=CPU)
    _, evaluated = divide(chosen, finished[0], images)
    batch = next(batches(images, evaluated[:32], device=CPU))
    assert (predict(classifier, batch).query("label == predicted").shape[0]) > 24
    assert_equal_to_art(classifier, batch, [0.0025, 0.015, 0.05])


def test_the_sign_is_that_of_the_loss_s_gradient(learned: Classifier, batch: Batch) -> None:
    """By finite differences of the cross-entropy, computed here in float64."""
    network = learned.double()
    try:
        # Noise, because equal neighbours put the maximum of a pooling window on an edge.
        noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        pixels = 0.8 * network.resize(batch.pixels[:1].double()) + 0.2 * noise
        label = batch.labels[:1]

        def loss(at: Tensor) -> float:
            with torch.no_grad():
                return -network(at).log_softmax(dim=1)[0, label].item()

        direction = gradient_sign(art_classifier(network), pixels, label)
        generator = np.random.default_rng(0)
        slopes = {}
        for place in zip(*(generator.integers(0, s, 40) for s in (3, 64, 64)), strict=True):
            step = torch.zeros_like(pixels)
            step[(0, *place)] = 1e-6
            slopes[place] = (loss(pixels + step) - loss(pixels - step)) / 2e-6
    finally:
        learned.float()
    steep = {place: slope for place, slope in slopes.items() if abs(slope) > 1e-7}
    assert len(steep) > 20
    for place, slope in steep.items():
        assert direction[(0, *place)] == np.sign(slope)


def test_one_gradient_serves_all(
    learned: Classifier, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    art = art_classifier(learned)
    original, calls = art.loss_gradient, []

    def counted(*arguments: object) -> Tensor:
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(art, "loss_gradient", counted)
    attacks.attack(
        art,
        learned,
        batch,
        clean=predict(learned, batch),
        epsilons=EPSILONS,
        generator=torch.Generator().manual_seed(1),
    )
    assert len(calls) == 1


def test_no_perturbation_leaves_its_size_or_the_range_of_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(8, 3, 16, 16, generator=generator)
    pixels[0], pixels[1] = 0, 1
    direction = torch.randn(pixels.shape, generator=generator).sign()
    for epsilon, moved in zip(EPSILONS, perturbed(pixels, direction, EPSILONS), strict=True):
        assert (moved - pixels).abs().max() <= epsilon + 1e-7
        assert moved.min() >= 0
        assert moved.max() <= 1
        inside = (pixels > epsilon) & (pixels < 1 - epsilon)
        change = (moved - pixels)[inside]
        assert torch.allclose(change, (epsilon * direction)[inside], atol=1e-6)


def test_no_weight_gets_a_gradient(learned: Classifier, batch: Batch) -> None:
    attacked(learned, batch)
    assert all(weight.grad is None for weight in learned.parameters())
    assert not any(weight.requires_grad for weight in learned.parameters())
    assert not learned.training


def test_it_does_more_harm_than_random_signs(rows: pd.DataFrame) -> None:
    right = (rows["label"] == rows["predicted"]).groupby([rows["attack"], rows["epsilon"]]).mean()
    assert right[FGSM, 0.05] < 0.5 * right[FGSM, 0.0]
    assert right[RANDOM_SIGN, 0.05] > 0.9 * right[FGSM, 0.0]


# ------------------------------------------------------------------------------ random signs


def test_random_signs_are_signs_with_equal_chances() -> None:
    signs = attacks.random_sign(
        torch.zeros(64, 3, 64, 64), generator=torch.Generator().manual_seed(0)
    )
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(signs.mean().item()) < 5 / np.sqrt(signs.numel())
    assert abs((signs[:, 1:] * signs[:, :-1]).mean().item()) < 5 / np.sqrt(signs.numel() / 1.5)


def test_a_draw_in_the_very_middle_has_a_sign_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.full(shape, 0.5))
    signs = attacks.random_sign(torch.zeros(1, 3, 2, 2), generator=torch.Generator())
    assert (signs.abs() == 1).all()


def test_one_pattern_serves_every_epsilon(
    learned: Classifier, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(pixels: Tensor, direction: Tensor, epsilons: list[float]):
        for epsilon, moved in zip(epsilons, perturbed(pixels, direction, epsilons), strict=True):
            seen.append((epsilon, pixels, moved))
            yield moved

    monkeypatch.setattr(attacks, "perturbed", watched)
    attacked(learned, batch)
    assert [epsilon for epsilon, *_ in seen] == 2 * EPSILONS[1:], "once by FGSM, once at random"
    signs = []
    for epsilon, pixels, moved in seen[4:]:
        inside = (pixels > 0.31) & (pixels < 0.69)
        signs.append((moved - pixels).sign()[inside])
        assert torch.allclose((moved - pixels).abs()[inside], torch.tensor(epsilon), atol=1e-6)
    assert len(signs[0]) > 1000
    assert all(torch.equal(signs[0], other) for other in signs[1:])


def test_each_image_and_each_batch_has_a_pattern_of_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (
        attacks.random_sign(torch.zeros(2, 3, 8, 8), generator=generator) for _ in range(2)
    )
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


# ------------------------------------------------------------------------------ the table


def test_the_table_is_the_declared_one(rows: pd.DataFrame) -> None:
    SCHEMAS["attacks"].validate(rows)
    assert len(rows) == 64 * 2 * len(EPSILONS)
    assert (rows.groupby(["attack", "epsilon"]).size() == 64).all()


def test_without_perturbation_the_predictions_stand(
    rows: pd.DataFrame, learned: Classifier, batch: Batch
) -> None:
    clean = predict(learned, batch)
    for name in (FGSM, RANDOM_SIGN):
        still = rows[(rows["attack"] == name) & (rows["epsilon"] == 0)]
        for column in ("index", "label", "predicted", "confidence"):
            assert np.array_equal(still[column], clean[column]), column


def test_batches_are_matched_with_their_predictions(learned: Classifier, digits: ImageSet) -> None:
    """130 images are two batches and a rest."""
    small = small_study()
    test = digits.positions("test")
    subject = probes.Subject(small, small.runs[0], learned, digits, test)
    clean = probes.predictions(subject, {})
    rows = probes.attacks(subject, clean)["attacks"]
    SCHEMAS["attacks"].validate(rows)
    for (_, epsilon), part in rows.groupby(["attack", "epsilon"]):
        assert np.array_equal(part["index"], digits.index[test])
        assert np.array_equal(part["label"], digits.labels[test])
        assert epsilon in small.attack.epsilons
    again = probes.attacks(subject, clean)["attacks"]
    pd.testing.assert_frame_equal(rows, again)
