"""Predictions that somebody else computed: a file of labels and scores, read into tables.

It needs no torch: nothing here or in what follows from it knows a network.
"""

from analysis.predicted.guessing import columns
from analysis.predicted.reading import Given, read

__all__ = ["Given", "columns", "read"]
