"""A study: what determines its results, and the runs that it consists of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, Strict, field_validator, model_validator

from analysis.project import paths
from analysis.project.forms import Section
from analysis.study.perturbations import Attacks, Corruptions
from analysis.study.sections import (
    NAME,
    PRETRAINED,
    TRAIN,
    Bootstrap,
    Images,
    Line,
    Maps,
    Network,
    Paper,
    Predictions,
    Seed,
    Training,
)

# Words for the pages, what groups alone decide, and which networks are mapped change no result; of
# files the content counts, which records identify.
_NO_RESULT = {
    "images": {"noun", "nouns", "show", "terms", "sequence", "path", "attributes"},
    "network": {"start"},
    "predictions": {"file"},
    "maps": {"repeats"},
}


# More than any machine trains, and few enough to list in a second.
_MOST_RUNS, _MOST_EPOCHS = 50_000, 100_000


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

    It has a ``network``, or ``predictions`` that somebody else computed. What is to be measured has
    a section: without ``maps``, ``attacks`` or ``corruptions`` pages say nothing about them.
    ``claims`` names claim sets and ``claim`` holds further claims (see ``analysis.claims``);
    ``published`` names the published results that the same tests are applied to, and ``companion``
    a study of the same claims whose verdicts are reported with these.
    """

    name: str
    title: Line
    seed: Seed = 0
    repeats: Annotated[int, Strict(), Field(ge=1, le=10_000)] = 1
    images: Images
    network: Network | None = None
    predictions: Predictions | None = None
    training: Training | None = None
    maps: Maps | None = None
    attacks: Attacks | None = None
    corruptions: Corruptions | None = None
    bootstrap: Bootstrap = Bootstrap()
    claims: tuple[Line, ...] = ("general",)
    claim: tuple[dict[str, Any], ...] = ()
    published: Line | None = None
    companion: Line | None = None
    paper: Paper = Paper()
    # The folders that relative paths start from, which are no part of what a study says.
    _folder: Path | None = PrivateAttr(default=None)
    _data: Path | None = PrivateAttr(default=None)

    @field_validator("name")
    @classmethod
    def _is_a_plain_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError("must be a plain name of letters, digits, '-', '_' and '.'")
        return name

    @model_validator(mode="before")
    @classmethod
    def _predictions_have_no_images(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("predictions") is not None:
            images = content.get("images", {})
            if isinstance(images, dict):
                return {**content, "images": {"source": "predictions", **images}}
        return content

    @model_validator(mode="after")
    def _sections_fit_together(self) -> Self:
        if self.repeats * self.images.folds > _MOST_RUNS:
            raise ValueError(f"repeats: more than {_MOST_RUNS:,} repeats times folds")
        if self.epochs > _MOST_EPOCHS:
            raise ValueError(f"training.stages: more than {_MOST_EPOCHS:,} epochs in all")
        alone = self.predictions is not None
        if alone == (self.network is not None):
            raise ValueError("a study has either [network] or [predictions]")
        if alone != (self.images.source == "predictions"):
            raise ValueError("images.source is 'predictions' if and only if there is [predictions]")
        if self.trained != (self.training is not None):
            raise ValueError("[training] is for network.weights = 'train', which needs it")
        if not self.trained and (self.images.folds > 1 or self.repeats > 1):
            raise ValueError("a network that is not trained here has one repeat and one fold")
        for name in ("maps", "attacks", "corruptions"):
            if alone and getattr(self, name) is not None:
                raise ValueError(f"predictions alone have no [{name}]")
        return self

    @property
    def trained(self) -> bool:
        """Return whether the networks are trained here."""
        return self.network is not None and self.network.weights == TRAIN

    @property
    def epochs(self) -> int:
        """Return how many epochs a run is trained for."""
        return sum(stage.epochs for stage in self.training.stages) if self.training else 0

    @property
    def runs(self) -> tuple[Run, ...]:
        """Return every run of the study, repeat by repeat."""
        folds = self.images.folds
        return tuple(
            Run(repeat, fold, self.seed + repeat * folds + fold)
            for repeat in range(self.repeats)
            for fold in range(folds)
        )

    def located(self, name: str, *, data: Path | None = None) -> Path:
        """Return the path of a file or folder that the study names.

        A relative one starts from the study's file or, if there is nothing, from the folder of the
        data sets.
        """
        path = paths.expanded(name)
        near = (self._folder or Path()) / path
        return near if near.exists() else (data or self._data or paths.data()) / path

    @property
    def files(self) -> dict[str, Path]:
        """Return the files whose content decides results, by the key that names them."""
        network, predictions = self.network, self.predictions
        named = {
            "network.weights": network.weights if network else None,
            "network.start": network.start if network else None,
            "predictions.file": predictions.file if predictions else None,
            "images.attributes": self.images.attributes,
        }
        return {
            key: self.located(name)
            for key, name in named.items()
            if name is not None and name not in (TRAIN, PRETRAINED)
        }

    def content(self, *sections: str) -> dict[str, Any]:
        """Return what the named sections say that decides results.

        Values equal to their default are left out, so that a new key leaves old results valid; for
        that, a default must never change.
        """
        content = self.model_dump(
            mode="json", include=set(sections), exclude=_NO_RESULT, exclude_defaults=True
        )
        if "network" in content and "network.weights" in self.files:
            content["network"]["weights"] = "file"
        return content

    def digest(self, *sections: str) -> str:
        """Return the SHA-256 of ``content``."""
        content = json.dumps(self.content(*sections), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()
