"""How many images of each official split the subset of SVHN has, from the first one on."""

SUBSET = {"train": 1083, "extra": 106, "test": 10_000}
