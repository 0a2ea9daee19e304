"""The tables of maps, and networks with random weights, in which nothing learned is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from analysis.images import Batch, Images, batches
from analysis.networks.classifier import Classifier, build
from analysis.probes import PROBES, Subject, Tables
from analysis.probes.gradcam import grad_cam, grad_cams
from analysis.probes.maps import IMAGES_FOR_STATISTICS, default_layers, randomised
from analysis.probes.measures import distributions, doubled, measures, widened
from analysis.results.schemas import RANDOM, RUN_TABLES, TRAINED
from analysis.study import Network
from tests.conftest import CPU, small_study

STUDY = small_study(attacks={"epsilons": [0, 0.02], "sample": 20})
LAYERS = STUDY.maps.layers


@pytest.fixture(scope="module")
def subject(learned: Classifier, digits: Images) -> Subject:
    return Subject(STUDY, STUDY.runs[0], learned, digits, digits.positions("test"))


@pytest.fixture(scope="module")
def network(subject: Subject) -> Classifier:
    few = subject.batches(subject.positions[:IMAGES_FOR_STATISTICS])
    return randomised(subject.classifier, few, seed=STUDY.runs[0].seed)


@pytest.fixture(scope="module")
def tables(subject: Subject) -> Tables:
    done = PROBES["predictions"](subject, {})
    return done | PROBES["maps"](subject, done)


def test_the_tables_are_the_declared_ones_and_explain_the_trained_network_s_predictions(
    tables: Tables, subject: Subject, network: Classifier, digits: Images
) -> None:
    for name in ("maps", "mean_maps"):
        RUN_TABLES[name].validate(tables[name])
    rows, positions = tables["maps"], subject.positions
    target = torch.tensor(tables["predictions"]["predicted"].to_numpy())
    pixels = torch.tensor(digits.pixels[positions]).permute(0, 3, 1, 2) / 255
    assert len(rows) == 2 * (2 * 130 + 2 * 40)
    for weights, classifier in ((TRAINED, subject.classifier), (RANDOM, network)):
        for layer in LAYERS:
            found = rows.query("layer == @layer and weights == @weights")
            assert np.array_equal(found["index"], digits.index[positions])
            assert np.array_equal(found["label"], digits.labels[positions])
            assert np.array_equal(found["target"], target)
            raw = grad_cam(classifier, classifier.resize(pixels), layer=layer, target=target)
            # The cells of a ResNet lie at multiples of the stride.
            centres = np.arange(raw.shape[1]) * 64 / raw.shape[1]
            for name, values in measures(raw, positions=(centres, centres), size=64).items():
                # A threshold may fall to the other side of a pixel in another batch.
                close = np.isclose(found[name], values, atol=1e-3, equal_nan=True)
                assert close.mean() > 0.98, (weights, layer, name)
            if weights == RANDOM:
                continue
            maps, labels = distributions(raw).numpy(), digits.labels[positions]
            for label in range(10):
                present = [each for each in maps[labels == label] if not np.isnan(each).any()]
                cells = tables["mean_maps"].query("layer == @layer and label == @label")
                table = cells.pivot(index="row", columns="column", values="value").to_numpy()
                assert np.allclose(table, np.mean(present, axis=0), atol=1e-4)
                assert set(cells["images"]) == {len(present)}


@pytest.mark.parametrize(("weights", "alter"), [("widened", widened), ("doubled", doubled)])
def test_the_sample_s_maps_are_also_measured_altered(
    tables: Tables, subject: Subject, digits: Images, weights: str, alter: Callable
) -> None:
    sample = subject.sample
    pixels = torch.tensor(digits.pixels[sample]).permute(0, 3, 1, 2) / 255
    known = tables["predictions"].set_index("index").loc[digits.index[sample]]
    raw = grad_cam(
        subject.classifier,
        subject.classifier.resize(pixels),
        layer=LAYERS[1],
        target=torch.tensor(known["predicted"].to_numpy()),
    )
    found = tables["maps"].query("layer == @LAYERS[1] and weights == @weights")
    assert np.array_equal(found["index"], known.index)
    assert np.array_equal(found["target"], known["predicted"])
    centres = np.arange(8) * 8.0
    expected = measures(alter(raw), positions=(centres, centres), size=64)
    for name in ("spread", "area", "offset"):
        close = np.isclose(found[name], expected[name], atol=1e-3, equal_nan=True)
        assert close.mean() > 0.95, name


def test_maps_that_are_zero_everywhere_are_missing(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class without any map has no mean map."""
    few = replace(subject, positions=subject.positions[:20])
    done = PROBES["predictions"](few, {})
    labels = done["predictions"]["label"].to_numpy()

    def zero_for_one_class(*given: object, **options: object) -> dict[str, Tensor]:
        found = grad_cams(*given, **options)
        for maps in found.values():
            maps[torch.from_numpy(labels == labels[0])] = 0
        return found

    monkeypatch.setattr("analysis.probes.maps.grad_cams", zero_for_one_class)
    found = PROBES["maps"](few, done)
    for name, table in found.items():
        RUN_TABLES[name].validate(table)
    assert labels[0] not in set(found["mean_maps"]["label"])
    missing = found["maps"].query("label == @labels[0]")
    assert missing[["spread", "area", "offset", "fragments"]].isna().all(axis=None)


# ------------------------------------------------------------------------------ random weights


def few(digits: Images, count: int = 8) -> list[Batch]:
    return list(batches(digits, digits.positions("test")[:count], device=CPU))


def test_nothing_is_left_of_what_was_learned_or_of_where_training_began(
    network: Classifier, learned: Classifier
) -> None:
    begun = build(STUDY.network, classes=10, seed=STUDY.runs[0].seed, device=CPU)
    trained = learned.state_dict()
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            assert not torch.equal(tensor, trained[name]) and tensor.isfinite().all(), name
    for name, weight in network.named_parameters():
        if weight.numel() > 500:
            for other in (begun, learned):
                pair = torch.stack([weight, other.get_parameter(name).detach()]).flatten(1)
                assert abs(np.corrcoef(pair)[0, 1]) < 5 / np.sqrt(weight.numel()), name


def test_the_seed_decides_and_nothing_else_is_touched(learned: Classifier, digits: Images) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (
        randomised(learned, few(digits), seed=seed).state_dict() for seed in (4, 4, 5)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["network.fc.weight"], other["network.fc.weight"])


def test_statistics_are_the_mean_over_the_batches(learned: Classifier, digits: Images) -> None:
    parts = list(batches(digits, digits.positions("test")[:20], device=CPU, size=8))
    found = randomised(learned, parts, seed=0)
    means, variances = [], []
    with torch.no_grad():
        for part in parts:
            pixels = (found.resize(part.pixels) - 0.5) / 0.5
            output = found.network.conv1[0](pixels)
            means.append(output.mean(dim=(0, 2, 3)))
            variances.append(output.var(dim=(0, 2, 3)))
    norm = found.network.conv1[1]
    assert len(parts) == 3
    assert torch.allclose(norm.running_mean, torch.stack(means).mean(0), atol=1e-5)
    assert torch.allclose(norm.running_var, torch.stack(variances).mean(0), rtol=1e-4)


def test_no_block_is_left_out(digits: Images) -> None:
    """timm's own beginning has a last scale of zero in each block of a ResNet."""
    begun = build(Network(model="resnet18", size=32), classes=10, seed=0, device=CPU)
    found = randomised(begun, few(digits, 4), seed=0)
    assert (found.network.layer1[0].bn2.weight == 1).all()


OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 8, 8, stride=8), nn.Linear(8, classes)
        self.places = nn.Parameter(torch.arange(8.0).view(8, 1, 1))
        self.fixed = nn.Parameter(torch.arange(8.0).view(8, 1, 1), requires_grad=False)
        # As if these had been learned.
        self.head.weight.data.fill_(7)

    def forward(self, pixels):
        output = self.patches(pixels) + self.places + self.fixed
        return self.head(output.mean((2, 3)))
"""


def test_nothing_learned_is_left_in_a_network_of_one_s_own(digits: Images, tmp_path: Path) -> None:
    """Without ``reset_parameters``, weights keep their values and lose their order."""
    (tmp_path / "own_random.py").write_text(OWN)
    network = Network(model="python:own_random:Net", size=32)
    begun = build(network, classes=10, seed=0, device=CPU, folder=tmp_path)
    found = randomised(begun, few(digits), seed=0).network
    assert (found.head.weight != 7).all()
    assert not torch.equal(found.places, begun.network.places)
    assert torch.equal(found.places.flatten().sort().values, torch.arange(8.0))
    assert torch.equal(found.fixed, begun.network.fixed)


@pytest.mark.parametrize(
    ("model", "scale"),
    [
        ("test_vit", "blocks.0.ls1.gamma"),
        ("test_convnext", "stages.0.blocks.0.gamma"),
        ("cait_xxs24_224", "blocks.0.gamma_1"),
        ("test_nfnet", None),
    ],
)
def test_blocks_of_other_families_count_as_well(
    digits: Images, model: str, scale: str | None
) -> None:
    """Their scales begin near zero, and there is no BatchNorm to gather statistics for."""
    arguments = {"init_values": 1e-5} if model == "test_vit" else {}
    arguments |= {"depth": 2} if model.startswith("cait") else {}
    network = Network.model_validate({"model": model, "size": 64, "arguments": arguments})
    found = randomised(build(network, classes=10, seed=0, device=CPU), few(digits), seed=0)
    if scale is not None:
        assert (found.network.get_parameter(scale) == 1).all()
    (batch,) = few(digits)
    assert found(batch.pixels).isfinite().all() and found(batch.pixels).std() > 1e-3
    (layer,) = default_layers(found)
    target = torch.arange(8)
    maps = grad_cam(found, found.resize(batch.pixels), layer=layer, target=target, positive=False)
    assert maps.isfinite().all() and maps.any()


def test_without_layers_in_the_study_one_is_chosen(subject: Subject) -> None:
    chosen = replace(
        subject, study=small_study(maps={}, attacks={"epsilons": [0, 0.02], "sample": 20})
    )
    chosen = replace(chosen, positions=chosen.positions[:20])
    found = PROBES["maps"](chosen, PROBES["predictions"](chosen, {}))
    # Of this network layer4 is 2×2.
    assert set(found["maps"]["layer"]) == set(found["mean_maps"]["layer"]) == {"layer3"}
