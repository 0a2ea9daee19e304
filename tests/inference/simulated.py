"""Made-up evidence with known effects, with errors that cluster in groups of images.

An image is an error in a repeat where a normal variable falls below its class's quantile. The
images of a group share a part of that variable and the repeats another, so that hard images are
hard for every network, while the error of each class is exactly the one asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import softmax
from scipy.stats import norm

from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Attacked, Evidence
from analysis.results.schemas import FGSM, RANDOM_SIGN

# Images of each digit among SVHN's first 10,000 test images.
CLASS_SIZES = np.array([684, 1968, 1590, 1104, 964, 909, 773, 767, 621, 620])
SHARED_BY_GROUP, SHARED_BY_REPEATS = 0.2, 0.5
SMALLEST = 0.005


@dataclass(frozen=True)
class World:
    """What is true: the error of each of K classes, and all other effects.

    ``answers`` (K, K) is the chance of each wrong answer; ``collapse`` the share of right images
    left at the middle ε, ``left`` the accuracy at the largest, ``lost`` what random signs cost;
    ``diffuse`` how far the maps of the last two classes differ, in standard deviations; ``flips``
    the chance of a flip at the smallest ε for images that other repeats get right, and wrong;
    ``sure`` the share of errors with high confidence; ``doubt`` how far confidence falls under
    attack.
    """

    error: np.ndarray = field(default_factory=lambda: np.full(10, 0.07))
    answers: np.ndarray | None = None
    collapse: float = 0.5
    left: float = 0.15
    lost: float = 0.02
    diffuse: float = 0.0
    flips: tuple[float, float] = (0.2, 0.2)
    sure: float = 0.2
    doubt: float = float(norm.ppf(0.7) * np.sqrt(2))


def names(classes: int) -> tuple[str, ...]:
    return tuple(map(str, range(classes)))


def evidence(world: World, *, groups: int, repeats: int, resamples: int, seed: int) -> Evidence:
    """Return evidence drawn from a world, with one to three images in a group."""
    generator = np.random.default_rng(seed)
    classes = len(world.error)
    group = np.repeat(np.arange(groups), generator.integers(1, 4, groups))
    count = len(group)
    sizes = CLASS_SIZES if classes == 10 else np.ones(classes)
    label = generator.choice(classes, count, p=sizes / sizes.sum())
    wrong = _below(generator, group, repeats) < norm.ppf(world.error)[label]
    answers = 1 - np.eye(classes) if world.answers is None else world.answers
    predicted = np.where(wrong, _answers(generator, answers, label, repeats), label)
    sure = generator.random((repeats, count)) < np.where(wrong, world.sure, 0.8)
    clean = generator.normal(size=(repeats, count))
    attacked = generator.normal(size=(repeats, count)) - world.doubt

    def under(lost: np.ndarray, score: np.ndarray | None = None) -> Attacked:
        moved = np.where(lost, (label + 1) % classes, predicted)
        if score is None:
            return Attacked(moved)
        logits = _logits(score, moved, classes)
        return Attacked(moved, softmax(logits, axis=-1).max(axis=-1), logits)

    def chance(share: float | np.ndarray) -> np.ndarray:
        return generator.random((repeats, count)) < share

    others_wrong = np.stack([np.delete(wrong, r, axis=0).any(axis=0) for r in range(repeats)])
    flipped = chance(np.where(others_wrong, *world.flips[::-1]))
    right = 1 - world.error[label]
    spread, area = generator.normal(size=(2, repeats, count))
    moved = world.diffuse * (label >= classes - 2)
    return Evidence(
        classes=names(classes),
        label=label,
        predicted=predicted,
        group=group,
        seed=seed,
        resamples=Resamples(group, resamples, seed),
        source="svhn",
        confidence=np.where(sure, 0.95, 0.5),
        logits=_logits(clean, predicted, classes),
        network=np.repeat(np.arange(repeats), count).reshape(repeats, -1),
        fold=np.tile(group % 2, (repeats, 1)),
        attacked={
            (FGSM, SMALLEST): under(flipped),
            (FGSM, 0.015): under(chance(1 - world.collapse), attacked),
            # As many of the right ones as leave the share of all that is asked for.
            (FGSM, 0.05): under(generator.random((repeats, count)) > world.left / right),
            (RANDOM_SIGN, 0.015): under(chance(world.lost / right)),
        },
        maps={"layer": {"spread": spread + moved, "area": area + moved}},
        index=np.arange(count),
    )


def _below(generator: np.random.Generator, group: np.ndarray, repeats: int) -> np.ndarray:
    """Return standard normal variables (R, N), shared in part by groups and by repeats."""
    of_group = generator.normal(size=group.max() + 1)[group]
    of_image = generator.normal(size=len(group))
    own = generator.normal(size=(repeats, len(group)))
    rest = 1 - SHARED_BY_GROUP - SHARED_BY_REPEATS
    shared = np.sqrt(SHARED_BY_GROUP) * of_group + np.sqrt(SHARED_BY_REPEATS) * of_image
    return shared + np.sqrt(rest) * own


def _answers(
    generator: np.random.Generator, answers: np.ndarray, label: np.ndarray, repeats: int
) -> np.ndarray:
    chances = np.cumsum(answers / answers.sum(axis=1, keepdims=True), axis=1)
    draws = generator.random((repeats, len(label)))
    return np.stack([(draw[:, None] > chances[label]).sum(axis=-1) for draw in draws])


def _logits(score: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return logits whose confidence rises with the score, whatever the temperature."""
    logits = np.zeros((*score.shape, classes))
    np.put_along_axis(logits, predicted[..., None], 3 + np.exp(score / 2)[..., None], axis=-1)
    return logits
