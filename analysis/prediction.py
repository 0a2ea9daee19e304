"""What a trained run predicts: one row an evaluated image, with all ten logits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from analysis.batches import Batch
from analysis.model import Classifier
from analysis.study import CLASSES


@torch.no_grad()
def predict(classifier: Classifier, batch: Batch) -> pd.DataFrame:
    """Return the rows of ``predictions`` for one batch: index, photo, labels and logits."""
    logits = classifier(batch.pixels)
    confidence, predicted = logits.softmax(dim=1).max(dim=1)
    rows = {
        "split": batch.split,
        "index": batch.index,
        "photo": batch.photo,
        "label": batch.labels.cpu().numpy().astype(np.uint8),
        "predicted": predicted.cpu().numpy().astype(np.uint8),
        "confidence": confidence.cpu().numpy(),
    }
    values = logits.cpu().numpy()
    return pd.DataFrame(rows | {f"logit_{digit}": values[:, digit] for digit in range(CLASSES)})
