"""One analysis of a trained run each: a classifier and images in, tables out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.images import Images
from analysis.probes import attacks, attributes, controls, corruptions, maps, predictions
from analysis.probes.subject import Subject, Tables

__all__ = ["OF_IMAGES", "PROBES", "Subject", "Tables"]

# Each takes the subject and the tables that the analysis needs.
PROBES: dict[str, Callable[[Subject, Tables], Tables]] = {
    "predictions": predictions.predict,
    "maps": maps.explain,
    "attacks": attacks.attack,
    "controls": controls.control,
    "corruptions": corruptions.corrupt,
}
# These need no network: each takes the images, and the positions of those that are trained on and
# of those that are evaluated.
OF_IMAGES: dict[str, Callable[[Images, np.ndarray, np.ndarray], Tables]] = {
    "attributes": attributes.describe,
    "duplicates": attributes.duplicates,
}
