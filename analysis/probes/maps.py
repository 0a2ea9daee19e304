"""Grad-CAM of the trained network, of the same network with random weights, and of altered maps.

Adebayo et al. (2018), *Sanity Checks for Saliency Maps*: a measure that is the same with random
weights is about the architecture and the image, not about what the network has learned.
The trained maps of a sample of images are also measured widened, and with a second object added:
maps with a known answer, which show what a measure distinguishes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from analysis.images.images import Batch
from analysis.networks.classifier import Classifier, built
from analysis.probes.gradcam import grad_cams
from analysis.probes.layers import check_layers, default_layers
from analysis.probes.measures import distributions, doubled, measures, widened
from analysis.probes.positions import cell_positions
from analysis.probes.subject import Subject, Tables
from analysis.results.schemas import DOUBLED, MAPPED, MEASURES, RANDOM, TRAINED, WIDENED

__all__ = ["check_layers", "default_layers", "explain", "randomised"]

# Images that the statistics of BatchNorm are estimated on: each has thousands of pixels.
IMAGES_FOR_STATISTICS = 256
# Scales of blocks begin between 1e-6 and 0.1.
_SMALL = 0.11
_MAPS = ["layer", "weights", "index", "label", "target", *MEASURES]
_MEAN_MAPS = {"layer": "str", "label": "int64", "row": "int64", "column": "int64"}
_MEAN_MAPS |= {"value": "float32", "images": "int64"}


def explain(subject: Subject, done: Tables) -> Tables:
    """Return the tables ``maps`` and ``mean_maps``.

    Needs the table ``predictions``: all maps explain the class that the trained network predicts.
    Without layers in the study there is one, which suits the network.
    """
    assert subject.study.maps is not None, "a run has the analyses that its study asks for"
    layers = subject.study.maps.layers or default_layers(subject.classifier)
    predictions = done["predictions"]
    random = randomised(
        subject.classifier,
        subject.batches(subject.positions[:IMAGES_FOR_STATISTICS]),
        seed=subject.run.seed,
    )
    rows: dict[tuple[str, str], list[pd.DataFrame]] = {
        (weights, layer): [] for weights in MAPPED for layer in layers
    }
    shares: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    positions = {layer: cell_positions(subject.classifier, layer) for layer in layers}
    sample = subject.images.index[subject.sample]
    for batch, known in subject.batches_with(predictions):
        pixels = subject.classifier.resize(batch.pixels)
        target = torch.tensor(known["predicted"].to_numpy()).to(subject.classifier.device)
        identity = known[["index", "label"]].assign(target=known["predicted"])
        sampled = np.flatnonzero(known["index"].isin(sample))
        of_trained, of_random = (
            grad_cams(classifier, pixels, layers=layers, target=target)
            for classifier in (subject.classifier, random)
        )
        for layer in layers:
            trained, other = (
                subject.finite(maps[layer], probe="maps").cpu() for maps in (of_trained, of_random)
            )
            shares[layer].append(distributions(trained).numpy())
            chosen = trained[sampled]
            for weights, maps, which in (
                (TRAINED, trained, slice(None)),
                (RANDOM, other, slice(None)),
                (WIDENED, widened(chosen), sampled),
                (DOUBLED, doubled(chosen), sampled),
            ):
                if len(maps):
                    found = measures(maps, positions=positions[layer], size=subject.classifier.size)
                    rows[weights, layer].append(
                        identity.iloc[which].assign(layer=layer, weights=weights, **found)
                    )
    return {
        "maps": pd.concat(sum(rows.values(), []), ignore_index=True)[_MAPS],
        "mean_maps": _mean_maps(shares, predictions["label"].to_numpy()),
    }


def randomised(classifier: Classifier, images: Iterable[Batch], *, seed: int) -> Classifier:
    """Return the same network with all weights drawn anew, the same for the same seed.

    Every module that has ``reset_parameters`` is reset to PyTorch's own initial values. timm's are
    not kept where they differ: its ResNets begin with a zero scale in the last BatchNorm of each
    block, behind which nothing of the block would be seen. For that reason small constants, which
    scale the blocks of other networks, become 1. Other weights, such as positions of patches, keep
    their values in a random order. The running statistics of BatchNorm are then the mean over
    ``images``, batch by batch, in one forward pass; nothing is trained.
    """
    # A stream of its own: from the run's seed itself come the values that its training began with.
    own = int(np.random.SeedSequence(seed).generate_state(1)[0])
    random = built(classifier.architecture, seed=own)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(own)
        kept = dict(random.named_parameters())
        for name, module in random.named_modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
                for part, _ in module.named_parameters(prefix=name, recurse=False):
                    kept.pop(part, None)
        _shuffle(weight for weight in kept.values() if weight.requires_grad)
        _unscale(random.parameters())
        random = random.to(classifier.device)
        update_bn((batch.pixels for batch in images), random)
    return random.eval().requires_grad_(False)


@torch.no_grad()
def _shuffle(weights: Iterable[Tensor]) -> None:
    for weight in weights:
        values = weight.flatten()
        weight.copy_(values[torch.randperm(len(values))].view_as(weight))


@torch.no_grad()
def _unscale(weights: Iterable[Tensor]) -> None:
    for weight in weights:
        scale, constant = weight.abs().max(), (weight == weight.flatten()[0]).all()
        # Vectors of zeros are biases; a number by itself is a scale.
        if constant and (0 < scale < _SMALL or weight.ndim == scale == 0):
            weight.fill_(1)


def _mean_maps(shares: dict[str, list[np.ndarray]], labels: np.ndarray) -> pd.DataFrame:
    """Return the table ``mean_maps``; a class whose maps are all zero has no rows."""
    rows = []
    for layer, parts in shares.items():
        maps = np.concatenate(parts)
        present = ~np.isnan(maps).any(axis=(1, 2))
        for label in np.unique(labels[present]):
            chosen = maps[present & (labels == label)]
            cells = np.ndenumerate(chosen.mean(axis=0))
            rows += [(layer, label, *place, value, len(chosen)) for place, value in cells]
    return pd.DataFrame(rows, columns=list(_MEAN_MAPS)).astype(_MEAN_MAPS)
