"""Training: the same every time, the same after a stop, and what its settings say.

On one thread, where sums are added in one order.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.images import Images
from analysis.networks import tensors, training
from analysis.networks.classifier import Classifier, build
from analysis.project.errors import UserError
from analysis.study import Network, Run, Study
from tests.conftest import CPU, small_study

AUGMENTED = {"rotation": 8, "scale": 0.12, "shift": 0.08, "contrast": 0.3, "inversion": 0.5}
# Each adds what a checkpoint might forget: moments, averages, draws, sizes, half precision.
RECIPES = {
    "plain": {},
    "averaged": {"averaging": 0.9},
    "all": {
        "schedule": "one-cycle",
        "warmup": 0.3,
        "averaging": 0.9,
        "precision": "bfloat16",
        "augmentation": AUGMENTED,
        "stages": [{"size": 32, "epochs": 2}, {"size": 48, "epochs": 2}],
    },
}
IMAGES = 40


def recipe(**settings: object) -> Study:
    plain = {"learning_rate": 2e-3, "batch_size": 16, "stages": [{"size": 32, "epochs": 4}]}
    return small_study(network={"model": "test_resnet", "size": 32}, training={**plain, **settings})


def fit(study: Study, images: Images, folder: Path, *, count: int = IMAGES, **more):
    return training.fit(
        study,
        study.runs[0],
        images,
        positions=np.arange(count),
        device=CPU,
        checkpoint=folder / "checkpoint",
        **more,
    )


def rows(history: list[training.Epoch]) -> list[tuple[int, float, float]]:
    """Return what must not depend on the clock."""
    return [(row["epoch"], row["train_loss"], row["learning_rate"]) for row in history]


class Stopped(Exception):
    """The power is out."""


@pytest.mark.parametrize("name", RECIPES)
def test_a_stopped_run_ends_in_the_same_weights(digits: Images, tmp_path: Path, name: str) -> None:
    study = recipe(**RECIPES[name])
    expected, history = fit(study, digits, tmp_path / "whole")
    for last in range(1, 5):
        path = tmp_path / f"stopped after {last}"

        def stop(row: training.Epoch, last: int = last) -> None:
            if row["epoch"] == last:
                raise Stopped

        with pytest.raises(Stopped):
            fit(study, digits, path, report=stop)
        reported: list[training.Epoch] = []
        torch.manual_seed(last)
        again, history_again = fit(study, digits, path, report=reported.append)
        assert [row["epoch"] for row in reported] == list(range(last + 1, 5))
        assert rows(history_again) == rows(history) and not again.training
        assert tensors.digest(again.state_dict()) == tensors.digest(expected.state_dict())
        assert [file.name for file in path.iterdir()] == ["checkpoint"]


ROW = {"epoch": 1, "train_loss": 1.0, "learning_rate": 0.1, "seconds": 2.0}


@pytest.mark.parametrize(
    "history",
    [
        "odd",
        None,
        [1, 2],
        {"epoch": 1},
        {name: [value] for name, value in ROW.items()},
        [ROW | {"odd": 1}],
        [ROW | {"epoch": 7}],
        [ROW | {"train_loss": None}],
        [ROW | {"train_loss": "x"}],
        [ROW, ROW],
    ],
)
def test_what_is_no_history_of_a_training(history: object) -> None:
    assert len(training.checked([ROW, ROW | {"epoch": 2}])) == 2
    with pytest.raises(ValueError):
        training.checked(history)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ("damaged", "is truncated or altered"),
        ("recipe", "is not of run r0f0 of small with this recipe"),
        ("run", "is not of run r0f0 of small"),
        ("parts", "does not fit the study's network"),
        ("shapes", "does not fit the study's network"),
        ("one number", "does not fit the study's network"),
        ("type", "does not fit the study's network"),
        ("more", "does not fit the study's network"),
        ("history", "has no history of this training"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_in_two_lines(
    digits: Images, tmp_path: Path, problem: str, message: str
) -> None:
    study = recipe(stages=[{"size": 32, "epochs": 2}], averaging=0.9)
    fit(study, digits, tmp_path)
    path = tmp_path / "checkpoint"
    saved, facts = tensors.read(path)
    if problem == "recipe":
        study = recipe(stages=[{"size": 32, "epochs": 3}], averaging=0.9)
    elif problem == "run":
        facts["run"] = Run(0, 1, seed=1).name
    elif problem == "parts":
        saved.popitem()
    elif problem == "shapes":
        saved["classifier/network.fc.weight"] = torch.zeros(7, 3)
    elif problem == "one number":
        saved["optimizer/network.fc.weight/exp_avg"] = torch.zeros(())
    elif problem == "type":
        saved["optimizer/network.fc.weight/exp_avg"] = saved[
            "optimizer/network.fc.weight/exp_avg"
        ].double()
    elif problem == "more":
        saved["optimizer/network.fc.weight/odd"] = torch.zeros(())
    elif problem == "history":
        facts["history"] = [facts["history"][0] | {"epoch": number} for number in range(1, 9)]
    tensors.write(path, saved, facts)
    if problem == "damaged":
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"checkpoint {message}") as caught:
        fit(study, digits, tmp_path)
    assert str(caught.value).splitlines()[1:] == ["Delete it, and run the study again."]


def test_a_diverged_run_keeps_the_epoch_before(digits: Images, tmp_path: Path) -> None:
    broken = recipe(stages=[{"size": 32, "epochs": 40}])
    assert broken.training is not None
    steep = broken.training.model_copy(update={"learning_rate": 1e30})
    broken = broken.model_copy(update={"training": steep})
    with pytest.raises(UserError, match=r"not finite in epoch 1.*diverged.\n.*learning_rate"):
        fit(broken, digits, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_is_plain_adamw(digits: Images, tmp_path: Path) -> None:
    """Against a loop with PyTorch's own steps, on one batch of all images, whatever its order."""
    study = recipe(batch_size=20, stages=[{"size": 48, "epochs": 4}], learning_rate=1e-3)
    _, history = fit(study, digits, tmp_path, count=20)
    network = build(study.network, classes=10, seed=study.runs[0].seed, device=CPU).network
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    pixels = torch.tensor(digits.pixels[:20]).permute(0, 3, 1, 2).float()
    pixels = F.interpolate(pixels / 127.5 - 1, size=(48, 48), mode="bilinear")
    labels = torch.tensor(digits.labels[:20])
    for row in history:
        loss = F.cross_entropy(network(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert row["train_loss"] == pytest.approx(loss.item(), rel=1e-2)
    assert history[-1]["train_loss"] < 0.9 * history[0]["train_loss"]


def test_images_grow_through_the_stages(
    digits: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides, original = [], Classifier.at_own_size

    def watched(self: Classifier, pixels: Tensor) -> Tensor:
        sides.append(pixels.shape[-1])
        return original(self, pixels)

    monkeypatch.setattr(Classifier, "at_own_size", watched)
    stages = [{"size": 32, "epochs": 1}, {"size": 48, "epochs": 2}]
    for settings in ({}, {"augmentation": AUGMENTED}):
        sides.clear()
        fit(recipe(stages=stages, **settings), digits, tmp_path / str(len(settings)))
        assert sides == 2 * [32] + 4 * [48]


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.6])
def test_one_cycle_rises_in_a_line_and_falls_as_a_cosine(
    digits: Images, tmp_path: Path, warmup: float
) -> None:
    study = recipe(schedule="one-cycle", warmup=warmup, stages=[{"size": 32, "epochs": 5}])
    _, history = fit(study, digits, tmp_path, count=64)
    steps, peak = 4, 2e-3
    total = 5 * steps
    rising = round(warmup * total)
    for row in history:
        step = row["epoch"] * steps - 1
        if step < rising:
            expected = peak / 25 + (peak - peak / 25) * step / rising
        else:
            expected = peak * (1 + math.cos(math.pi * (step - rising) / (total - rising))) / 2
        assert row["learning_rate"] == pytest.approx(expected, rel=1e-9)
    assert history[-1]["learning_rate"] < 0.05 * peak


def test_the_average_is_the_documented_one(
    digits: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Computed here in float64 from the weights after each step.

    timm's warm-up: the decay of step t is 1 - t^(-2/3), 0 for the first two steps, at most 0.6.
    """
    after: list[dict[str, Tensor]] = []
    original = timm.utils.ModelEmaV3.update

    def watched(self, model: Classifier, step: int | None = None) -> None:
        after.append({name: t.detach().double() for name, t in model.state_dict().items()})
        original(self, model, step=step)

    monkeypatch.setattr(timm.utils.ModelEmaV3, "update", watched)
    averaged, _ = fit(recipe(averaging=0.6), digits, tmp_path)
    decays = [0 if step < 2 else min(0.6, 1 - step ** (-2 / 3)) for step in range(8)]
    assert decays[2] < 0.6 == decays[-1], "both the warm-up and the limit are met"
    expected = dict(after[0])
    for decay, weights in zip(decays, after, strict=True):
        for name, tensor in weights.items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor
    for name, tensor in averaged.state_dict().items():
        # Counters are not averaged.
        right = expected[name] if tensor.is_floating_point() else after[-1][name]
        assert torch.allclose(tensor.double(), right, atol=1e-5), name


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_memory_map_is_read_batch_by_batch_and_gives_the_same_weights(
    digits: Images, tmp_path: Path, channels: int
) -> None:
    study = recipe(augmentation=AUGMENTED, stages=[{"size": 32, "epochs": 2}])
    pixels = np.repeat(digits.pixels[:IMAGES, ..., :1], channels, axis=3)
    given = {"counts": {"train": IMAGES}, "labels": digits.labels[:IMAGES]}
    path = tmp_path / "pixels"
    held = np.memmap(path, dtype=np.uint8, mode="w+", shape=pixels.shape)
    held[:] = pixels
    digests = set()
    for number, each in enumerate((pixels, held)):
        images = Images.of_splits(pixels=each, classes=digits.classes, **given)
        found, _ = fit(study, images, tmp_path / str(number))
        digests.add(tensors.digest(found.state_dict()))
    assert len(digests) == 1
    assert found.network.conv1[0].in_channels == channels


def test_a_size_that_the_network_does_not_take_is_found_before_training(
    digits: Images, tmp_path: Path
) -> None:
    stages = [{"size": 64, "epochs": 1}, {"size": 72, "epochs": 1}]
    study = recipe(stages=stages).model_copy(update={"network": Network(model="test_vit", size=64)})
    with pytest.raises(UserError, match="training.stages: 'test_vit' does not work at 72×72"):
        fit(study, digits, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_begins_with_the_weights_of_a_file(digits: Images, tmp_path: Path) -> None:
    source = tmp_path / "start.pth"
    torch.save(timm.create_model("test_resnet", num_classes=7).state_dict(), source)
    begun, said = [], []
    study = recipe(stages=[{"size": 32, "epochs": 2}], learning_rate=1e-9, weight_decay=0.0)
    network = Network(model="test_resnet", size=32, start=str(source))
    study = study.model_copy(update={"network": network})

    def stop(row: training.Epoch) -> None:
        begun.append(row)
        if len(begun) == 1:
            raise Stopped

    with pytest.raises(Stopped):
        fit(study, digits, tmp_path / "run", report=stop, say=said.append)
    found, _ = fit(study, digits, tmp_path / "run", report=stop, say=said.append)
    # A run that goes on takes nothing anew.
    (sentence,) = said
    assert "tensors taken from start.pth; left as drawn: fc.weight, fc.bias" in sentence
    expected = torch.load(source)["layer2.0.conv1.weight"]
    assert torch.allclose(found.network.layer2[0].conv1.weight, expected, atol=1e-6)
