"""What is studied: a TOML file, read into one validated, frozen object."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from analysis import paths
from analysis.errors import UserError, nearest

# The digits. Every data set of the project has these ten classes.
CLASSES = 10

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Sizes = Annotated[tuple[Share, ...], Field(min_length=1)]


class Section(BaseModel):
    """A part of a study file: unknown keys are refused, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(Section):
    """Which images. ``train`` and ``test`` count the drawn images of ``streetdigits`` alone."""

    name: Literal["svhn", "svhn-subset", "streetdigits"]
    train: Positive | None = None
    test: Positive | None = None

    @model_validator(mode="after")
    def _drawn_images_are_counted(self) -> Data:
        counted = self.train is not None and self.test is not None
        if counted != (self.name == "streetdigits"):
            raise ValueError("streetdigits needs train and test, other data sets have neither")
        return self


class Split(Section):
    """How images are divided.

    ``fixed`` trains on the split "train" and evaluates on "test"; ``photo-folds`` is repeated
    cross-validation over "test", grouped by photo, in which every other split is always trained on.
    """

    kind: Literal["fixed", "photo-folds"]
    folds: Positive = 1
    repeats: Positive = 1

    @model_validator(mode="after")
    def _folds_fit_the_kind(self) -> Split:
        if (self.kind == "photo-folds") != (self.folds > 1):
            raise ValueError("photo-folds needs folds of 2 or more, fixed has none")
        return self


class Model(Section):
    """A timm model by name and keyword arguments, and the input that it is evaluated at.

    ``size`` is in pixels; ``mean`` and ``std`` are in [0, 1] pixel units.
    """

    name: str
    size: Annotated[int, Field(ge=8)]
    mean: Share = 0.5
    std: Annotated[float, Field(gt=0, le=1)] = 0.5
    arguments: dict[str, str | int | float | bool] = {}


class Stage(Section):
    """A stretch of epochs at one input size in pixels."""

    size: Annotated[int, Field(ge=8)]
    epochs: Positive


class Augmentation(Section):
    """Half-widths of uniform jitter, drawn anew for every image.

    ``rotation`` in degrees; ``scale`` and ``contrast`` as logarithms of the factor; ``shift`` as a
    share of the half-width; ``shear`` as a slope; ``brightness`` in [0, 1] pixel units;
    ``inversion`` is the probability of the negative.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    scale: Share = 0.0
    shift: Share = 0.0
    shear: Share = 0.0
    contrast: Share = 0.0
    brightness: Share = 0.0
    inversion: Share = 0.0


class Training(Section):
    """AdamW, its schedule, and the sizes that the images grow through.

    ``warmup`` is the share of all steps in which the rate rises; ``averaging`` is the decay of an
    exponential moving average of the weights per step (none where absent); ``precision`` is that
    of the forward pass while training, probes always compute in float32.
    """

    learning_rate: Annotated[float, Field(gt=0, le=1)]
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    schedule: Literal["constant", "one-cycle"] = "constant"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    batch_size: Annotated[int, Field(ge=2)] = 64
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    averaging: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    augmentation: Augmentation | None = None

    @property
    def epochs(self) -> int:
        """Return the number of epochs over all stages."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the input size of each epoch."""
        return tuple(stage.size for stage in self.stages for _ in range(stage.epochs))


class Saliency(Section):
    """Names of the modules whose output Grad-CAM maps, as ``named_modules`` gives them."""

    layers: Annotated[tuple[str, ...], Field(min_length=1)]


class Attack(Section):
    """Sizes of the perturbation, in [0, 1] pixel units, rising from 0."""

    epsilons: Annotated[tuple[Share, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _epsilons_rise_from_zero(self) -> Attack:
        if self.epsilons[0] != 0 or list(self.epsilons) != sorted(set(self.epsilons)):
            raise ValueError("epsilons must rise from 0, each once")
        return self


class Controls(Section):
    """What the attack is held against.

    ``photos`` is the size of the random sample of photos that projected gradient descent and the
    measures of the perturbations are computed on, the same for every run; ``steps`` counts the
    descent's. ``epsilons`` are those of the sample, ``native_epsilons`` those of the attack on
    native pixels, and ``logits_epsilon`` the one whose logits are kept.
    """

    photos: Positive = 250
    steps: Positive = 10
    epsilons: Sizes = (0.005, 0.015, 0.05)
    native_epsilons: Sizes = (0.005, 0.015, 0.035, 0.05)
    logits_epsilon: Annotated[float, Field(gt=0, le=1)] = 0.015

    @field_validator("epsilons", "native_epsilons")
    @classmethod
    def _epsilons_rise(cls, epsilons: tuple[float, ...]) -> tuple[float, ...]:
        if epsilons[0] == 0 or list(epsilons) != sorted(set(epsilons)):
            raise ValueError("must rise from above 0, each once")
        return epsilons


class Bootstrap(Section):
    """Resamples of photos, and the level of the ordinary interval."""

    resamples: Annotated[int, Field(ge=100)] = 2000
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


@dataclass(frozen=True)
class Run:
    """One trained model: a (repeat, fold) pair with its own seed."""

    repeat: int
    fold: int
    seed: int

    @property
    def name(self) -> str:
        """Return the name that the ``run`` column holds, such as ``r0f3``."""
        return f"r{self.repeat}f{self.fold}"


class Study(Section):
    """All that determines the results of a study."""

    name: str
    title: str
    seed: Annotated[int, Field(ge=0)] = 0
    data: Data
    split: Split
    model: Model
    training: Training
    saliency: Saliency
    attack: Attack
    controls: Controls = Controls()
    bootstrap: Bootstrap = Bootstrap()

    @property
    def runs(self) -> tuple[Run, ...]:
        """Return every run of the study, repeat by repeat."""
        folds = self.split.folds
        return tuple(
            Run(repeat, fold, self.seed + repeat * folds + fold)
            for repeat in range(self.split.repeats)
            for fold in range(folds)
        )

    def digest(self, *sections: str) -> str:
        """Return the SHA-256 of what the named sections say, or of the whole study.

        The number of repeats is left out: more of them make more runs, not other ones. A trained
        run depends on ``TRAINED``, an analysis on that and on its own section, so that a new
        analysis leaves trained runs valid. Values equal to their default are left out as well, so
        that a new key leaves old results valid; for that, a default must never change.
        """
        content = self.model_dump(
            mode="json", exclude={"title": True, "split": {"repeats"}}, exclude_defaults=True
        )
        chosen = {key: content.get(key) for key in sections or content}
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


# The sections that a trained run depends on.
TRAINED = ("seed", "data", "split", "model", "training")


def names() -> list[str]:
    """Return the names of the studies that there are."""
    return sorted(path.stem for path in paths.STUDIES.glob("*.toml"))


def load(name: str | Path) -> Study:
    """Read a study by its name, or from a path that ends in ``.toml``.

    Raises ``UserError`` for an unknown study, an unknown key (with the nearest known one), a value
    out of range, and a file that is not TOML.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = paths.STUDIES / f"{name}.toml"
    if not path.is_file():
        raise UserError(
            f"There is no study {str(name)!r}; the nearest is {nearest(str(name), names())!r}."
        )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} is not valid TOML: {error}") from None
    try:
        return Study.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        raise UserError(f"{path.name}: {_first_problem(error)}") from None


def _first_problem(error: ValidationError) -> str:
    # A misspelt key is missing under its right name too; the misspelling says more.
    problems = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    problem = problems[0]
    where = [part for part in problem["loc"] if isinstance(part, (str, int))]
    key = ".".join(str(part) for part in where) or "the study"
    if problem["type"] == "extra_forbidden":
        return (
            f"unknown key {key!r}; the nearest is {nearest(str(where[-1]), _keys(where[:-1]))!r}."
        )
    if problem["type"] == "missing":
        return f"{key!r} is missing."
    message = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    shown = "" if isinstance(value, dict) else f", not {value!r}"
    return f"{key}: {message[0].lower()}{message[1:]}{shown}."


def _keys(where: list[str | int]) -> list[str]:
    """Return the keys that the section at this place of a study may have."""
    section: Any = Study
    for part in where:
        if isinstance(part, str) and part in section.model_fields:
            section = _section_within(section.model_fields[part].annotation) or section
    return list(section.model_fields)


def _section_within(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inner = (_section_within(argument) for argument in get_args(annotation))
    return next((section for section in inner if section), None)
