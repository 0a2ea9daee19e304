"""One analysis of a trained run each: a classifier and images in, tables out."""

from __future__ import annotations

from collections.abc import Callable

from analysis.probes import attacks, maps, predictions
from analysis.probes.subject import Subject, Tables

__all__ = ["PROBES", "Subject", "Tables"]

# Each takes the subject and the tables that the analysis needs.
PROBES: dict[str, Callable[[Subject, Tables], Tables]] = {
    "predictions": predictions.predict,
    "maps": maps.explain,
    "attacks": attacks.attack,
}
