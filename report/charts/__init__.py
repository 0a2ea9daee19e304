"""The figures of the paper: each a pure function from a table to an Altair chart."""

from report.charts.claims import claims
from report.charts.confidence import confidences, reliability, selective
from report.charts.errors import class_error, confusion
from report.charts.explanations import maps, saliency_by_class
from report.charts.explorer import Choice, explorer
from report.charts.fragility import (
    accuracy_against_epsilon,
    aggregate,
    connection,
    perturbations,
)
from report.charts.style import ORIGINAL, OURS, not_measured

__all__ = [
    "Choice",
    "ORIGINAL",
    "OURS",
    "accuracy_against_epsilon",
    "aggregate",
    "claims",
    "class_error",
    "confidences",
    "confusion",
    "connection",
    "explorer",
    "maps",
    "not_measured",
    "perturbations",
    "reliability",
    "saliency_by_class",
    "selective",
]
