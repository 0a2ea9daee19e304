"""What a probe is given: a trained run and the images that it is evaluated on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.images.images import BATCH, Batch, Images, batches
from analysis.images.split import sample
from analysis.networks.classifier import Classifier
from analysis.project.errors import UserError
from analysis.study import Attacks, Run, Study

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Subject:
    """The classifier of a trained run, and the images that it is evaluated on.

    ``positions`` (N,) are those of the evaluated images, rising.
    """

    study: Study
    run: Run
    classifier: Classifier
    images: Images
    positions: np.ndarray

    @property
    def sample(self) -> np.ndarray:
        """Return the positions of the run's part of the attacks' sample of groups, rising.

        Without attacks it has as many groups as theirs would by default.
        """
        attacks = self.study.attacks
        return self.sampled(attacks.sample if attacks else Attacks.model_fields["sample"].default)

    @property
    def attacks(self) -> Attacks:
        """Return what the study says of attacks, which it does if they are asked for."""
        assert self.study.attacks is not None, "a run has the analyses that its study asks for"
        return self.study.attacks

    def sampled(self, groups: int) -> np.ndarray:
        """Return the positions of the run's part of a sample of groups of the study, rising."""
        split = self.study.images.evaluate
        drawn = sample(self.images, groups=groups, seed=self.study.seed, split=split)
        return np.intersect1d(self.positions, drawn)

    def batches(self, positions: np.ndarray | None = None) -> Iterator[Batch]:
        """Give the evaluated images in order, or those at ``positions``."""
        chosen = self.positions if positions is None else positions
        return batches(self.images, chosen, device=self.classifier.device)

    def batches_with(self, predictions: pd.DataFrame) -> Iterator[tuple[Batch, pd.DataFrame]]:
        """Give each batch with its rows of ``predictions``, which are in the same order."""
        for number, batch in enumerate(self.batches()):
            yield batch, predictions.iloc[number * BATCH : (number + 1) * BATCH]

    def generator(self) -> torch.Generator:
        """Return a generator on the classifier's device that begins with the run's seed."""
        return torch.Generator(self.classifier.device).manual_seed(self.run.seed)

    @torch.no_grad()
    def logits(self, pixels: Tensor, *, probe: str) -> Tensor:
        """Return the logits (N, classes) of pixels. Raises ``UserError`` if one is not finite."""
        return self.finite(self.classifier(pixels), probe=probe)

    def finite(self, values: Tensor, *, probe: str) -> Tensor:
        """Return what a network answered. Raises ``UserError`` if it is not finite."""
        if not values.isfinite().all():
            advice = "Check network.weights, network.mean and network.std"
            if self.study.trained:
                advice = "Check the training section, and train the run again"
            raise UserError(
                f"Run {self.run.name} of {self.study.name} gives values that are not finite in "
                f"the analysis {probe!r}.\n{advice}."
            )
        return values
