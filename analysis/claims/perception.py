"""Tests about what people see."""

from __future__ import annotations

import numpy as np

from analysis.claims.judging import Finding
from analysis.claims.registry import test
from analysis.inference.answers import proportion
from analysis.inference.evidence import ALONE, Evidence, NotTested
from analysis.study import Share


@test(
    "share recognised",
    sentence="The share of pairs of an image and the same under FGSM at ε = {epsilon} in which "
    "readers recognise the attacked one, 0.5 by guessing,",
    clause="readers hardly tell attacked images from clean ones",
    sides=("below",),
    effect="share recognised",
    unit="share",
    asks=True,
)
def share_recognised(evidence: Evidence, *, epsilon: Share) -> Finding:
    """Return the share of pairs in which readers found the attacked image."""
    if evidence.alone:
        raise NotTested(ALONE)
    answers = [right for (_, shown), right in evidence.answers.items() if shown == epsilon]
    known = [right for right in answers if not np.isnan(right).all()]
    if not known:
        raise NotTested("nobody has been asked")
    effect, about = proportion(np.stack(known))
    return Finding(effect, reason=about)
