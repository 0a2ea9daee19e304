"""How long the work that is left of a study will take, from a short measurement on the device."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from analysis import batches, model, randomisation, trained, training
from analysis.datasets import ImageSet
from analysis.prediction import predict
from analysis.sampling import sample
from analysis.split import divide
from analysis.state import RunState
from analysis.study import Study

# Of each kind of step, as many are timed as fit into half a second, but no more.
MOST = 20
_SECONDS = 0.5
# In forward passes: a gradient with respect to the pixels, and Grad-CAM, which stops earlier.
_GRADIENT = 2.0
_GRAD_CAM = 1.5


@dataclass(frozen=True)
class Forecast:
    """Seconds of each step that is left, by its name, and on what they were measured."""

    costs: dict[str, float]
    measured: str

    @property
    def seconds(self) -> float:
        """Return the seconds of all steps together."""
        return sum(self.costs.values())


def forecast(
    study: Study, images: ImageSet, todo: Sequence[RunState], *, device: torch.device
) -> Forecast:
    """Time a few steps on networks of their own and return what all that is left will take.

    Nothing that is trained later depends on it: random numbers come from a fork of the generator.
    Raises ``UserError`` for a damaged checkpoint, and for images that do not fill a batch.
    """
    epochs, passes = _epochs_left(study, images, todo), _passes_left(study, images, todo)
    fitted, evaluated = divide(study, study.runs[0], images)
    most = min(MOST, max(1, len(fitted) // study.training.batch_size))
    few = fitted[: most * study.training.batch_size]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        trials = {
            size: timed(training.rehearsal(study, images, few, size=size, device=device), most=most)
            for size in sorted({size for size, _ in epochs.values()})
        }
        prediction = _prediction(study, images, evaluated, device=device)
        a_batch, batch_count = timed(prediction) if passes else (0.0, 0)
    a_pass = a_batch / min(batches.SIZE, len(evaluated))
    costs = {name: steps * trials[size][0] for name, (size, steps) in epochs.items()}
    costs |= {name: count * a_pass for name, count in passes.items()}
    steps = sum(count for _, count in trials.values())
    measured = (
        _counted(steps, "step", "steps") if steps else _counted(batch_count, "batch", "batches")
    )
    return Forecast(costs, measured)


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _epochs_left(
    study: Study, images: ImageSet, todo: Sequence[RunState]
) -> dict[str, tuple[int, int]]:
    """Return the input size and the number of steps of each epoch that is left."""
    found = {}
    for state in todo:
        fitted, _ = divide(study, state.run, images)
        steps = len(fitted) // study.training.batch_size
        done = trained.epochs_done(study, state.run)
        for epoch, size in list(enumerate(study.training.sizes, start=1))[done:]:
            found[f"{state.run.name} epoch {epoch}"] = (size, steps)
    return found


def _passes_left(study: Study, images: ImageSet, todo: Sequence[RunState]) -> dict[str, float]:
    """Return how many images each analysis that is left sends through the network."""
    drawn = sample(images, photos=study.controls.photos, seed=study.seed)
    found = {}
    for state in todo:
        _, evaluated = divide(study, state.run, images)
        sampled = len(np.intersect1d(evaluated, drawn))
        for name in state.todo:
            passes = passes_of(study, name, evaluated=len(evaluated), sampled=sampled)
            found[f"{state.run.name} {name}"] = passes
    return found


def passes_of(study: Study, name: str, *, evaluated: int, sampled: int) -> float:
    """Return how many images an analysis sends through the network, roughly.

    ``evaluated`` images, of which ``sampled`` are in the study's sample of photos.
    """
    settings = study.controls
    native = _GRADIENT + len(settings.native_epsilons)
    descent = len(settings.epsilons) * (settings.steps * _GRADIENT + 1)
    return {
        "predictions": evaluated,
        "saliency": evaluated * _GRAD_CAM,
        "attacks": evaluated * (_GRADIENT + 2 * (len(study.attack.epsilons) - 1)),
        "controls": evaluated * (native + _GRADIENT + 1) + sampled * (2 * _GRADIENT + descent),
        "randomised": evaluated * _GRAD_CAM + randomisation.IMAGES,
        "localisation": evaluated * 2 * _GRAD_CAM + randomisation.IMAGES,
    }[name]


def timed(
    work: Callable[[int], object],
    *,
    most: int = MOST,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, int]:
    """Return the seconds of one step of ``work``, and how many steps were timed.

    ``work`` does as many steps as it is told, at most ``most``, and waits for the device. The very
    first step is not timed: much is made at first use.
    """

    def taken(count: int) -> float:
        begin = clock()
        work(count)
        return (clock() - begin) / count

    work(1)
    first = taken(1)
    count = min(most, int(_SECONDS / first)) if first else most
    return (taken(count), count) if count > 1 else (first, 1)


def _prediction(
    study: Study, images: ImageSet, evaluated: np.ndarray, *, device: torch.device
) -> Callable[[int], None]:
    """Return a function that predicts one batch so many times."""
    classifier = model.build(study.model, seed=study.seed, device=device).eval()
    batch = next(batches.batches(images, evaluated, device=device))

    def work(count: int) -> None:
        for _ in range(count):
            predict(classifier, batch)

    return work
