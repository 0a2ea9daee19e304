"""Made-up evidence with known effects: classes as in SVHN, errors that cluster.

An image is an error in a repeat where a normal variable falls below its class's quantile. The
variable is shared in part by the digits of one photo and by the repeats, so that errors cluster by
photo and hard images are hard for every network, while each class's error is exactly as asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from analysis.evidence import FGSM, RANDOM_SIGN, Attacked, Evidence
from analysis.resampling import Resamples

# Images of each digit among SVHN's first 10,000 test images.
CLASS_SIZES = np.array([684, 1968, 1590, 1104, 964, 909, 773, 767, 621, 620])
SHARED_BY_PHOTO, SHARED_BY_REPEATS = 0.2, 0.5
SMALLEST = 0.0025


@dataclass(frozen=True)
class World:
    """What is true: the error of each digit, what it is taken for, and all other effects.

    ``answers`` (10, 10) is the chance of each wrong answer; ``collapse`` the share of right images
    left at the middle ε, ``left`` the accuracy at the largest, ``lost`` what random signs cost;
    ``diffuse`` the difference of {8, 9} to the rest in standard deviations; ``flips`` the chance
    to be flipped at the smallest ε for images that other repeats get right, and wrong; ``sure`` the
    share of errors with high confidence; ``doubt`` how far confidence falls under attack.
    """

    error: np.ndarray = field(default_factory=lambda: np.full(10, 0.07))
    answers: np.ndarray = field(default_factory=lambda: 1 - np.eye(10))
    collapse: float = 0.5
    left: float = 0.15
    lost: float = 0.02
    diffuse: float = 0.0
    flips: tuple[float, float] = (0.2, 0.2)
    sure: float = 0.2
    doubt: float = float(norm.ppf(0.7) * np.sqrt(2))


def evidence(world: World, *, photos: int, repeats: int, resamples: int, seed: int) -> Evidence:
    """Return evidence drawn from a world, with one to three images a photo."""
    generator = np.random.default_rng(seed)
    photo = np.repeat(np.arange(photos), generator.integers(1, 4, photos))
    count = len(photo)
    label = generator.choice(10, count, p=CLASS_SIZES / CLASS_SIZES.sum())
    wrong = _below(generator, photo, repeats) < norm.ppf(world.error)[label]
    predicted = np.where(wrong, _answers(generator, world.answers, label, repeats), label)
    sure = generator.random((repeats, count)) < np.where(wrong, world.sure, 0.8)
    confidence = np.where(sure, 0.95, 0.5)
    clean = generator.normal(size=(repeats, count))
    attacked = generator.normal(size=(repeats, count)) - world.doubt

    def under(lost: np.ndarray, score: np.ndarray | None = None) -> Attacked:
        moved = np.where(lost, (label + 1) % 10, predicted)
        return Attacked(moved, None if score is None else _logits(score, moved))

    def chance(share: float) -> np.ndarray:
        return generator.random((repeats, count)) < share

    others_wrong = np.stack([np.delete(wrong, r, axis=0).any(axis=0) for r in range(repeats)])
    flipped = generator.random((repeats, count)) < np.where(others_wrong, *world.flips[::-1])
    right = 1 - world.error[label]
    spread, area = generator.normal(size=(2, repeats, count))
    moved = world.diffuse * np.isin(label, [8, 9])
    return Evidence(
        label=label,
        predicted=predicted,
        photo=photo,
        seed=seed,
        resamples=Resamples(photo, resamples, seed),
        official=True,
        confidence=confidence,
        logits=_logits(clean, predicted),
        fold=np.tile(photo % 2, (repeats, 1)),
        attacked={
            (FGSM, SMALLEST): under(flipped),
            (FGSM, 0.015): under(chance(1 - world.collapse), attacked),
            # Of those that are right, so many that the asked share of all is left.
            (FGSM, 0.05): under(generator.random((repeats, count)) > world.left / right),
            (RANDOM_SIGN, 0.015): under(generator.random((repeats, count)) < world.lost / right),
        },
        saliency={"layer": {"spread": spread + moved, "area": area + moved}},
    )


def _below(generator: np.random.Generator, photo: np.ndarray, repeats: int) -> np.ndarray:
    """Return standard normal variables (R, N), shared in part by photos and by repeats."""
    of_photo = generator.normal(size=photo.max() + 1)[photo]
    of_image = generator.normal(size=len(photo))
    own = generator.normal(size=(repeats, len(photo)))
    rest = 1 - SHARED_BY_PHOTO - SHARED_BY_REPEATS
    return (
        np.sqrt(SHARED_BY_PHOTO) * of_photo
        + np.sqrt(SHARED_BY_REPEATS) * of_image
        + np.sqrt(rest) * own
    )


def _answers(
    generator: np.random.Generator, answers: np.ndarray, label: np.ndarray, repeats: int
) -> np.ndarray:
    chances = np.cumsum(answers / answers.sum(axis=1, keepdims=True), axis=1)
    draws = generator.random((repeats, len(label)))
    return (draws[..., None] > chances[label]).sum(axis=-1)


def _logits(score: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return logits whose confidence rises with the score, whatever the temperature."""
    logits = np.zeros((*score.shape, 10))
    np.put_along_axis(logits, predicted[..., None], 3 + np.exp(score / 2)[..., None], axis=-1)
    return logits
