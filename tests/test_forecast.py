"""The forecast: measured on the device, in little time, and without a trace in what is trained."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from analysis import datasets, forecast, pipeline, results, state, study, trained
from analysis.analyses import ANALYSES
from analysis.forecast import timed
from analysis.probes import PROBES, Subject
from tests.conftest import CPU, small_study
from tests.playground import Playground


def forecast_of(place: Playground) -> forecast.Forecast:
    chosen = study.load(place.study)
    todo = [s for s in state.states(chosen, results.load_if_any("tiny")) if not s.done]
    return forecast.forecast(chosen, datasets.load(chosen, place.folder), todo, device=CPU)


# ------------------------------------------------------------------------------ what it says


def test_every_step_that_is_left_has_a_cost(playground: Playground) -> None:
    found = forecast_of(playground)
    steps = [*(f"epoch {number}" for number in (1, 2, 3)), *ANALYSES]
    assert sorted(found.costs) == sorted(
        f"{run} {step}" for run in ("r0f0", "r1f0") for step in steps
    )
    assert min(found.costs.values()) > 0
    assert found.seconds == pytest.approx(sum(found.costs.values()))
    # Both runs are the same work; four times as many pixels are more of it, and attacks more than
    # predictions.
    assert found.costs["r0f0 epoch 2"] == found.costs["r1f0 epoch 3"]
    assert found.costs["r0f0 epoch 2"] > found.costs["r0f0 epoch 1"]
    assert found.costs["r0f0 attacks"] == pytest.approx(6 * found.costs["r0f0 predictions"])


def test_it_is_said_before_the_first_step(playground: Playground) -> None:
    class Begun(Exception):
        pass

    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            raise Begun

    with pytest.raises(Begun):
        pipeline.run(study.load(playground.study), data=playground.folder, device=CPU, say=say)
    assert said[0].startswith("tiny: 2 runs to do, about ")
    assert f" s on {trained.describe(CPU)} (measured on " in said[0]
    # Five batches an epoch, at two sizes.
    assert 2 <= int(said[0].split("measured on ")[1].split(" step")[0]) <= 10
    assert said[1].startswith("r0f0 epoch 1")


def test_only_what_is_left_counts(finished: Playground) -> None:
    finished.table("attacks", "r1f0").unlink()
    found = forecast_of(finished)
    assert list(found.costs) == ["r1f0 attacks"] and " batch" in found.measured


def test_analyses_are_worth_the_passes_that_they_make(digits: datasets.ImageSet) -> None:
    # Counted by a hook, images forwards, on the study's own probes.
    chosen = small_study(controls={"photos": 5, "steps": 3, "epsilons": [0.02]})
    classifier = trained.models.build(chosen.model, seed=0, device=CPU)
    classifier = classifier.eval().requires_grad_(False)
    forwards: list[int] = []
    classifier.register_forward_hook(lambda module, inputs, output: forwards.append(len(output)))
    evaluated = digits.positions("test")
    subject = Subject(chosen, chosen.runs[0], classifier, digits, evaluated)
    done: dict = {}
    for name in ("predictions", "saliency", "attacks", "controls"):
        forwards.clear()
        done |= PROBES[name](subject, done)
        passes = forecast.passes_of(
            chosen, name, evaluated=len(evaluated), sampled=len(subject.sample)
        )
        # Going backwards is worth no more than going forwards once more.
        assert sum(forwards) <= passes <= 2 * sum(forwards), name


# ------------------------------------------------------------------------------ what it costs


class Work:
    """Work whose steps take so long on a clock of its own, the first one longer."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now, self.done = seconds, 0.0, 0

    def __call__(self, count: int) -> None:
        self.now += self.seconds * count + (0 if self.done else 100)
        self.done += count

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize(
    "seconds, measured, done",
    [(0.001, 20, 22), (0.1, 5, 7), (0.3, 1, 2), (60.0, 1, 2), (0.0, 20, 22)],
)
def test_few_steps_are_timed_and_not_the_first(seconds: float, measured: int, done: int) -> None:
    work = Work(seconds)
    assert timed(work, clock=work.clock) == (pytest.approx(seconds), measured)
    assert work.done == done


def test_no_more_steps_are_timed_than_there_are() -> None:
    work = Work(0.001)
    assert timed(work, most=3, clock=work.clock)[1] == 3


def test_it_costs_far_less_than_a_second_of_a_tiny_study(playground: Playground) -> None:
    begin = time.process_time()
    forecast_of(playground)
    # On its own processor time, however busy the machine is.
    assert time.process_time() - begin < 1


# ------------------------------------------------------------------------------ no trace


def test_it_draws_no_random_numbers_and_leaves_no_files(playground: Playground) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    files = sorted(playground.folder.rglob("*"))
    forecast_of(playground)
    assert torch.equal(torch.get_rng_state(), before)
    assert sorted(playground.folder.rglob("*")) == files


def test_trained_weights_are_those_of_a_run_without_it(
    playground: Playground, undisturbed: Playground
) -> None:
    # Trained by itself, with no pipeline around it and nothing measured.
    chosen = study.load(playground.study)
    images = datasets.load(chosen, playground.folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    trained.train(chosen, chosen.runs[0], images, device=CPU)
    torch.set_num_threads(threads)
    ours, theirs = (
        {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}
        for path in (playground.weights()[0], undisturbed.weights()[0])
    )
    assert ours == theirs


def test_random_numbers_of_a_network_with_dropout_are_left_alone(
    playground: Playground, tmp_path: Path
) -> None:
    playground.edit(
        'name = "test_resnet", size', 'name = "test_resnet", arguments = { drop_rate = 0.5 }, size'
    )
    torch.manual_seed(5)
    before = torch.get_rng_state()
    forecast_of(playground)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert not torch.equal(torch.get_rng_state(), before)
