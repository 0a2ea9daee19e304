"""Grad-CAM of a network whose weights mean nothing.

Adebayo et al. (2018), *Sanity Checks for Saliency Maps*: a measure that is the same with random
weights is about the architecture and the image, not about what the network has learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from analysis import model as models
from analysis.batches import Batch
from analysis.model import Classifier
from analysis.saliency import grad_cam, measures
from analysis.study import Model

# Images that the statistics of BatchNorm are estimated on: each has thousands of pixels.
IMAGES = 256


def randomised(
    model: Model, images: Iterable[Batch], *, seed: int, device: torch.device
) -> Classifier:
    """Return a classifier with all weights drawn anew, the same for the same seed.

    A new network is built, and then every module that has ``reset_parameters`` is reset to
    PyTorch's own initial values. timm's are not kept where they differ: its ResNets begin with a
    zero scale in the last BatchNorm of each block, behind which nothing of the block would be
    seen; after the reset all scales are 1. What no module resets has the initial value that timm
    gives it. The running statistics of BatchNorm are then the mean over ``images``, batch by batch,
    in one forward pass; nothing is trained.
    """
    # A stream of its own: from the run's seed itself come the values that its training began with.
    own = int(np.random.SeedSequence(seed).generate_state(1)[0])
    classifier = models.build(model, seed=own, device=torch.device("cpu"))
    with torch.random.fork_rng():
        torch.manual_seed(own)
        for module in classifier.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
        classifier = classifier.to(device)
        update_bn((batch.pixels for batch in images), classifier)
    return classifier.eval().requires_grad_(False)


def explain(
    classifier: Classifier, batch: Batch, layers: Sequence[str], *, target: Tensor
) -> pd.DataFrame:
    """Return the rows of ``randomised`` for one batch, one for each image and layer.

    ``target`` (N,) holds the classes to explain, which are those that the trained network predicts.
    """
    pixels = classifier.resize(batch.pixels)
    _, maps = grad_cam(classifier, pixels, layers=layers, target=target)
    identity = {
        "index": batch.index,
        "label": batch.labels.cpu().numpy().astype(np.uint8),
        "target": target.cpu().numpy().astype(np.uint8),
    }
    rows = [
        pd.DataFrame({"layer": layer} | identity | measures(raw.cpu(), size=classifier.size))
        for layer, raw in maps.items()
    ]
    return pd.concat(rows, ignore_index=True)
