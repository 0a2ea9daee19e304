"""The form of a study: a TOML file, read into one validated, frozen object."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    Strict,
    ValidationError,
    field_validator,
    model_validator,
)

from analysis.project import paths
from analysis.project.errors import UserError, nearest
from analysis.project.forms import Section, problem

# A name becomes a folder on any system, so it is plain and none of those that Windows keeps.
NAME = re.compile(r"(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))[a-z0-9][a-z0-9_.-]{0,63}", re.I)
# Words for the pages, what groups alone decide, and which networks are mapped change no result.
_NO_RESULT = {"images": {"noun", "nouns", "show", "sequence"}, "maps": {"repeats"}}
# A study file is written by a person; a larger file is not one.
_LARGEST_FILE = 1_000_000


def _plain(text: str) -> str:
    if any(ord(letter) < 32 and letter != "\n" for letter in text):
        raise ValueError("must not contain control characters")
    return text


Count = Annotated[int, Strict(), Field(ge=1, le=10_000_000)]
Seed = Annotated[int, Strict(), Field(ge=0, lt=2**31)]
Side = Annotated[int, Strict(), Field(ge=8, le=4096)]
Share = Annotated[float, Field(ge=0, le=1)]
Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
Paragraph = Annotated[str, Field(max_length=5000), AfterValidator(_plain)]


class Drawn(Section):
    """How many images ``streetdigits`` draws for each split."""

    train: Count
    test: Count


class Images(Section):
    """Which images, and how they are divided.

    The split ``test`` is evaluated. With one fold, networks are trained on the split ``train``;
    with more, each fold of the evaluated images is predicted by a network trained on all other
    images. Folds keep images of one group together. ``noun`` is what a class is called in the
    paper, and ``show`` allows single images on published pages. With ``sequence`` the images of one
    group are in reading order, as the digits of a house number are.
    """

    source: Literal["svhn", "svhn-subset", "streetdigits"]
    draw: Drawn | None = None
    folds: Annotated[int, Strict(), Field(ge=1, le=1000)] = 1
    noun: Line = "class"
    nouns: Line = "classes"
    show: bool = False
    sequence: bool = False

    @model_validator(mode="after")
    def _drawn_images_are_counted(self) -> Images:
        if (self.draw is not None) != (self.source == "streetdigits"):
            raise ValueError("streetdigits needs draw, other sources have none")
        return self


class Network(Section):
    """A timm model by name and keyword arguments, and the input that it is evaluated at.

    ``size`` is in pixels; ``mean`` and ``std`` are in [0, 1] pixel units.
    """

    model: Line
    size: Side
    mean: Share = 0.5
    std: Annotated[float, Field(ge=1e-3, le=1)] = 0.5
    arguments: dict[str, str | int | float | bool] = {}


class Stage(Section):
    """A number of epochs at one input size in pixels."""

    size: Side
    epochs: Annotated[int, Strict(), Field(ge=1, le=100_000)]


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
    exponential moving average of the weights per step (none if left out); ``precision`` is that of
    the forward pass while training. Probes always compute in float32.
    """

    learning_rate: Annotated[float, Field(gt=0, le=1)]
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    schedule: Literal["constant", "one-cycle"] = "constant"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    batch_size: Annotated[int, Strict(), Field(ge=2, le=65_536)] = 64
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=100)]
    averaging: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    augmentation: Augmentation | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the input size of each epoch."""
        return tuple(stage.size for stage in self.stages for _ in range(stage.epochs))


class Maps(Section):
    """Names of the modules whose output Grad-CAM maps, as ``named_modules`` gives them.

    With ``repeats`` only the networks of so many repeats are mapped.
    """

    layers: Annotated[tuple[Line, ...], Field(min_length=1, max_length=20)]
    repeats: Count | None = None

    @field_validator("layers")
    @classmethod
    def _once(cls, layers: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(layers)) != len(layers):
            raise ValueError("must name each layer once")
        return layers


def _rising(epsilons: tuple[float, ...]) -> tuple[float, ...]:
    if list(epsilons) != sorted(set(epsilons)):
        raise ValueError("must rise, each once")
    return epsilons


Epsilons = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], ...],
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
    logits_epsilon: Annotated[float, Field(gt=0, le=1)] = 0.015

    @field_validator("epsilons")
    @classmethod
    def _from_zero(cls, epsilons: tuple[float, ...]) -> tuple[float, ...]:
        if epsilons[0] != 0 or list(epsilons) != sorted(set(epsilons)):
            raise ValueError("must rise from 0, each once")
        return epsilons


class Bootstrap(Section):
    """Resamples behind an ordinary interval, and its level."""

    resamples: Annotated[int, Strict(), Field(ge=100, le=100_000)] = 2000
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class Change(Section):
    """A test that was changed after its result was known: what the old one was, said, and why."""

    claim: Line
    before: Paragraph
    said: Line
    why: Paragraph


class Paper(Section):
    """What only a person can know, as plain text; pages say nothing where it is absent.

    ``images`` names the images briefly and ``data`` in sentences, and ``cites`` has keys of
    ``references.bib``. ``caveat`` says what they may not stand for, ``recipe`` how it was chosen,
    ``thresholds`` when they were fixed, ``readers`` who read the audit, ``changes`` which tests
    were changed after their results were known, and ``exploratory`` what that means.
    """

    subtitle: Annotated[str, Field(max_length=200), AfterValidator(_plain)] = ""
    description: Paragraph = ""
    keywords: tuple[Line, ...] = ()
    images: Line = "images"
    data: Paragraph = ""
    cites: tuple[Annotated[str, Field(pattern=r"^[a-z]+\d{4}$")], ...] = ()
    caveat: Paragraph = ""
    recipe: Paragraph = ""
    thresholds: Paragraph = ""
    readers: Paragraph = ""
    changes: tuple[Change, ...] = ()
    exploratory: Paragraph = ""


@dataclass(frozen=True)
class Run:
    """One network: a (repeat, fold) pair with its own seed."""

    repeat: int
    fold: int
    seed: int

    @property
    def name(self) -> str:
        """Return the name of the run's folder, such as ``r0f3``."""
        return f"r{self.repeat}f{self.fold}"


class Study(Section):
    """All that determines the results of a study.

    ``claims`` names claim sets and ``claim`` holds further claims (see ``analysis.claims``);
    ``published`` names the published results that the same tests are applied to, and ``companion``
    a study of the same claims whose verdicts are reported with these.
    """

    name: str
    title: Line
    seed: Seed = 0
    repeats: Annotated[int, Strict(), Field(ge=1, le=10_000)] = 1
    images: Images
    network: Network
    training: Training
    maps: Maps
    attacks: Attacks
    bootstrap: Bootstrap = Bootstrap()
    claims: tuple[Line, ...] = ("general",)
    claim: tuple[dict[str, Any], ...] = ()
    published: Line | None = None
    companion: Line | None = None
    paper: Paper = Paper()

    @field_validator("name")
    @classmethod
    def _is_a_plain_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError("must be a plain name of letters, digits, '-', '_' and '.'")
        return name

    @property
    def runs(self) -> tuple[Run, ...]:
        """Return every run of the study, repeat by repeat."""
        folds = self.images.folds
        return tuple(
            Run(repeat, fold, self.seed + repeat * folds + fold)
            for repeat in range(self.repeats)
            for fold in range(folds)
        )

    def digest(self, *sections: str) -> str:
        """Return the SHA-256 of what the named sections say.

        Values equal to their default are left out, so that a new key leaves old results valid; for
        that, a default must never change.
        """
        content = self.model_dump(
            mode="json", include=set(sections), exclude=_NO_RESULT, exclude_defaults=True
        )
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def names() -> list[str]:
    """Return the names of the project's own studies."""
    return sorted(path.stem for path in paths.STUDIES.glob("*.toml"))


def load(name: str | Path) -> Study:
    """Read a study by its name, or from a path that ends in ``.toml``.

    Raises ``UserError`` for an unknown study, an unknown key (with the nearest known one), a value
    out of range, and a file that is not TOML.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = paths.STUDIES / f"{name}.toml"
        known = str(name) in names()
    else:
        # Unlike Path.is_file, it is false for a name that no file system can hold.
        known = os.path.isfile(path)
    if not known:
        likely = nearest(str(name)[:100], names())
        raise UserError(f"There is no study {str(name)[:100]!r}; the nearest is {likely!r}.")
    if path.stem in names() and path.resolve() != (paths.STUDIES / path.name).resolve():
        raise UserError(
            f"{path} has the name of one of the project's studies, whose results it would share.\n"
            "Give the file another name."
        )
    content = _parsed(path)
    if "name" in content:
        raise UserError(f"{path.name}: 'name' is the name of the file, and is not written in it.")
    try:
        return Study.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        raise UserError(f"{path.name}: {problem(error, Study)}") from None


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"larger than {_LARGEST_FILE:,} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise UserError(f"{path.name} is nested too deeply.") from None
    # Invalid TOML and invalid UTF-8 are both a ValueError.
    except ValueError as error:
        raise UserError(f"{path.name} is not valid TOML: {str(error)[:200]}") from None
