"""Draw single images as a trained network sees them: clean, attacked, and explained."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from analysis.images import Batch, Images, batches, load
from analysis.networks import weights
from analysis.networks.classifier import Classifier, choose_device, resize
from analysis.probes.attacks import art_classifier, loss_gradient, perturbed
from analysis.probes.gradcam import grad_cam
from analysis.probes.positions import cell_positions, upsample
from analysis.project.errors import UserError
from analysis.results import pictures
from analysis.results.records import RunRecord
from analysis.results.store import Store, derived
from analysis.study import Run, Study

# Orange is seen on the greys of any photo; a map at its maximum leaves a third of the photo.
_COLOUR, _STRENGTH = (255, 115, 0), 0.67


def draw(study: Study, *, data: Path, device: str | None = None) -> Path:
    """Draw the pictures of a study whose data sets are in ``data``; return the file.

    Each image is seen by the network of the run that evaluated it. Raises ``UserError`` if results
    or weights are missing, or images or weights are not those of the results.
    """
    store = Store.open(study)
    if not study.attacks or not study.maps:
        raise UserError(
            f"Images are drawn under attack and explained: {study.name} needs [attacks] and [maps]."
        )
    chosen = pictures.choose(store)
    if chosen.empty:
        raise UserError(f"{study.name} has no error and no flip, so there is nothing to show.")
    images, on = load(study, data), choose_device(device)
    runs = {run.name: run for run in study.runs}
    evaluated = images.positions(study.images.evaluate)
    layer, epsilon = derived(study.name).record.layers[0], study.attacks.logits_epsilon
    parts = []
    for name, rows in chosen.groupby("run", sort=False):
        record = store.runs[name]
        if record.images != images.digest():
            raise UserError(
                f"The images are not those behind the results of {study.name}.\n"
                "Restore the data, or name its folder with --data."
            )
        classifier = _network(study, runs[name], images, record=record, device=on)
        positions = evaluated[rows["index"]]
        (batch,) = batches(images, positions, device=on, size=len(rows))
        drawn = panels(
            classifier,
            batch,
            predicted=torch.tensor(rows["predicted"].to_numpy(), device=on),
            attacked_predicted=torch.tensor(rows["attacked_predicted"].to_numpy(), device=on),
            layer=layer,
            epsilon=epsilon,
        )
        parts.append(rows.assign(**drawn))
    table = pd.concat(parts).sort_index(kind="stable")
    for column in ("label", "predicted", "attacked_predicted"):
        table[column] = [images.classes[position] for position in table[column]]
    return pictures.write(derived(study.name), table)


def _network(
    study: Study, run: Run, images: Images, *, record: RunRecord, device: torch.device
) -> Classifier:
    """Return the network of a run. Raises ``UserError`` if it is not the one of its results."""
    shape: dict[str, Any] = {
        "classes": len(images.classes),
        "channels": images.channels,
        "images": images.size,
        "device": device,
    }
    expected = record.training.weights
    if study.trained:
        return weights.read(study, run, expected=expected, **shape).classifier
    found = weights.given(study, **shape)
    if expected not in (None, found.digest):
        raise UserError(
            f"network.weights: {study.name} has other weights than those behind its results.\n"
            "Restore them, or run the study again."
        )
    return found.classifier


def panels(
    classifier: Classifier,
    batch: Batch,
    *,
    predicted: Tensor,
    attacked_predicted: Tensor,
    layer: str,
    epsilon: float,
) -> dict[str, list[bytes | None]]:
    """Return what is drawn of each image: FGSM at ``epsilon``, and Grad-CAM of one layer.

    The maps explain the classes (N,) that are predicted of the image and of the attacked one.
    """
    clean = classifier.resize(batch.pixels)
    gradient = loss_gradient(art_classifier(classifier), clean, batch.labels)
    (attacked,) = perturbed(clean, gradient, [epsilon])
    # Maps lie over the image as given, whose longer side they have at the input size.
    height, width = batch.pixels.shape[-2:]
    scale = classifier.size / max(height, width)
    shape = (round(height * scale), round(width * scale))
    positions = cell_positions(classifier, layer)
    maps, attacked_maps = (
        upsample(
            grad_cam(classifier, pixels, layer=layer, target=target), positions, classifier.size
        )
        for pixels, target in ((clean, predicted), (attacked, attacked_predicted))
    )
    return {
        "clean": [png(image) for image in batch.pixels],
        "perturbation": [
            png(change) for change in 0.5 + pictures.MAGNIFICATION * (attacked - clean)
        ],
        "attacked": [png(image) for image in attacked],
        "clean_map": [veil(each, shape) for each in maps],
        "attacked_map": [veil(each, shape) for each in attacked_maps],
    }


def png(pixels: Tensor) -> bytes:
    """Return pixels (channels, height, width) as a PNG file of 8 bits, clipped to [0, 1].

    It is grey for fewer than three channels, and shows the first three of more.
    """
    levels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    shown = levels[:3].transpose(1, 2, 0) if len(levels) >= 3 else levels[0]
    return _encoded(Image.fromarray(shown))


def veil(map_: Tensor, size: tuple[int, int]) -> bytes | None:
    """Return a map at the input size as a PNG file of one colour, as opaque as the map is large.

    It is to lie over a picture, and leaves a third of it visible at its maximum. A map that is zero
    everywhere is ``None``.
    """
    if not map_.any():
        return None
    large = resize(map_[None, None], size)[0, 0]
    levels = (large / large.max() * _STRENGTH * 255).round().to(torch.uint8).cpu().numpy()
    image = Image.new("RGB", levels.shape[::-1], _COLOUR)
    image.putalpha(Image.fromarray(levels))
    return _encoded(image)


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
