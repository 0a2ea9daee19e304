"""Numbers of made-up evidence, pinned.

What is derived is stale when ``DERIVED_VERSION`` in ``analysis/pipeline.py`` was raised, not when
the code was touched. Whoever changes the numbers raises it, and pins the new ones with
``pytest --force-regen``.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_regressions.num_regression import NumericRegressionFixture

from analysis import claims, study
from analysis.claims.judge import judge
from analysis.inference import confidence, estimates, measures
from analysis.results.schemas import MEASURES
from tests.inference.simulated import World, evidence

WORLD = World(
    error=np.array([0.05, 0.06, 0.1, 0.14, 0.14, 0.15, 0.16, 0.16, 0.4, 0.2]),
    answers=(1 - np.eye(10)) / 16 + np.roll(np.eye(10), 3, axis=1) / 2,
    diffuse=0.5,
    flips=(0.2, 0.5),
)
# Other kernels round otherwise, which was seen to move numbers by up to 0.0003.
TOLERANCE = {"atol": 1e-3, "rtol": 0}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_numbers_change_with_their_version_alone(num_regression: NumericRegressionFixture) -> None:
    # Shares of four repeats are exact in any order of adding, and so are ties between them.
    data = evidence(WORLD, groups=600, repeats=4, resamples=120, seed=1)
    chosen = study.load("svhn")
    numbers = {
        f"{record.id} {part.name}": [part.effect, part.simultaneous_low, part.high]
        for record in judge(chosen, claims.of(chosen), data, None)[0]
        for part in record.study.parts
    }
    generator = np.random.default_rng(2)
    pointed = (generator.random(data.predicted.shape) < 0.6).astype(float)
    data.maps["layer"].update(
        {name: generator.normal(size=pointed.shape) - pointed for name in MEASURES}
    )
    data.pointed["layer"] = pointed
    tables = confidence.tables(data, level=0.9, resamples=100, epsilon=0.015)
    tables["estimates"] = estimates.estimates(data, None, level=0.9)
    tables["map_measures"] = measures.table(data, level=0.9, resamples=100)
    for name, table in tables.items():
        for column in table.columns.intersection(
            ["value", "error", "auroc", "accuracy", "temperature"]
        ):
            ends = [table[end].mean() for end in ("low", "high")]
            numbers[f"{name} {column}"] = [table[column].mean(), *ends]
    num_regression.check(numbers, default_tolerance=TOLERANCE)
