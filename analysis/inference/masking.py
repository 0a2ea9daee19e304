"""Whether gradients are masked, so that attacks which follow them say little.

Where logits lie far apart, the gradient of the cross-entropy is too small for float32, and attacks
that follow its sign do not move. Athalye, Carlini and Wagner (2018), *Obfuscated Gradients Give a
False Sense of Security*: another loss, or another start, must not succeed where such an attack
fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.inference.evidence import Evidence
from analysis.results.schemas import PGD, PGD_MARGIN, PGD_RANDOM

# From this share of the images without a gradient on, or where descent on the margin leaves this
# much less accuracy than descent on the cross-entropy, gradients count as masked.
WITHOUT_GRADIENT, LESS_ACCURATE = 0.01, 0.05
_COLUMNS = {PGD: "pgd", PGD_RANDOM: "pgd_random", PGD_MARGIN: "pgd_margin"}


def tables(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """Return the table ``masking``, or none if the gradients or the controls are not known."""
    controlled = [epsilon for attack, epsilon in evidence.attacked if attack == PGD_MARGIN]
    if evidence.gradients is None or not controlled:
        return {}
    (epsilon,) = controlled
    predicted = {name: evidence.under(name, epsilon).predicted for name in _COLUMNS}
    sample = np.logical_and.reduce([each >= 0 for each in predicted.values()])
    right = {
        column: float((predicted[name] == evidence.label)[sample].mean())
        for name, column in _COLUMNS.items()
    }
    # Repeats after the first have no gradients.
    known = ~np.isnan(evidence.gradients["largest"])
    largest, margin = (evidence.gradients[name][known] for name in ("largest", "margin"))
    row = {
        "images": largest.size,
        "zero": float((largest == 0).mean()),
        "vanishing": float((largest < np.finfo(np.float32).tiny).mean()),
        "margin": float(np.median(margin)),
        "epsilon": epsilon,
        "sample": int(sample.sum()),
        **right,
    }
    return {"masking": pd.DataFrame([{**row, "masked": bool(_reasons(row))}])}


def masked(evidence: Evidence) -> str:
    """Return why gradients are masked, as a clause, or nothing if no sign of it was found."""
    reasons = [
        reason
        for table in tables(evidence).values()
        for row in table.to_dict("records")
        for reason in _reasons(row)
    ]
    return " and ".join(reasons)


def _reasons(row: Mapping[Any, Any]) -> list[str]:
    reasons = []
    if row["vanishing"] >= WITHOUT_GRADIENT:
        reasons.append(f"{row['vanishing']:.0%} of the images have no gradient in float32")
    if row["pgd"] - row["pgd_margin"] > LESS_ACCURATE:
        reasons.append(
            f"descent on the margin leaves {row['pgd_margin']:.0%} right where that on the "
            f"cross-entropy leaves {row['pgd']:.0%}"
        )
    return [reason.replace("%", " %") for reason in reasons]
