"""Draw single images as a trained network sees them: clean, attacked, and explained."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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
from analysis.project import paths
from analysis.project.errors import UserError
from analysis.project.foreign import said
from analysis.results import pictures
from analysis.results.schemas import EXAMPLE, PAIR
from analysis.results.store import Derived, Store, derived_if_any, nothing_yet
from analysis.study import Study

# Orange is seen on the greys of any photo; a map at its maximum leaves a third of the photo.
_COLOUR, _STRENGTH = (255, 115, 0), 0.67
# The longer side of a panel, unless the image as given is larger: as large as a thumbnail.
THUMBNAIL = 64
# Beyond a thumbnail, photos are compressed; pairs never are, as that might give them away.
_QUALITY = 75
# The largest size of all pairs together in bytes: further ones are left out.
_ROOM_FOR_PAIRS = 260_000

Columns = dict[str, list[bytes | None]]


def draw(
    study: Study, *, data: Path, device: str | None = None, say: Callable[[str], None] = print
) -> Path:
    """Draw the pictures of a study whose data sets are in ``data``; return the file.

    Images under attack are drawn if the weights of the first run are at hand. Raises ``UserError``
    if nothing is derived, if the study does not allow single images, and if images or weights are
    not those of the results.
    """
    pictures.check_shown(study)
    results = derived_if_any(study.name)
    if results is None or pictures.CHOSEN not in results:
        raise nothing_yet(study.name)
    images = load(study, data)
    if results.record.images != images.digest():
        raise UserError(
            f"The images are not those behind the results of {study.name}.\n"
            "Restore the data, or name its folder with --data."
        )
    chosen = results.table(pictures.CHOSEN)
    attacked = chosen["group"].isin([EXAMPLE, PAIR])
    parts = [crops(images, chosen[~attacked], split=study.images.evaluate)]
    if attacked.any():
        classifier = _network(study, chosen[attacked]["run"].iloc[0], images, device=device)
        if classifier is None:
            say(f"{study.name}: its first run has no weights here, so no attack is drawn.")
        else:
            parts.append(_attacked(classifier, chosen[attacked], images, results=results))
    return pictures.write(results, pd.concat(parts, ignore_index=True))


def attempt(study: Study, *, data: Path, device: str | None, say: Callable[[str], None]) -> None:
    """Draw the pictures of a study, and say so.

    A failure of any kind is a line: results are whole without a picture.
    """
    try:
        path = draw(study, data=data, device=device, say=say)
    except Exception as error:
        reason = str(error) if isinstance(error, UserError) else said(error)
        say(f"{study.name}: no pictures are drawn. {' '.join(reason.split())}")
    else:
        say(f"{study.name}: pictures are drawn, in {paths.shown(path)}.")


def _positions(images: Images, rows: pd.DataFrame, *, split: str) -> Any:
    """Return where images of a split are, by the column ``index``."""
    evaluated = images.positions(split)
    return evaluated[pd.Index(images.index[evaluated]).get_indexer(rows["index"])]


def crops(images: Images, rows: pd.DataFrame, *, split: str) -> pd.DataFrame:
    """Return images of a split as given, by the column ``index``."""
    found = rows[["group", "index"]].assign(**dict.fromkeys(pictures.PANELS))
    pixels = torch.from_numpy(images.pixels[_positions(images, rows, split=split)])
    shown = [encoded(photo(each)) for each in pixels.permute(0, 3, 1, 2) / 255]
    return found.assign(clean=pd.Series(shown, index=found.index, dtype=object))


def _network(study: Study, name: str, images: Images, *, device: str | None) -> Classifier | None:
    """Return the network of a run, or nothing if its weights are not here.

    Raises ``UserError`` if they are not those of the results.
    """
    shape: dict[str, Any] = {
        "classes": len(images.classes),
        "channels": images.channels,
        "images": images.size,
        "device": choose_device(device),
    }
    record = Store.open(study).runs.get(name)
    if record is None:
        return None
    expected = record.training.weights
    if study.trained:
        run = next(run for run in study.runs if run.name == name)
        if not weights.path(study, run).is_file():
            return None
        return weights.read(study, run, expected=expected, **shape).classifier
    if (file := study.files.get("network.weights")) and not file.is_file():
        return None
    return weights.given(study, expected=expected, **shape).classifier


def _attacked(
    classifier: Classifier, rows: pd.DataFrame, images: Images, *, results: Derived
) -> pd.DataFrame:
    """Return the examples and, without maps, the pairs among some rows of the choice."""
    study, attacks = results.study, results.study.attacks
    assert attacks is not None, "without attacks no image is chosen to be shown under one"
    layers, names = results.record.layers, list(images.classes)
    parts = []
    for group, each in rows.groupby("group", sort=False):
        positions = _positions(images, each, split=study.images.evaluate)
        (batch,) = batches(images, positions, device=classifier.device, size=len(each))
        clean, moved = attack(classifier, batch, epsilon=attacks.logits_epsilon)
        if group == PAIR:
            drawn = pairs(clean, moved)
        else:
            drawn = panels(batch, clean, moved)
            for panel, pixels, said in (
                ("clean_map", clean, each["predicted"]),
                ("attacked_map", moved, each["attacked_predicted"]),
            ):
                target = torch.tensor([names.index(name) for name in said], device=pixels.device)
                if layers:
                    drawn[panel] = maps(classifier, batch, pixels, layer=layers[0], target=target)
        found = each[["group", "index"]].assign(**dict.fromkeys(pictures.PANELS))
        columns = {name: pd.Series(v, index=each.index, dtype=object) for name, v in drawn.items()}
        parts.append(found.assign(**columns).dropna(subset="clean"))
    return pd.concat(parts)


def attack(classifier: Classifier, batch: Batch, *, epsilon: float) -> tuple[Tensor, Tensor]:
    """Return a batch at the input size, clean and under FGSM, (N, channels, size, size)."""
    clean = classifier.resize(batch.pixels)
    gradient = loss_gradient(art_classifier(classifier), clean, batch.labels)
    (moved,) = perturbed(clean, gradient, [epsilon])
    return clean, moved


def pairs(clean: Tensor, moved: Tensor) -> Columns:
    """Return images clean and attacked, without loss; the last ones are missing if too large."""
    drawn = [
        (lossless(photo(one)), lossless(photo(other)))
        for one, other in zip(clean, moved, strict=True)
    ]
    sizes = np.cumsum([len(one) + len(other) for one, other in drawn])
    shown: list[Any] = [
        pair if size <= _ROOM_FOR_PAIRS else (None, None)
        for pair, size in zip(drawn, sizes, strict=True)
    ]
    return {"clean": [one for one, _ in shown], "attacked": [other for _, other in shown]}


def panels(batch: Batch, clean: Tensor, moved: Tensor) -> Columns:
    """Return the images of a batch as given, what the attack adds, magnified, and with it."""
    side = _side(batch)
    change = 0.5 + pictures.MAGNIFICATION * (moved - clean)
    return {
        "clean": [encoded(photo(image)) for image in batch.pixels],
        "perturbation": [encoded(_within(photo(image), side)) for image in change],
        "attacked": [encoded(_within(photo(image), side)) for image in moved],
    }


def maps(
    classifier: Classifier, batch: Batch, pixels: Tensor, *, layer: str, target: Tensor
) -> list[bytes | None]:
    """Return Grad-CAM of a layer over each image in grey; ``target`` (N,) is what is explained.

    ``pixels`` are those that the network sees. A map that is zero everywhere is ``None``.
    """
    found = grad_cam(classifier, pixels, layer=layer, target=target)
    large = upsample(found, cell_positions(classifier, layer), classifier.size)
    # Maps lie over the image as given, whose longer side they have at the input size.
    height, width = batch.pixels.shape[-2:]
    scale = min(classifier.size, _side(batch)) / max(height, width)
    shape = (round(height * scale), round(width * scale))
    return [
        explained(photo(image), one, shape) for image, one in zip(batch.pixels, large, strict=True)
    ]


def explained(image: Image.Image, map_: Tensor, shape: tuple[int, int]) -> bytes | None:
    """Return an image in grey with a map over it, both (height, width) in ``shape``.

    The map is one colour, as opaque as it is large; it leaves a third of the image visible at its
    maximum. ``None`` for one that is zero everywhere.
    """
    if not map_.any():
        return None
    large = resize(map_[None, None], shape)[0, 0]
    levels = (large / large.max() * _STRENGTH * 255).round().to(torch.uint8).cpu().numpy()
    grey = image.convert("L").convert("RGB").resize(shape[::-1], Image.Resampling.BILINEAR)
    colour = Image.new("RGB", grey.size, _COLOUR)
    return encoded(Image.composite(colour, grey, Image.fromarray(levels)))


def _side(batch: Batch) -> int:
    """Return the longer side of a panel: that of the image as given, or of a thumbnail."""
    return max(THUMBNAIL, *batch.pixels.shape[-2:])


def _within(image: Image.Image, side: int) -> Image.Image:
    """Return an image that is scaled down if its longer side is larger."""
    scale = side / max(image.size)
    if scale >= 1:
        return image
    shape = round(image.width * scale), round(image.height * scale)
    return image.resize(shape, Image.Resampling.LANCZOS)


def photo(pixels: Tensor) -> Image.Image:
    """Return pixels (channels, height, width) as 8 bits, clipped to [0, 1].

    It is grey for fewer than three channels, and shows the first three of more.
    """
    levels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return Image.fromarray(levels[:3].transpose(1, 2, 0) if len(levels) >= 3 else levels[0])


def encoded(image: Image.Image) -> bytes:
    """Return a PNG file of a thumbnail, and of a larger image the smaller of PNG and JPEG."""
    found = [_file(image, "PNG", optimize=True)]
    if max(image.size) > THUMBNAIL:
        found.append(_file(image, "JPEG", quality=_QUALITY))
    return min(found, key=len)


def lossless(image: Image.Image) -> bytes:
    """Return a WebP file with the pixels as they are, in a second a quarter smaller than PNG."""
    return _file(image, "WEBP", lossless=True, quality=100, method=6)


def _file(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()
