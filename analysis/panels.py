"""Draw single images as a trained network meets them: clean, attacked, and explained.

Everything is computed with the network of the run that evaluated the image, by the same functions
as the cached tables are.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from analysis import attack, datasets, pictures, results, trained
from analysis.batches import Batch, batches
from analysis.datasets import ImageSet
from analysis.errors import UserError
from analysis.files import sha256
from analysis.model import Classifier
from analysis.results import Results
from analysis.saliency import grad_cam
from analysis.study import Run, Study

# Orange is seen on the greys of any photo; a map at its maximum leaves a third of the photo.
_COLOUR = (255, 115, 0)
_STRENGTH = 0.67
_KINDS = {name: "uint8" for name in ("label", "predicted", "attacked_predicted")} | {
    name: "float32" for name in ("confidence", "attacked_confidence")
}


@dataclass(frozen=True)
class Panels:
    """What is drawn of N images, in [0, 1] pixel units.

    ``clean`` (N, 3, height, width) are the images themselves; ``perturbation``, magnified, and
    ``attacked`` (N, 3, size, size) have the network's input size. Of the clean and of the attacked
    images there are ``maps``, each (N, size, size) with 1 at its maximum; ``predicted`` and
    ``confidence``, each (N,); and ``mapped``, bool (N,), false where a map is zero everywhere.
    """

    clean: Tensor
    perturbation: Tensor
    attacked: Tensor
    maps: tuple[Tensor, Tensor]
    predicted: tuple[Tensor, Tensor]
    confidence: tuple[Tensor, Tensor]
    mapped: tuple[Tensor, Tensor]


def panels(classifier: Classifier, batch: Batch, *, layer: str, epsilon: float) -> Panels:
    """Return what is drawn of a batch: FGSM at ``epsilon``, and Grad-CAM of one layer."""
    clean = classifier.resize(batch.pixels)
    art = attack.art_classifier(classifier)
    sign = attack.gradient_sign(art, clean, batch.labels)
    (attacked,) = attack.perturbed(clean, sign, [epsilon])
    with torch.no_grad():
        outcomes = [classifier(seen).softmax(dim=1).max(dim=1) for seen in (clean, attacked)]
    maps = [grad_cam(classifier, seen, layers=[layer])[1][layer] for seen in (clean, attacked)]
    return Panels(
        clean=batch.pixels,
        perturbation=(0.5 + pictures.MAGNIFICATION * (attacked - clean)).clamp(0, 1),
        attacked=attacked,
        maps=(upsampled(maps[0], size=classifier.size), upsampled(maps[1], size=classifier.size)),
        predicted=(outcomes[0].indices, outcomes[1].indices),
        confidence=(outcomes[0].values, outcomes[1].values),
        mapped=(maps[0].amax(dim=(1, 2)) > 0, maps[1].amax(dim=(1, 2)) > 0),
    )


def upsampled(maps: Tensor, *, size: int) -> Tensor:
    """Return maps (N, rows, columns) upsampled bilinearly to (N, size, size), each largest at 1."""
    large = F.interpolate(maps.unsqueeze(1), size=(size, size), mode="bilinear").squeeze(1)
    largest = large.amax(dim=(1, 2), keepdim=True)
    return large / torch.where(largest > 0, largest, 1)


def png(pixels: Tensor) -> bytes:
    """Return pixels (3, height, width) in [0, 1] as a PNG file of 8 bits."""
    levels = (pixels * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return _encoded(Image.fromarray(levels))


def veil(strength: Tensor) -> bytes:
    """Return a map (height, width) in [0, 1] as a PNG file of one colour, as opaque as it is large.

    It is to lie over a picture, of which it leaves a third at its maximum.
    """
    levels = (strength * _STRENGTH * 255).round().to(torch.uint8).cpu().numpy()
    image = Image.new("RGB", levels.shape[::-1], _COLOUR)
    image.putalpha(Image.fromarray(levels))
    return _encoded(image)


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def draw(study: Study, *, data: Path, device: torch.device) -> Path:
    """Draw the pictures of a study and return the file that holds them.

    Raises ``UserError`` where results, data or weights are missing, or not those of the results.
    """
    stored = results.load(study.name)
    chosen = pictures.of_results(stored)
    if chosen.empty:
        raise UserError(f"{study.name} has no error and no flip, so there is nothing to show.")
    runs = [run for run in stored.study.runs if run.name in set(chosen["run"])]
    # All before the first is drawn: what is missing is told at once.
    for run in runs:
        _check_weights(stored, run)
    images = datasets.load(stored.study, data)
    if images.digest() != stored.manifest.data_digest:
        raise UserError(
            f"The images are not those behind the results of {study.name}.\n"
            "Restore the data, or name its folder with --data."
        )
    drawn = [
        _of_run(stored, run, rows, images, device=device)
        for run in runs
        for rows in [chosen[chosen["run"] == run.name]]
    ]
    return pictures.write(stored, pd.concat(drawn).sort_index())


def _check_weights(stored: Results, run: Run) -> None:
    name, path = stored.study.name, trained.weights(stored.study, run)
    if not path.is_file():
        raise UserError(
            f"The weights of run {run.name} of {name} are not there: {path}\n"
            "Name the cache that has them in FAILURE_MODES_CACHE, or delete the results of "
            f"{name} and train it with `python -m analysis run {name}`."
        )
    if sha256(path) != stored.manifest.runs[run.name].training.weights_sha256:
        raise UserError(
            f"{path} holds other weights than those behind the results of {name}.\n"
            f"Delete the results of {name} and compute them with `python -m analysis run {name}`."
        )


def _of_run(
    stored: Results, run: Run, chosen: pd.DataFrame, images: ImageSet, *, device: torch.device
) -> pd.DataFrame:
    """Return the rows of the images that are chosen of one run, under their places in all."""
    study = stored.study
    classifier, _ = trained.read(study, run, device=device)
    official = pd.MultiIndex.from_arrays([images.split, images.index])
    positions = official.get_indexer(pd.MultiIndex.from_frame(chosen[["split", "index"]]))
    layer, epsilon = study.saliency.layers[0], study.controls.logits_epsilon
    parts = [
        panels(classifier, batch, layer=layer, epsilon=epsilon)
        for batch in batches(images, positions, device=device)
    ]
    # Predictions as they come out here: those of the table, but for the device's last digits.
    identity = chosen.drop(columns=["predicted", "confidence"]).assign(epsilon=epsilon)
    found = pd.DataFrame([row for part in parts for row in _rows(part)], index=chosen.index)
    return identity.join(found)[list(pictures.SCHEMA.columns)].astype(_KINDS)


def _rows(part: Panels) -> list[dict[str, object]]:
    return [
        {
            "predicted": int(part.predicted[0][number]),
            "confidence": float(part.confidence[0][number]),
            "attacked_predicted": int(part.predicted[1][number]),
            "attacked_confidence": float(part.confidence[1][number]),
            "clean": png(part.clean[number]),
            "perturbation": png(part.perturbation[number]),
            "attacked": png(part.attacked[number]),
            "clean_map": veil(part.maps[0][number]) if part.mapped[0][number] else None,
            "attacked_map": veil(part.maps[1][number]) if part.mapped[1][number] else None,
        }
        for number in range(len(part.clean))
    ]
