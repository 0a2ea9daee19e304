"""Whether this machine has the memory that a study needs, before any work is done."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from analysis.project.errors import UserError
from analysis.study.study import Study

# Bytes of a value, images that are probed at a time, and the side of those of streetdigits.
_FLOAT, _BATCH, _SIDE = 4, 64, 32
# Copies of a batch that there are at once: as given, resized, moved, and the gradient.
_COPIES = 4
# Tables with logits: predictions, attacks and controls.
_LOGITS = 3


def check(study: Study) -> None:
    """Raise ``UserError`` if what a study says alone is more than this machine can hold."""
    _compare(study, _of_study(study))


def check_images(study: Study, *, images: int, groups: int, classes: int) -> None:
    """Raise ``UserError`` if what is computed of so many evaluated images is more than that."""
    logits = _LOGITS * images * classes * _FLOAT
    weights = (1 + study.bootstrap.resamples) * groups * _FLOAT
    _compare(study, iter([("images", logits), ("bootstrap.resamples", weights)]))


def _of_study(study: Study) -> Iterator[tuple[str, int]]:
    """Yield keys of a study with the bytes that they need."""
    pixel = 3 * _FLOAT * _COPIES
    if study.images.draw is not None:
        yield "images.draw", (study.images.draw.train + study.images.draw.test) * _SIDE**2 * 3
    if study.network is not None and study.network.size is not None:
        yield "network.size", _BATCH * study.network.size**2 * pixel
    if study.training is not None:
        largest = max(stage.size for stage in study.training.stages)
        yield "training.batch_size", study.training.batch_size * largest**2 * pixel


def _compare(study: Study, needs: Iterator[tuple[str, int]]) -> None:
    free = psutil.virtual_memory().available
    for key, needed in needs:
        if needed > free:
            raise UserError(
                f"{study.name}.toml: {key}: this needs more than {needed / 1e9:,.1f} GB of "
                f"memory, of which {free / 1e9:,.1f} GB are free."
            )
