"""Training: the same every time, the same after a stop, and what its settings say.

On one thread, where sums are added in one order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor

from analysis import model as models
from analysis import training
from analysis.datasets import ImageSet
from analysis.errors import UserError
from analysis.model import Classifier
from analysis.study import Study
from analysis.tables import SCHEMAS
from tests.conftest import CPU, small_study

AUGMENTED = {"rotation": 8, "scale": 0.12, "shift": 0.08, "contrast": 0.3, "inversion": 0.5}
# Each adds what a checkpoint might forget: moments, averages, draws, sizes, half precision.
RECIPES = {
    "plain": {},
    "one-cycle": {"schedule": "one-cycle", "warmup": 0.3},
    "averaged": {"averaging": 0.9},
    "half precision": {"precision": "bfloat16"},
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


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.safetensors"


def recipe(**settings: object) -> Study:
    plain = {
        "learning_rate": 2e-3,
        "batch_size": 16,
        "stages": [{"size": 32, "epochs": 4}],
    }
    return small_study(model={"name": "test_resnet", "size": 32}, training={**plain, **settings})


def fit(study: Study, images: ImageSet, checkpoint: Path, *, count: int = IMAGES, **more):
    return training.fit(
        study,
        study.runs[0],
        images,
        np.arange(count),
        device=CPU,
        checkpoint=checkpoint,
        **more,
    )


def assert_same_weights(one: Classifier, other: Classifier) -> None:
    theirs = other.state_dict()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name


def rows(history: list[training.Epoch]) -> list[tuple[int, float, float]]:
    """Return what must not depend on the clock."""
    return [(row.epoch, row.train_loss, row.learning_rate) for row in history]


# ------------------------------------------------------------------------------ the same


def test_a_seed_decides_the_weights(digits: ImageSet, tmp_path: Path) -> None:
    study = recipe(**RECIPES["all"])
    first, history = fit(study, digits, tmp_path / "first")
    torch.manual_seed(99)
    again, history_again = fit(study, digits, tmp_path / "again")
    assert_same_weights(first, again)
    assert rows(history) == rows(history_again)
    other, _ = fit(study.model_copy(update={"seed": 1}), digits, tmp_path / "other")
    assert not torch.equal(first.network.fc.weight, other.network.fc.weight)


class Stopped(Exception):
    """The power is out."""


@pytest.mark.parametrize("name", RECIPES)
def test_a_stopped_run_ends_in_the_same_weights(
    digits: ImageSet, tmp_path: Path, name: str
) -> None:
    study = recipe(**RECIPES[name])
    expected, history = fit(study, digits, tmp_path / "whole")
    for last in range(1, study.training.epochs + 1):
        path = tmp_path / f"stopped after {last}"

        def stop(row: training.Epoch, last: int = last) -> None:
            if row.epoch == last:
                raise Stopped

        with pytest.raises(Stopped):
            fit(study, digits, path, report=stop)
        reported: list[training.Epoch] = []
        again, history_again = fit(study, digits, path, report=reported.append)
        assert [row.epoch for row in reported] == list(range(last + 1, study.training.epochs + 1))
        assert rows(history_again) == rows(history)
        assert_same_weights(again, expected)


def test_a_stop_within_an_epoch_goes_back_to_its_beginning(
    digits: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = recipe(**RECIPES["all"])
    expected, _ = fit(study, digits, tmp_path / "whole")
    path = tmp_path / "stopped"
    original, left = models.to_pixels, [5]

    def to_pixels(images: Tensor) -> Tensor:
        left[0] -= 1
        if not left[0]:
            raise Stopped
        return original(images)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(models, "to_pixels", to_pixels)
        fit(study, digits, path)
    # Two batches an epoch: the fifth is the first of the third epoch.
    assert [row["epoch"] for row in models.read_facts(path)["history"]] == [1, 2]
    again, _ = fit(study, digits, path)
    assert_same_weights(again, expected)


def test_a_finished_run_is_not_trained_again(digits: ImageSet, checkpoint: Path) -> None:
    study = recipe(averaging=0.9)
    first, _ = fit(study, digits, checkpoint)
    before = checkpoint.read_bytes()
    again, history = fit(study, digits, checkpoint, report=lambda row: pytest.fail("trained"))
    assert_same_weights(first, again)
    assert len(history) == 4
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize("damage", ["truncated", "another architecture", "empty"])
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(
    digits: ImageSet, checkpoint: Path, damage: str
) -> None:
    study = recipe(stages=[{"size": 32, "epochs": 1}])
    fit(study, digits, checkpoint)
    if damage == "another architecture":
        changed = {"model": study.model.model_copy(update={"name": "resnet10t"})}
        study = study.model_copy(update=changed)
    else:
        content = checkpoint.read_bytes()
        checkpoint.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    with pytest.raises(UserError, match=r"checkpoint\.safetensors") as caught:
        fit(study, digits, checkpoint)
    assert "Delete it, and run the study again" in str(caught.value)


# ------------------------------------------------------------------------------ the steps


def test_it_is_plain_adamw(digits: ImageSet, checkpoint: Path) -> None:
    """Against a loop with PyTorch's own steps, on one batch of all images, whatever its order."""
    study = recipe(batch_size=20, stages=[{"size": 48, "epochs": 4}], learning_rate=1e-3)
    _, history = fit(study, digits, checkpoint, count=20)
    network = models.build(study.model, seed=study.runs[0].seed, device=CPU).network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    pixels = torch.tensor(digits.images[:20]).permute(0, 3, 1, 2).float()
    pixels = F.interpolate(pixels / 127.5 - 1, size=(48, 48), mode="bilinear")
    labels = torch.tensor(digits.labels[:20]).long()
    for row in history:
        loss = F.cross_entropy(network(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert row.train_loss == pytest.approx(loss.item(), rel=1e-2)
    assert history[-1].train_loss < 0.9 * history[0].train_loss


def test_weights_decay_by_rate_times_decay(digits: ImageSet, tmp_path: Path) -> None:
    """Decoupled from the gradient (Loshchilov and Hutter 2019): seen as the only difference."""
    start = models.build(recipe().model, seed=0, device=CPU).state_dict()
    one_step = {"batch_size": 16, "stages": [{"size": 32, "epochs": 1}], "learning_rate": 0.01}
    ends = [
        fit(recipe(weight_decay=decay, **one_step), digits, tmp_path / str(decay), count=16)[0]
        for decay in (0.0, 0.5)
    ]
    for name in ("network.fc.weight", "network.layer1.0.conv1.weight"):
        without, decayed = (end.state_dict()[name] for end in ends)
        assert torch.allclose(decayed - without, -0.01 * 0.5 * start[name], atol=1e-6), name


@pytest.mark.parametrize("name", ["plain", "averaged"])
def test_the_result_is_ready_to_be_probed(digits: ImageSet, checkpoint: Path, name: str) -> None:
    classifier, _ = fit(recipe(**RECIPES[name]), digits, checkpoint)
    assert not any(module.training for module in classifier.modules())
    again, _ = fit(recipe(**RECIPES[name]), digits, checkpoint)
    assert not again.training, "also when it only had to be read"


def test_a_last_smaller_batch_is_dropped(digits: ImageSet, checkpoint: Path) -> None:
    fit(recipe(batch_size=16), digits, checkpoint, count=47)
    tensors = models.read_tensors(checkpoint)
    assert tensors["optimizer.0.step"].item() == 4 * (47 // 16)


def test_too_few_images_for_a_batch_are_refused(digits: ImageSet, checkpoint: Path) -> None:
    with pytest.raises(UserError, match="15 training images do not fill one batch of 16"):
        fit(recipe(batch_size=16), digits, checkpoint, count=15)


def test_images_grow_through_the_stages(
    digits: ImageSet, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides, original = [], Classifier.at_own_size

    def watched(self: Classifier, pixels: Tensor) -> Tensor:
        sides.append(pixels.shape[-1])
        return original(self, pixels)

    monkeypatch.setattr(Classifier, "at_own_size", watched)
    for settings in ({}, {"augmentation": AUGMENTED}):
        sides.clear()
        checkpoint.unlink(missing_ok=True)
        stages = [{"size": 32, "epochs": 1}, {"size": 48, "epochs": 2}]
        fit(recipe(stages=stages, **settings), digits, checkpoint)
        assert sides == 2 * [32] + 4 * [48]


def test_each_epoch_has_its_own_order_of_all_images(
    digits: ImageSet, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    original = F.cross_entropy

    def watched(logits: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels.tolist())
        return original(logits, labels)

    monkeypatch.setattr(F, "cross_entropy", watched)
    fit(recipe(batch_size=20), digits, checkpoint)
    epochs = [seen[number] + seen[number + 1] for number in range(0, 8, 2)]
    expected = sorted(digits.labels[:IMAGES].tolist())
    assert all(sorted(epoch) == expected for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


# ------------------------------------------------------------------------------ learning rate


def test_a_constant_rate_is_constant(digits: ImageSet, checkpoint: Path) -> None:
    _, history = fit(recipe(), digits, checkpoint)
    assert [row.learning_rate for row in history] == [2e-3] * 4


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.6])
def test_one_cycle_rises_in_a_line_and_falls_as_a_cosine(
    digits: ImageSet, checkpoint: Path, warmup: float
) -> None:
    study = recipe(schedule="one-cycle", warmup=warmup, stages=[{"size": 32, "epochs": 5}])
    _, history = fit(study, digits, checkpoint, count=64)
    steps, peak = 4, 2e-3
    total = 5 * steps
    rising = round(warmup * total)
    for row in history:
        step = row.epoch * steps - 1
        if step < rising:
            expected = peak / 25 + (peak - peak / 25) * step / rising
        else:
            expected = peak * (1 + math.cos(math.pi * (step - rising) / (total - rising))) / 2
        assert row.learning_rate == pytest.approx(expected, rel=1e-9)
    assert history[-1].learning_rate < 0.05 * peak


def test_one_cycle_of_a_single_step_is_no_crash(digits: ImageSet, checkpoint: Path) -> None:
    study = recipe(schedule="one-cycle", warmup=0.9, stages=[{"size": 32, "epochs": 1}])
    _, history = fit(study, digits, checkpoint, count=16)
    assert history[0].learning_rate == pytest.approx(2e-3)


# ------------------------------------------------------------------------------ averaging


def test_the_average_is_the_documented_one(
    digits: ImageSet, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Computed here in float64 from the weights after each step.

    timm's warm-up: the decay of step t is 1 - t^(-2/3), 0 for the first two steps, at most 0.6.
    """
    after: list[dict[str, Tensor]] = []
    original = timm.utils.ModelEmaV3.update

    def watched(self, model: Classifier, step: int | None = None) -> None:
        after.append({name: t.detach().clone() for name, t in model.state_dict().items()})
        original(self, model, step=step)

    monkeypatch.setattr(timm.utils.ModelEmaV3, "update", watched)
    averaged, _ = fit(recipe(averaging=0.6), digits, checkpoint)
    assert len(after) == 8
    expected = {name: tensor.double() for name, tensor in after[0].items()}
    decays = [0 if step < 2 else min(0.6, 1 - step ** (-2 / 3)) for step in range(8)]
    assert decays[2] < 0.6 == decays[-1], "both the warm-up and the limit are met"
    for decay, weights in zip(decays, after, strict=True):
        for name, tensor in weights.items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor.double()
    for name, tensor in averaged.state_dict().items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor.double(), expected[name], atol=1e-5), name
        else:
            assert torch.equal(tensor, after[-1][name]), name
    last = after[-1]["network.fc.weight"]
    assert not torch.allclose(averaged.network.fc.weight, last, atol=1e-5)


def test_averaging_leaves_the_training_alone(digits: ImageSet, tmp_path: Path) -> None:
    plain, history = fit(recipe(), digits, tmp_path / "plain")
    averaged, other = fit(recipe(averaging=0.9), digits, tmp_path / "averaged")
    assert rows(history) == rows(other)
    trained = models.read_tensors(tmp_path / "averaged")
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, trained[f"model.{name}"]), name
    assert not torch.equal(plain.network.fc.weight, averaged.network.fc.weight)


# ------------------------------------------------------------------------------ precision


def test_half_precision_is_in_the_forward_pass_alone(digits: ImageSet, tmp_path: Path) -> None:
    full, history = fit(recipe(), digits, tmp_path / "full")
    half, other = fit(recipe(precision="bfloat16"), digits, tmp_path / "half")
    assert {t.dtype for t in half.state_dict().values()} == {torch.float32, torch.int64}
    assert not torch.equal(full.network.fc.weight, half.network.fc.weight)
    assert history[0].train_loss != other[0].train_loss
    assert history[0].train_loss == pytest.approx(other[0].train_loss, rel=0.02)


# ------------------------------------------------------------------------------ results


def test_it_learns_where_a_square_is(checkpoint: Path) -> None:
    """Ten places for a bright square in noise; measured on images that it has not seen."""
    generator = np.random.default_rng(0)
    labels = np.arange(420) % 10
    images = generator.integers(0, 100, (420, 32, 32, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = 4 + 12 * (label // 5), 1 + 6 * (label % 5)
        image[row : row + 6, column : column + 6] += 120
    squares = ImageSet(
        images=images,
        labels=labels.astype(np.uint8),
        split=np.repeat("train", 420),
        index=np.arange(420, dtype=np.int32),
        photo=np.arange(420, dtype=np.int32),
    )
    study = recipe(
        schedule="one-cycle",
        warmup=0.3,
        averaging=0.9,
        learning_rate=5e-3,
        stages=[{"size": 32, "epochs": 4}],
    )
    classifier, history = fit(study, squares, checkpoint, count=320)
    assert history[-1].train_loss < 0.5 * history[0].train_loss
    with torch.no_grad():
        logits = classifier(torch.tensor(images[320:]).permute(0, 3, 1, 2) / 255)
    assert (logits.argmax(dim=1).numpy() == labels[320:]).mean() > 0.9


def test_only_the_given_images_are_seen(digits: ImageSet, tmp_path: Path) -> None:
    whole, _ = fit(recipe(), digits, tmp_path / "whole")
    other = digits.images.copy()
    other[IMAGES:] = 0
    changed = ImageSet(other, digits.labels, digits.split, digits.index, digits.photo)
    same, _ = fit(recipe(), changed, tmp_path / "changed")
    assert_same_weights(whole, same)


def test_a_diverged_run_keeps_the_epoch_before(digits: ImageSet, checkpoint: Path) -> None:
    study = recipe(stages=[{"size": 32, "epochs": 1}])
    fit(study, digits, checkpoint)
    before = checkpoint.read_bytes()
    # A normalisation that makes every pixel infinite.
    broken = recipe(stages=[{"size": 32, "epochs": 3}]).model_copy(
        update={"model": study.model.model_copy(update={"std": 1e-45})}
    )
    with pytest.raises(UserError, match="not finite in epoch 2.*diverged") as caught:
        fit(broken, digits, checkpoint)
    assert "training.learning_rate" in str(caught.value)
    assert checkpoint.read_bytes() == before
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_the_history_is_a_table(digits: ImageSet, checkpoint: Path) -> None:
    _, history = fit(recipe(), digits, checkpoint)
    table = training.history_table([vars(row) for row in history])
    SCHEMAS["history"].validate(table)
    assert table["epoch"].tolist() == [1, 2, 3, 4]
    assert (table["seconds"] > 0).all()
    assert models.read_facts(checkpoint)["history"] == [vars(row) for row in history]
