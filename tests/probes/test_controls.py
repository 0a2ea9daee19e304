"""Descent on every image against that of the attacks, and its controls against plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax

from analysis.images import Images
from analysis.networks.classifier import Classifier
from analysis.probes import PROBES, Subject, Tables
from analysis.probes.controls import control
from analysis.results.schemas import PGD, PGD_MARGIN, PGD_RANDOM, RUN_TABLES
from analysis.results.status import wanted
from tests.conftest import small_study

EPSILON = 0.015
STUDY = small_study(
    attacks={"epsilons": [0, 0.05], "sample": 20, "sample_epsilons": [0.005, EPSILON]}
)
TABLES = ("controls", "gradients")


@pytest.fixture(scope="module")
def subject(learned: Classifier, digits: Images) -> Subject:
    """130 images: two batches and a rest."""
    return Subject(STUDY, STUDY.runs[0], learned, digits, digits.positions("test"))


@pytest.fixture(scope="module")
def tables(subject: Subject) -> Tables:
    return probed(subject)


def probed(subject: Subject) -> Tables:
    done = PROBES["predictions"](subject, {})
    return done | control(subject, done)


def test_the_tables_are_the_declared_ones(tables: Tables, subject: Subject, digits: Images) -> None:
    for name in TABLES:
        RUN_TABLES[name].validate(tables[name])
    rows = tables["controls"]
    assert set(rows["epsilon"]) == {EPSILON}
    assert set(rows["attack"]) == {PGD, PGD_RANDOM, PGD_MARGIN}
    for attack, part in rows.groupby("attack"):
        positions = subject.positions if attack == PGD else subject.sample
        assert np.array_equal(part["index"], digits.index[positions])
        assert np.array_equal(part["label"], digits.labels[positions])
    assert np.array_equal(tables["gradients"]["index"], digits.index[subject.positions])


def test_only_the_first_repeat_has_controls() -> None:
    assert "controls" in wanted(STUDY, 0)
    assert "controls" not in wanted(STUDY, 1) and "attacks" in wanted(STUDY, 1)


def test_descent_on_every_image_ends_where_that_of_the_attacks_on_the_sample_does(
    subject: Subject, tables: Tables
) -> None:
    """Whatever else is in a batch."""
    every = tables["controls"].query("attack == @PGD")
    attacks = PROBES["attacks"](subject, tables)["attacks"]
    sampled = attacks.query("attack == @PGD and epsilon == @EPSILON")
    again = every[every["index"].isin(subject.images.index[subject.sample])]
    assert len(every) == 130 and len(again) == len(sampled) == 40
    columns = ["index", "label", "predicted"]
    assert np.array_equal(again[columns], sampled[columns])
    # Not the end of no descent.
    clean = tables["predictions"]
    assert (every["predicted"] == every["label"]).mean() < (
        clean["predicted"] == clean["label"]
    ).mean()


def test_controls_are_art_s_descent_from_elsewhere_and_on_the_margin(
    subject: Subject, tables: Tables
) -> None:
    learned, (batch,) = subject.classifier, subject.batches(subject.sample)
    pixels = learned.resize(batch.pixels)
    expected = {}
    generator = np.random.RandomState((subject.run.seed, 0))
    start = generator.uniform(-EPSILON, EPSILON, (40, pixels[0].numel())).astype(np.float32)
    for attack, moved in (
        (PGD_RANDOM, (pixels + torch.from_numpy(start).view(pixels.shape)).clamp(0, 1)),
        (PGD_MARGIN, pixels),
    ):
        for _ in range(10):
            moved = moved.detach().requires_grad_()
            logits = learned(moved)
            loss = F.cross_entropy(logits, batch.labels)
            if attack == PGD_MARGIN:
                others = logits - 1e9 * F.one_hot(batch.labels, 10)
                right = logits[torch.arange(40), batch.labels]
                loss = (others.max(dim=1).values - right).mean()
            (gradient,) = torch.autograd.grad(loss, moved)
            moved = (moved + 0.25 * EPSILON * gradient.sign()).clamp(0, 1)
            moved = pixels + (moved - pixels).clamp(-EPSILON, EPSILON)
        expected[attack] = learned(moved).softmax(dim=1).max(dim=1).values.detach()
    for attack, confidence in expected.items():
        rows = tables["controls"].query("attack == @attack")
        # A gradient next to 0 may change sign with the layout of memory.
        close = np.isclose(rows["confidence"], confidence, atol=0.02)
        assert close.mean() > 0.9, attack


def test_gradients_and_margins_are_those_of_the_clean_images(
    subject: Subject, tables: Tables
) -> None:
    rows, batch = tables["gradients"], next(subject.batches())
    pixels = subject.classifier.resize(batch.pixels).requires_grad_()
    for number in range(3):
        loss = F.cross_entropy(subject.classifier(pixels[[number]]), batch.labels[[number]])
        (gradient,) = torch.autograd.grad(loss, pixels)
        assert rows["largest"][number] == pytest.approx(gradient.abs().max().item(), rel=1e-2)
        zero = (gradient[number] == 0).double().mean().item()
        assert rows["zero"][number] == pytest.approx(zero, abs=1e-3)
    for row, prediction in zip(
        rows.itertuples(index=False), tables["predictions"].itertuples(index=False), strict=True
    ):
        others = np.delete(prediction.logits, prediction.label)
        assert row.margin == pytest.approx(prediction.logits[prediction.label] - others.max())
        assert (row.index, row.label) == (prediction.index, prediction.label)


def test_logits_are_kept_under_every_attack(subject: Subject) -> None:
    changed = STUDY.attacks.model_copy(update={"logits_epsilon": 0.02, "steps": 2})
    study = STUDY.model_copy(update={"attacks": changed})
    rows = probed(replace(subject, study=study, positions=subject.positions[:70]))["controls"]
    assert set(rows["epsilon"]) == {0.02} and (rows["attack"] == PGD).sum() == 70
    shares = softmax(np.stack(rows["logits"]).astype(float), axis=1)
    assert np.array_equal(shares.argmax(axis=1), rows["predicted"])
    np.testing.assert_allclose(shares.max(axis=1), rows["confidence"], rtol=1e-5)


def test_images_outside_the_sample_are_descended_from_once(subject: Subject) -> None:
    rest = np.setdiff1d(subject.positions, subject.sample)[:5]
    few = replace(subject, positions=rest)
    done = PROBES["predictions"](few, {})
    found = control(few, done)
    for name in TABLES:
        RUN_TABLES[name].validate(found[name])
    assert found["controls"]["attack"].tolist() == [PGD] * 5


def test_probing_is_repeatable_and_leaves_the_network_alone(
    learned: Classifier, digits: Images
) -> None:
    # Not square, and smaller than the network's input.
    wide = replace(digits, pixels=digits.pixels[:, 8:24])
    changed = STUDY.attacks.model_copy(update={"sample": 4, "steps": 2})
    study = STUDY.model_copy(update={"attacks": changed})
    subject = Subject(study, study.runs[0], learned, wide, wide.positions("test")[:70])
    first = probed(subject)
    # Random starts depend on the run's seed alone, and NumPy's generator is left as it was.
    np.random.seed(1)
    expected = np.random.RandomState(1).uniform()
    again = probed(subject)
    assert np.random.uniform() == expected
    for name in TABLES:
        RUN_TABLES[name].validate(first[name])
        pd.testing.assert_frame_equal(first[name], again[name])
    assert not any(weight.requires_grad for weight in learned.parameters())
    assert not learned.training
