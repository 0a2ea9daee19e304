"""The sections of a study file that say how its images are attacked and corrupted."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
    Strict,
    ValidationInfo,
    field_validator,
)

from analysis.project.forms import Number, Section
from analysis.study.sections import Count, Share


def _rising(epsilons: tuple[float, ...]) -> tuple[float, ...]:
    if list(epsilons) != sorted(set(epsilons)):
        raise ValueError("must rise, each once")
    return epsilons


# A fortieth of an 8-bit level, far below what an image can carry.
_SMALLEST = 1e-4
Epsilon = Annotated[Number, Field(ge=_SMALLEST, le=1)]
Epsilons = Annotated[
    tuple[Epsilon, ...],
    Field(min_length=1, max_length=100),
    AfterValidator(_rising),
]


class Attacks(Section):
    """Sizes of the perturbations, in [0, 1] pixel units.

    ``epsilons`` are those of FGSM and of random signs on every evaluated image, rising from 0, and
    ``native_epsilons`` those of FGSM before the resize. PGD, in ``steps`` steps, and the measures
    of the perturbations use ``sample_epsilons`` on a random sample of ``sample`` groups of images,
    the same for every run. Logits under FGSM are kept at ``logits_epsilon``; there, in the first
    repeat, PGD is run on every evaluated image, and its controls on the sample.
    """

    epsilons: Annotated[tuple[Share, ...], Field(min_length=2, max_length=100)]
    native_epsilons: Epsilons = (0.005, 0.015, 0.035, 0.05)
    sample: Count = 250
    sample_epsilons: Epsilons = (0.005, 0.015, 0.05)
    steps: Annotated[int, Strict(), Field(ge=1, le=10_000)] = 10
    logits_epsilon: Epsilon = 0.015

    @field_validator("epsilons")
    @classmethod
    def _from_zero(cls, epsilons: tuple[float, ...]) -> tuple[float, ...]:
        if epsilons[0] != 0 or list(epsilons) != sorted(set(epsilons)):
            raise ValueError("must rise from 0, each once")
        if epsilons[1] < _SMALLEST:
            raise ValueError(f"must be 0, or at least {_SMALLEST}")
        return epsilons


Noise = Annotated[Number, Field(ge=1e-3, le=1)]
Blur = Annotated[Number, Field(ge=0.1, le=100)]
Factor = Annotated[Number, Field(ge=0.01, le=10)]
Quality = Annotated[int, Strict(), Field(ge=1, le=100)]
_STRENGTHS = Field(min_length=1, max_length=20)


class Corruptions(Section):
    """How strongly images are corrupted before the resize, on a sample of groups of images.

    ``noise`` is the standard deviation of Gaussian noise in [0, 1] pixel units, ``blur`` that of a
    Gaussian kernel in pixels, ``contrast`` and ``brightness`` are factors, and ``jpeg`` is the
    quality from 1 to 100. The weakest corruption comes first.
    """

    sample: Count = 250
    noise: Annotated[tuple[Noise, ...], _STRENGTHS] = (0.02, 0.04, 0.08, 0.16)
    blur: Annotated[tuple[Blur, ...], _STRENGTHS] = (0.5, 1.0, 2.0, 4.0)
    contrast: Annotated[tuple[Factor, ...], _STRENGTHS] = (0.8, 0.6, 0.4, 0.2)
    brightness: Annotated[tuple[Factor, ...], _STRENGTHS] = (0.8, 0.6, 0.4, 0.2)
    jpeg: Annotated[tuple[Quality, ...], _STRENGTHS] = (60, 30, 15, 5)

    @field_validator("noise", "blur", "contrast", "brightness", "jpeg")
    @classmethod
    def _from_weak_to_strong(
        cls, strengths: tuple[float, ...], info: ValidationInfo
    ) -> tuple[float, ...]:
        def strength(value: float) -> float:
            if info.field_name == "jpeg":
                return -value
            # Twice the contrast is as far from none of it as half of it.
            factor = info.field_name in ("contrast", "brightness")
            return round(abs(math.log(value)), 9) if factor else value

        if list(strengths) != sorted(dict.fromkeys(strengths), key=strength):
            raise ValueError("must go from weak to strong, each once")
        return strengths
