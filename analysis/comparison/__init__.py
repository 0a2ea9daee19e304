"""Two studies side by side: paired differences on the same images, and a gate for integration.

It reads stored results alone, and needs no network and no images.
"""

from analysis.comparison.comparing import compare
from analysis.comparison.records import Comparison

__all__ = ["Comparison", "compare"]
