"""Run one analysis over the evaluated images of a trained run, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd
import torch

from analysis.attack import art_classifier, attack
from analysis.batches import SIZE, Batch
from analysis.model import Classifier
from analysis.prediction import predict
from analysis.saliency import explain, mean_maps
from analysis.study import Run, Study

Tables = dict[str, pd.DataFrame]


def predictions(
    study: Study, run: Run, classifier: Classifier, images: Iterator[Batch], done: Tables
) -> Tables:
    """Return the table ``predictions``."""
    return {"predictions": _joined(predict(classifier, batch) for batch in images)}


def saliency(
    study: Study, run: Run, classifier: Classifier, images: Iterator[Batch], done: Tables
) -> Tables:
    """Return the tables ``saliency`` and ``maps``."""
    explained = [explain(classifier, batch, study.saliency.layers) for batch in images]
    rows = _joined(batch.rows for batch in explained)
    return {"saliency": rows, "maps": mean_maps(explained)}


def attacks(
    study: Study, run: Run, classifier: Classifier, images: Iterator[Batch], done: Tables
) -> Tables:
    """Return the table ``attacks``; needs the run's ``predictions`` in the same order of images."""
    device = next(classifier.parameters()).device
    generator = torch.Generator(device).manual_seed(run.seed)
    art = art_classifier(classifier)
    clean = done["predictions"]
    return {
        "attacks": _joined(
            attack(
                art,
                classifier,
                batch,
                clean=clean.iloc[number * SIZE : (number + 1) * SIZE],
                epsilons=study.attack.epsilons,
                generator=generator,
            )
            for number, batch in enumerate(images)
        )
    }


PROBES: dict[str, Callable[[Study, Run, Classifier, Iterator[Batch], Tables], Tables]] = {
    "predictions": predictions,
    "saliency": saliency,
    "attacks": attacks,
}


def _joined(tables: Iterator[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(list(tables), ignore_index=True)
