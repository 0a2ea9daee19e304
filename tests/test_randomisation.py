"""Networks with random weights: nothing learned is left in them, and nothing else is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from analysis import model as models
from analysis import probes, saliency
from analysis.batches import Batch, batches
from analysis.datasets import ImageSet
from analysis.model import Classifier
from analysis.randomisation import randomised
from analysis.study import Model
from analysis.tables import SCHEMAS
from tests.conftest import CPU, small_study

STUDY = small_study()


@pytest.fixture(scope="module")
def subject(learned: Classifier, digits: ImageSet) -> probes.Subject:
    return probes.Subject(STUDY, STUDY.runs[0], learned, digits, digits.positions("test"))


@pytest.fixture(scope="module")
def network(subject: probes.Subject) -> Classifier:
    return subject.randomised()


def few(digits: ImageSet, count: int = 8) -> list[Batch]:
    return list(batches(digits, digits.positions("test")[:count], device=CPU))


def likeness(one: Tensor, other: Tensor) -> float:
    return np.corrcoef(one.flatten().numpy(), other.flatten().numpy())[0, 1]


def test_every_learned_tensor_is_another(network: Classifier, learned: Classifier) -> None:
    trained = learned.state_dict()
    redrawn = network.state_dict()
    assert trained.keys() == redrawn.keys()
    for name, tensor in redrawn.items():
        assert tensor.shape == trained[name].shape and tensor.dtype == trained[name].dtype
        if tensor.is_floating_point():
            assert not torch.equal(tensor, trained[name]), name
            assert tensor.isfinite().all(), name


def test_nothing_is_left_of_where_training_began(network: Classifier, learned: Classifier) -> None:
    begun = models.build(STUDY.model, seed=STUDY.runs[0].seed, device=CPU)
    for name, weight in network.named_parameters():
        if weight.numel() > 500:
            for other in (begun, learned):
                chance = 5 / np.sqrt(weight.numel())
                assert abs(likeness(weight, other.get_parameter(name).detach())) < chance, name


def test_the_seed_decides_and_nothing_else_is_touched(digits: ImageSet) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (
        randomised(STUDY.model, few(digits), seed=seed, device=CPU).state_dict()
        for seed in (4, 4, 5)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["network.fc.weight"], other["network.fc.weight"])


def test_the_given_network_is_left_alone(subject: probes.Subject, learned: Classifier) -> None:
    before = {name: tensor.clone() for name, tensor in learned.state_dict().items()}
    done = probes.predictions(subject, {})
    probes.randomised(subject, done)
    assert all(torch.equal(before[name], t) for name, t in learned.state_dict().items())
    assert not learned.training


def test_it_is_ready_to_be_probed(network: Classifier) -> None:
    assert not any(module.training for module in network.modules())
    assert not any(weight.requires_grad for weight in network.parameters())


def test_statistics_are_the_mean_over_the_batches(digits: ImageSet) -> None:
    parts = list(batches(digits, digits.positions("test")[:20], device=CPU, size=8))
    found = randomised(STUDY.model, parts, seed=0, device=CPU)
    means, variances = [], []
    with torch.no_grad():
        for part in parts:
            pixels = (found.resize(part.pixels) - found.mean) / found.std
            output = found.network.conv1[0](pixels)
            means.append(output.mean(dim=(0, 2, 3)))
            variances.append(output.var(dim=(0, 2, 3)))
    norm = found.network.conv1[1]
    assert len(parts) == 3
    assert torch.allclose(norm.running_mean, torch.stack(means).mean(0), atol=1e-5)
    assert torch.allclose(norm.running_var, torch.stack(variances).mean(0), rtol=1e-4)


def test_no_block_is_left_out(digits: ImageSet) -> None:
    """timm's own beginning has a last scale of zero in each block of a ResNet."""
    model = Model(name="resnet18", size=32)
    begun = models.build(model, seed=0, device=CPU)
    assert (begun.network.layer1[0].bn2.weight == 0).all()
    found = randomised(model, few(digits, 4), seed=0, device=CPU)
    assert (found.network.layer1[0].bn2.weight == 1).all()


def test_what_no_module_resets_is_as_timm_begins(digits: ImageSet) -> None:
    model = Model(name="test_convnext", size=64)
    begun = models.build(model, seed=0, device=CPU)
    found = randomised(model, few(digits), seed=0, device=CPU)
    scales = [name for name, _ in begun.named_parameters() if name.endswith("gamma")]
    assert scales
    for name in scales:
        assert torch.equal(found.get_parameter(name), begun.get_parameter(name))


# ------------------------------------------------------------------------------ the table


def test_the_maps_explain_what_the_trained_network_predicts(
    subject: probes.Subject, network: Classifier, digits: ImageSet
) -> None:
    done = probes.predictions(subject, {})
    rows = probes.randomised(subject, done)["randomised"]
    SCHEMAS["randomised"].validate(rows)
    predicted = done["predictions"]["predicted"].to_numpy()
    with torch.no_grad():
        own = network(next(subject.batches()).pixels).argmax(dim=1)
    assert (own.numpy() != predicted[:64]).mean() > 0.5, "another class than its own"
    pixels = network.resize(torch.tensor(digits.images[-130:]).permute(0, 3, 1, 2) / 255)
    for layer in STUDY.saliency.layers:
        found = rows[rows["layer"] == layer]
        assert np.array_equal(found["index"], digits.index[subject.positions])
        assert np.array_equal(found["label"], digits.labels[subject.positions])
        assert np.array_equal(found["target"], predicted)
        target = torch.from_numpy(predicted.astype(np.int64))
        maps = saliency.grad_cam(network, pixels, layers=(layer,), target=target)[1][layer]
        for name, values in saliency.measures(maps, size=64).items():
            close = np.isclose(found[name], values, atol=1e-3, equal_nan=True)
            assert close.mean() > 0.98, name


def test_it_joins_with_the_trained_network_s_measures(subject: probes.Subject) -> None:
    done = probes.predictions(subject, {})
    trained = probes.saliency(subject, {})["saliency"]
    random = probes.randomised(subject, done)["randomised"]
    both = trained.merge(random, on=["layer", "index"], validate="one_to_one")
    assert len(both) == len(trained) == len(random)
    pd.testing.assert_series_equal(both["label_x"], both["label_y"], check_names=False)
    pd.testing.assert_series_equal(both["predicted"], both["target"], check_names=False)
