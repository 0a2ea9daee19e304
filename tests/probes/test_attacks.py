"""Attacks against the Adversarial Robustness Toolbox called once for each ε, and one another."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import PyTorchClassifier
from scipy.special import softmax
from torch import Tensor, nn

from analysis.images import Batch, Images, batches
from analysis.networks.classifier import Classifier, build
from analysis.probes import PROBES, Subject, Tables
from analysis.probes.attacks import art_classifier, descend, loss_gradient, perturbed
from analysis.project.errors import UserError
from analysis.results.schemas import FGSM, FGSM_NATIVE, PGD, RANDOM_SIGN, RUN_TABLES
from analysis.study import Study
from tests.conftest import CPU, small_study

EPSILONS = (0.005, 0.015, 0.05)
TABLES = ("attacks", "perturbations")


def study(**attacks: object) -> Study:
    settings = {"epsilons": [0, *EPSILONS], "sample": 20, "sample_epsilons": EPSILONS}
    return small_study(attacks={**settings, **attacks})


@pytest.fixture(scope="module")
def batch(digits: Images) -> Batch:
    return next(batches(digits, digits.positions("test"), device=CPU))


@pytest.fixture(scope="module")
def subject(learned: Classifier, digits: Images) -> Subject:
    """130 images: two batches and a rest."""
    return Subject(study(), study().runs[0], learned, digits, digits.positions("test"))


@pytest.fixture(scope="module")
def tables(subject: Subject) -> Tables:
    return probed(subject)


def probed(subject: Subject) -> Tables:
    done = PROBES["predictions"](subject, {})
    return done | PROBES["attacks"](subject, done)


def losses(classifier: Classifier, pixels: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return -classifier(pixels).log_softmax(dim=1)[torch.arange(len(labels)), labels]


@pytest.mark.parametrize("attack", [FGSM, FGSM_NATIVE])
def test_one_gradient_gives_what_art_gives_once_for_each_epsilon(
    learned: Classifier, batch: Batch, tables: Tables, attack: str
) -> None:
    """Perturbed images bit for bit, and then the predictions for them."""
    pixels = batch.pixels if attack == FGSM_NATIVE else learned.resize(batch.pixels)
    direction = loss_gradient(art_classifier(learned), pixels, batch.labels)
    art = PyTorchClassifier(
        model=learned,
        loss=nn.CrossEntropyLoss(reduction="sum"),
        input_shape=tuple(pixels.shape[1:]),
        nb_classes=10,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    true_labels = np.eye(10, dtype=np.float32)[batch.labels]
    for epsilon, moved in zip(EPSILONS, perturbed(pixels, direction, EPSILONS), strict=True):
        method = FastGradientMethod(art, eps=epsilon, eps_step=epsilon, batch_size=64)
        theirs = method.generate(pixels.numpy(), true_labels)
        assert np.array_equal(moved.numpy(), theirs), f"ε = {epsilon}"
        found = tables["attacks"].query("attack == @attack and epsilon == @epsilon")[:64]
        if len(found):
            logits = art.predict(theirs, batch_size=64)
            assert np.array_equal(found["predicted"], logits.argmax(axis=1))
            expected = softmax(logits, axis=1).max(axis=1)
            np.testing.assert_allclose(found["confidence"], expected, rtol=1e-5)


def test_the_gradient_is_that_of_each_image_s_loss(learned: Classifier, batch: Batch) -> None:
    for pixels in (batch.pixels, learned.resize(batch.pixels)):
        pixels = pixels.clone().requires_grad_()
        loss = F.cross_entropy(learned(pixels), batch.labels)
        (gradient,) = torch.autograd.grad(loss, pixels)
        found = loss_gradient(art_classifier(learned), pixels.detach(), batch.labels)
        # The mean over the batch, and the sum: an image's own.
        assert torch.allclose(found, len(pixels) * gradient, atol=1e-4 * found.abs().max().item())


def test_images_outside_the_sample_are_not_descended(subject: Subject) -> None:
    rest = np.setdiff1d(subject.positions, subject.sample)[:5]
    found = probed(replace(subject, positions=rest))
    assert set(found["attacks"]["attack"]) == {FGSM, RANDOM_SIGN, FGSM_NATIVE}
    for name in TABLES:
        RUN_TABLES[name].validate(found[name])
    assert found["perturbations"].empty


def test_random_signs_begin_with_the_seed_of_the_run(subject: Subject, tables: Tables) -> None:
    generator = torch.Generator().manual_seed(subject.run.seed)
    rows = tables["attacks"].query("attack == @RANDOM_SIGN and epsilon == 0.05")
    predicted = []
    for batch in subject.batches():
        pixels = subject.classifier.resize(batch.pixels)
        moved = pixels + 0.05 * (2.0 * (torch.rand(pixels.shape, generator=generator) >= 0.5) - 1)
        logits = subject.classifier(moved.clamp(0, 1))
        predicted += logits.softmax(dim=1).max(dim=1).values.tolist()
    np.testing.assert_allclose(rows["confidence"], predicted, atol=1e-6)


def test_descent_stays_within_its_size_and_raises_the_loss(
    learned: Classifier, batch: Batch
) -> None:
    pixels, art = learned.resize(batch.pixels), art_classifier(learned)
    direction = loss_gradient(art, pixels, batch.labels)
    for epsilon in EPSILONS:
        often = descend(art, pixels, batch.labels, epsilon=epsilon, steps=10)
        assert 0.9 * epsilon < (often - pixels).abs().max() <= epsilon + 1e-6
        assert often.min() >= 0 and often.max() <= 1
        (once,) = perturbed(pixels, direction, [epsilon])
        after, before = (losses(learned, at, batch.labels).mean() for at in (often, once))
        assert after > before
    # One step of 2.5·ε, brought back to the edge of the ε-ball, is that of the fast method.
    moved = descend(art, pixels, batch.labels, epsilon=0.05, steps=1)
    # In another layout of memory sums round otherwise, and a gradient next to 0 may change sign.
    assert ((moved - once).abs() < 1e-6).float().mean() > 0.999


# ------------------------------------------------------------------------------ the tables


def test_the_tables_are_the_declared_ones(tables: Tables, subject: Subject, digits: Images) -> None:
    for name in TABLES:
        RUN_TABLES[name].validate(tables[name])
    rows = tables["attacks"]
    assert list(dict.fromkeys(rows["attack"])) == [FGSM, RANDOM_SIGN, FGSM_NATIVE, PGD]
    for (attack, epsilon), part in rows.groupby(["attack", "epsilon"]):
        positions = subject.sample if attack == PGD else subject.positions
        assert np.array_equal(part["index"], digits.index[positions])
        assert np.array_equal(part["label"], digits.labels[positions])
        if epsilon == 0:
            for column in ("predicted", "confidence"):
                assert np.array_equal(part[column], tables["predictions"][column])
    epsilons = rows.groupby("attack", sort=False)["epsilon"].unique().map(list).to_dict()
    assert epsilons == {
        FGSM: [0, *EPSILONS],
        RANDOM_SIGN: [0, *EPSILONS],
        FGSM_NATIVE: [0.005, 0.015, 0.035, 0.05],
        PGD: list(EPSILONS),
    }


@pytest.mark.parametrize("epsilon", [0.015, 0.02])
def test_logits_are_kept_at_one_epsilon(subject: Subject, epsilon: float) -> None:
    few = replace(
        subject, study=study(logits_epsilon=epsilon, sample=1), positions=subject.positions[:70]
    )
    rows = probed(few)["attacks"]
    kept = rows[rows["logits"].notna()]
    assert set(zip(kept["attack"], kept["epsilon"], strict=True)) == {(FGSM, epsilon)}
    assert len(kept) == 70
    shares = softmax(np.stack(kept["logits"]).astype(float), axis=1)
    assert np.array_equal(shares.argmax(axis=1), kept["predicted"])
    np.testing.assert_allclose(shares.max(axis=1), kept["confidence"], rtol=1e-5)
    assert set(rows.query("attack == @RANDOM_SIGN")["epsilon"]) == {0, *EPSILONS}


def test_every_attack_is_measured_at_both_resolutions(tables: Tables) -> None:
    table = tables["perturbations"]
    assert set(zip(table["resolution"], table["native"], strict=True)) == {(32, True), (64, False)}
    assert set(table["images"]) == {40}
    table = table.set_index(["attack", "epsilon", "resolution", "measure"]).sort_index()
    assert len(table) == 4 * 3 * 2 * 4
    for epsilon in EPSILONS:
        for attack in (FGSM, RANDOM_SIGN, FGSM_NATIVE, PGD):
            side, other = (32, 64) if attack == FGSM_NATIVE else (64, 32)
            at = table.loc[attack, epsilon]
            assert at.loc[(side, "linf"), "q95"] == pytest.approx(epsilon * 255, rel=1e-3)
            # Resizing takes the mean of neighbours that were moved to different sides.
            assert at.loc[(other, "rms"), "mean"] < at.loc[(side, "rms"), "mean"]


def test_probing_is_repeatable_and_leaves_the_network_alone(
    learned: Classifier, digits: Images
) -> None:
    # Not square, and smaller than the network's input.
    wide = replace(digits, pixels=digits.pixels[:, 8:24])
    chosen = study(sample=4, steps=2)
    subject = Subject(chosen, chosen.runs[0], learned, wide, wide.positions("test")[:70])
    first, again = probed(subject), probed(subject)
    for name in TABLES:
        RUN_TABLES[name].validate(first[name])
        pd.testing.assert_frame_equal(first[name], again[name])
    assert not any(weight.requires_grad for weight in learned.parameters())
    assert not learned.training


@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_other_channels_are_attacked_too(digits: Images, channels: int) -> None:
    chosen = study(sample=4, steps=2, epsilons=[0, 0.05], sample_epsilons=[0.05])
    network = build(chosen.network, classes=10, channels=channels, seed=0, device=CPU).eval()
    pixels = digits.pixels[..., :1].repeat(channels, axis=3)
    images = replace(digits, pixels=pixels)
    subject = Subject(chosen, chosen.runs[0], network, images, images.positions("test")[:70])
    found = probed(subject)
    for name in TABLES:
        RUN_TABLES[name].validate(found[name])
    moved = found["perturbations"].query("measure == 'linf' and resolution == 64")
    assert moved.query("attack == 'fgsm'")["median"].tolist() == pytest.approx([0.05 * 255])


class Detached(nn.Module):
    """A network whose answer depends on nothing, as far as gradients know."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10))

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.detach().mean(dim=(1, 2, 3))[:, None] * torch.arange(10.0)


def test_a_network_without_a_gradient_is_an_error_that_says_so(
    learned: Classifier, digits: Images, batch: Batch
) -> None:
    blind = copy.deepcopy(learned)
    blind.network = Detached().requires_grad_(False)
    message = r"attacks: 'test_resnet' has no gradient to follow; leave out \[attacks\]: Runtime"
    for attacked in (
        lambda: loss_gradient(art_classifier(blind), batch.pixels, batch.labels),
        lambda: descend(art_classifier(blind), batch.pixels, batch.labels, epsilon=0.1, steps=1),
    ):
        with pytest.raises(UserError, match=message):
            attacked()


@pytest.mark.parametrize("name", ["cuda:1", "mps"])
def test_attacks_stay_on_the_device_of_the_network(
    learned: Classifier, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    own, moved = torch.device(name), []
    # As on a computer with two GPUs, of which the first is the current one.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(Classifier, "device", own)
    monkeypatch.setattr(nn.Module, "to", lambda self, device: moved.append(torch.device(device)))
    art = art_classifier(learned)
    assert art.device == moved[-1] == own and torch.device("cuda:0") not in moved
