"""Claims as data: registered tests, the claims that use them, and their verdicts."""

# Importing a module of tests registers them.
from analysis.claims import confusions, errors, explanations, fragility, perception
from analysis.claims.claim import Claim, Claims, of

__all__ = [
    "Claim",
    "Claims",
    "confusions",
    "errors",
    "explanations",
    "fragility",
    "of",
    "perception",
]
