"""A variant in a few words."""

from __future__ import annotations

from typing import Any

from analysis.claims.claim import Choice
from analysis.claims.registry import ATTACKS, listed

_PHRASES = {
    ("without", "suspects"): "without suspects",
    ("labels", "audited"): "audited labels",
    ("resample", "networks"): "networks resampled",
    ("estimate", "hierarchical"): "hierarchical model",
    ("margin", "free"): "margin not held fixed",
    ("correct", True): "correct predictions",
    ("scaled", True): "scaled by temperature",
}
_TEMPLATES = {
    "classes": "{}",
    "measure": "{}",
    "layer": "{}",
    "attack": "{}",
    "epsilon": "ε = {}",
    "confidence": "confidence ≥ {}",
    "pairs": "{} pairs",
    "bins": "{} parts of the margin",
    "fixed": "{} held fixed",
}


def of(choice: Choice) -> str:
    """Return what a variant changes, as words for a figure or a table."""
    changes = dict(choice.changes)
    changes.pop("test", None)
    words = []
    if "others" in changes:
        classes, others = choice.parameters["classes"], changes.pop("others")
        changes.pop("classes", None)
        words.append(f"{listed(classes)} against {listed(others)}")
    if "left_out" in changes:
        changes.pop("left_out")
        words.append(f"{listed(list(changes.pop('classes', ())))} alone")
    return ", ".join([*words, *(_phrase(key, value) for key, value in changes.items())])


def _phrase(key: str, value: Any) -> str:
    if (key, value if not isinstance(value, list) else "") in _PHRASES:
        return _PHRASES[key, value]
    if isinstance(value, list | tuple):
        value = listed([str(part) for part in value])
    elif key == "attack":
        value = ATTACKS.get(value, value)
    elif isinstance(value, float):
        value = f"{value:g}"
    return _TEMPLATES[key].format(value) if key in _TEMPLATES else f"{key} {value}"
