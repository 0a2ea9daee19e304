"""What a trained run predicts: one row for each evaluated image, with all logits."""

from __future__ import annotations

import pandas as pd

from analysis.probes.subject import Subject, Tables


def predict(subject: Subject, done: Tables) -> Tables:
    """Return the table ``predictions``."""
    tables = []
    for batch in subject.batches():
        logits = subject.logits(batch.pixels, probe="predictions")
        confidence, predicted = logits.softmax(dim=1).max(dim=1)
        columns = {
            "index": batch.index,
            "group": batch.group,
            "label": batch.labels.cpu().numpy(),
            "predicted": predicted.cpu().numpy(),
            "confidence": confidence.cpu().numpy(),
            "logits": list(logits.cpu().numpy()),
        }
        tables.append(pd.DataFrame(columns))
    return {"predictions": pd.concat(tables, ignore_index=True)}
