"""The sections of a study file, each with its keys, their bounds and their defaults."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    Strict,
    field_validator,
    model_validator,
)

from analysis.project.forms import Flag, Number, Section

# A name becomes a folder on any system, so it is plain and none of those that Windows keeps.
NAME = re.compile(
    r"(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))[a-z0-9][a-z0-9_.-]{0,63}(?<!\.)", re.IGNORECASE
)
# What a network's weights are, unless a file has them.
TRAIN, PRETRAINED = "train", "pretrained"


def _plain(text: str) -> str:
    if any(ord(letter) < 32 and letter != "\n" for letter in text):
        raise ValueError("must not contain control characters")
    return text


def _whole(value: object) -> object:
    # To Python, and so to pydantic's choices, true and 1.0 are 1.
    if type(value) is not int:
        raise ValueError("must be a whole number")
    return value


Count = Annotated[int, Strict(), Field(ge=1, le=10_000_000)]
Seed = Annotated[int, Strict(), Field(ge=0, lt=2**31)]
Side = Annotated[int, Strict(), Field(ge=8, le=4096)]
Value = str | int | float | bool
Arguments = dict[str, Value | list[Value]]
Share = Annotated[Number, Field(ge=0, le=1)]
Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
FileName = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_plain)]
Paragraph = Annotated[str, Field(max_length=5000), AfterValidator(_plain)]


class Drawn(Section):
    """How many images ``streetdigits`` draws for each split."""

    train: Count
    test: Count


# Keys of a source, without which it has no images; no other source has them.
_NEEDED = {
    "streetdigits": {"draw"},
    "folder": {"path"},
    "torchvision": {"dataset"},
    "arrays": {"path"},
    "python": {"function"},
}
# Sources of images that may have any size; of a function they may have one already.
_ANY_SIZE = ("folder", "torchvision", "python")


class Images(Section):
    """Which images, and how they are divided.

    ``source`` is one of the project's own, or

    - ``folder``: class folders below ``path``, with or without split folders above them;
    - ``torchvision``: the data set of that class of ``torchvision.datasets``, with ``arguments``;
    - ``arrays``: an .npz file at ``path`` (see ``analysis.images.arrays``);
    - ``python``: ``function``, written as ``package.module:function``, called with ``arguments``
      (see ``analysis.images.python``);
    - ``predictions``: none, in a study of predictions alone.

    Photos of any shape are stored ``size`` pixels wide and high, RGB or, with ``channels = 1``,
    grey: their middle (``crop``), with borders (``pad``) or distorted (``stretch``). ``damaged``
    says whether a file that cannot be read stops the study or is left out. ``attributes`` is a CSV
    file with a column ``file``, relative to ``path``, or ``index``.

    The split ``evaluate`` is evaluated; ``all`` is every image of every split. With one fold,
    networks are trained on the split ``train``; with more, each fold of the evaluated images is
    predicted by a network trained on all other images. Folds keep images of one group together.
    ``noun`` is what a class is called in the paper. ``show`` allows single images on published
    pages, where ``terms`` says in one line where they come from and under which licence. With
    ``sequence`` the images of one group are in reading order, as the digits of a house number are.
    """

    source: Literal[
        "svhn",
        "svhn-subset",
        "streetdigits",
        "folder",
        "torchvision",
        "arrays",
        "python",
        "predictions",
    ]
    draw: Drawn | None = None
    path: FileName | None = None
    dataset: Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,99}$")] | None = None
    function: Line | None = None
    arguments: Arguments = {}
    size: Side | None = None
    fit: Literal["crop", "pad", "stretch"] = "crop"
    channels: Annotated[Literal[1, 3], BeforeValidator(_whole)] = 3
    damaged: Literal["stop", "skip"] = "stop"
    attributes: FileName | None = None
    train: Line = "train"
    evaluate: Line = "test"
    folds: Annotated[int, Strict(), Field(ge=1, le=1000)] = 1
    noun: Line = "class"
    nouns: Line = "classes"
    show: Flag = False
    terms: Line | Literal[""] = ""
    sequence: Flag = False

    @model_validator(mode="after")
    def _keys_of_the_source(self) -> Images:
        if self.source == "streetdigits" and self.draw is None:
            raise ValueError("streetdigits needs draw")
        needed = _NEEDED.get(self.source, set())
        for key in sorted(needed):
            if getattr(self, key) is None:
                raise ValueError(f"source {self.source!r} needs {key}")
        allowed = needed | ({"arguments"} if self.source in ("torchvision", "python") else set())
        allowed |= {"size", "fit", "channels"} if self.source in _ANY_SIZE else set()
        allowed |= {"damaged"} if self.source == "folder" else set()
        allowed |= {"attributes"} if self.source in ("folder", "arrays") else set()
        for key in ("draw", "path", "dataset", "function", "arguments", "size", "attributes"):
            if key not in allowed and getattr(self, key):
                raise ValueError(f"source {self.source!r} has no {key}")
        if self.source in ("folder", "torchvision") and self.size is None:
            raise ValueError(f"source {self.source!r} needs size")
        return self


Channels = Annotated[tuple[Share, ...], Field(min_length=1, max_length=64)]
Scales = Annotated[
    tuple[Annotated[Number, Field(ge=1e-3, le=1)], ...], Field(min_length=1, max_length=64)
]


class Network(Section):
    """A network, where its weights come from, and the input that it is evaluated at.

    ``model`` is a timm name, made with the keyword ``arguments``, or
    ``python:package.module:function``: a function that takes ``classes``, ``channels`` and
    ``arguments`` and returns a ``torch.nn.Module``. ``weights`` is ``train``, ``pretrained`` (those
    of timm, or that the function gives) or a file; ``start`` is the file that training begins with,
    or ``pretrained``. ``size`` is in pixels, ``mean`` and ``std`` are in [0, 1] pixel units, one
    number or one for each channel; timm knows them for its models.
    """

    model: Line
    weights: FileName = TRAIN
    start: FileName | None = None
    size: Side | None = None
    mean: Share | Channels | None = None
    std: Annotated[Number, Field(ge=1e-3, le=1)] | Scales | None = None
    arguments: Arguments = {}

    @model_validator(mode="after")
    def _starts_only_if_trained(self) -> Network:
        if self.start is not None and self.weights != TRAIN:
            raise ValueError("start is for weights = 'train' alone")
        return self


class Predictions(Section):
    """A CSV or Parquet file of labels and scores that were computed elsewhere, one row an image.

    ``label`` is its column of labels, by name of the class. ``id``, ``group`` and ``attributes``
    name further columns; those in ``omit`` are passed over. Every other column is a class, and has
    ``probabilities`` or ``logits``.
    """

    file: FileName
    scores: Literal["probabilities", "logits"] = "probabilities"
    label: Line = "label"
    id: Line | None = None
    group: Line | None = None
    attributes: tuple[Line, ...] = ()
    omit: tuple[Line, ...] = ()


class Stage(Section):
    """A number of epochs at one input size in pixels."""

    size: Side
    epochs: Annotated[int, Strict(), Field(ge=1, le=100_000)]


class Augmentation(Section):
    """Half-widths of uniform jitter, drawn anew for every image.

    ``rotation`` in degrees; ``scale`` and ``contrast`` as logarithms of the factor; ``shift`` as a
    share of the half-width; ``shear`` as a slope; ``brightness`` in [0, 1] pixel units;
    ``inversion`` is the probability of the negative and ``flip`` that of the mirror image.
    """

    rotation: Annotated[Number, Field(ge=0, le=180)] = 0.0
    scale: Share = 0.0
    shift: Share = 0.0
    shear: Share = 0.0
    contrast: Share = 0.0
    brightness: Share = 0.0
    inversion: Share = 0.0
    flip: Share = 0.0


class Training(Section):
    """AdamW, its schedule, and the sizes that the images grow through.

    ``warmup`` is the share of all steps in which the rate rises; ``averaging`` is the decay of an
    exponential moving average of the weights per step (none if left out); ``precision`` is that of
    the forward pass while training. Probes always compute in float32.
    """

    learning_rate: Annotated[Number, Field(gt=0, le=1)]
    weight_decay: Annotated[Number, Field(ge=0, le=1)] = 0.01
    schedule: Literal["constant", "one-cycle"] = "constant"
    warmup: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    batch_size: Annotated[int, Strict(), Field(ge=2, le=65_536)] = 64
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=100)]
    averaging: Annotated[Number, Field(gt=0, lt=1)] | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    augmentation: Augmentation | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the input size of each epoch."""
        return tuple(stage.size for stage in self.stages for _ in range(stage.epochs))


class Maps(Section):
    """Names of the modules whose output Grad-CAM maps, as ``named_modules`` gives them.

    Without any, one is chosen that suits the network. With ``repeats`` only the networks of so many
    repeats are mapped.
    """

    layers: Annotated[tuple[Line, ...], Field(max_length=20)] = ()
    repeats: Count | None = None

    @field_validator("layers")
    @classmethod
    def _once(cls, layers: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(layers)) != len(layers):
            raise ValueError("must name each layer once")
        return layers


class Bootstrap(Section):
    """Resamples behind an ordinary interval, and its level.

    At least one resample must lie beyond each end of the interval.
    """

    resamples: Annotated[int, Strict(), Field(ge=100, le=100_000)] = 2000
    level: Annotated[Number, Field(gt=0.5, le=0.999)] = 0.95

    @model_validator(mode="after")
    def _has_resamples_beyond_its_ends(self) -> Bootstrap:
        # The slack is for what 1 less a decimal fraction is in binary.
        if self.resamples * (1 - self.level) / 2 < 1 - 1e-9:
            raise ValueError(f"level {self.level:g} needs more than {self.resamples:,} resamples")
        return self


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
