"""The form of a study: a TOML file, read into one validated, frozen object."""

from analysis.study.perturbations import Attacks, Corruptions
from analysis.study.reading import load, named, names
from analysis.study.sections import (
    NAME,
    Augmentation,
    Bootstrap,
    Change,
    Count,
    Images,
    Line,
    Maps,
    Network,
    Paper,
    Paragraph,
    Predictions,
    Share,
    Training,
)
from analysis.study.study import Run, Study

__all__ = [
    "NAME",
    "Attacks",
    "Augmentation",
    "Bootstrap",
    "Change",
    "Corruptions",
    "Count",
    "Images",
    "Line",
    "Maps",
    "Network",
    "Paper",
    "Paragraph",
    "Predictions",
    "Run",
    "Share",
    "Study",
    "Training",
    "load",
    "named",
    "names",
]
