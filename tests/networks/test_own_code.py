"""Networks of a person's own, made by a function or a class in a module in the study's folder."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.images import Images
from analysis.networks import training, weights
from analysis.networks.classifier import Classifier, build
from analysis.project.errors import UserError
from analysis.study import Network, Study
from analysis.study import load as load_study
from tests.conftest import CPU

# Modules keep the names that they are imported by, so each test has a name of its own.
NUMBERS = itertools.count()
NETS = """
import sys

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes, channels=3, width=8):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


def plain(classes, channels):
    return Net(classes, channels)


def fixed():
    return Net(4)


def torchvision_like(*, weights=None, **kwargs):
    return like_timm(**kwargs)


def like_timm(num_classes=1000, in_chans=3):
    return Net(num_classes, in_chans)


def viewing(classes, channels):
    # As many people write it; a view needs pixels that are contiguous.
    class Flat(Net):
        def forward(self, x):
            return self.head(self.features(x).view(len(x), 8, -1).mean(2))

    return Flat(classes, channels)


def lazy(classes):
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.LazyLinear(classes))


def half(classes, channels):
    return Net(classes, channels).half()


def without_weights(classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d((1, classes)), nn.Flatten(), nn.Identity())


def raising(classes):
    class Odd(nn.Module):
        def forward(self, x):
            assert x.shape[-1] == 99, "made for 99 pixels"
    return Odd()


def of(layer):
    class Wrong(Net):
        def forward(self, x):
            return layer(super().forward(x))
    return Wrong(4)


def named(): return of(lambda x: {"logits": x})
def flat(): return of(lambda x: x.sum(1))
def nan(): return of(lambda x: x / 0)
def whole(): return of(lambda x: x.argmax(1, keepdim=True).expand(-1, 4))
def nothing(): return None
def broken(classes): return {}["layers"]
def few(): return Net(3)
def strict(): return of(lambda x: x if not x.requires_grad else x[:, :0])

class PanicException(BaseException):
    pass


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def throws(error):
    raise error


def panics(): throws(PanicException("called `Option::unwrap()` on a `None` value"))
def panics_later(): return of(lambda x: throws(PanicException("poisoned")))
def mute(): throws(Mute())
def mute_later(): return of(lambda x: throws(Mute()))
def exits(): throws(SystemExit(3))
def closes(): throws(GeneratorExit())
def coloured(): throws(ValueError("\x1b[31mred\x1b[0m \u202eback \x07bell"))
def stopped(): throws(KeyboardInterrupt())
def stopped_later(): return of(lambda x: throws(KeyboardInterrupt()))
def meta():
    with torch.device("meta"):
        return Net(4)
def partly_meta():
    net = Net(4)
    net.register_buffer("more", torch.empty(2, device="meta"))
    return net
def short(): return of(lambda x: x if len(x) == 2 else x[1:])
def untuned(): return of(lambda x: x if len(x) == 2 else {"logits": x})
def tidy():
    sys.path[:] = [path for path in sys.path if "nets" in path]
    return Net(4)
def __getattr__(name):
    throws(PanicException(name) if name == "absent" else AttributeError(name))


made = Net(4)
number = 3
"""


def module(folder: Path, source: str = NETS) -> str:
    name = f"nets{next(NUMBERS)}"
    (folder / f"{name}.py").write_text(source)
    return name


def made(folder: Path, function: str, channels: int = 3, **changes: object) -> Classifier:
    name = f"python:{module(folder)}:{function}"
    network = Network.model_validate({"model": name, "size": 16, **changes})
    return build(network, classes=4, channels=channels, seed=0, device=CPU, folder=folder)


@pytest.mark.parametrize(
    ("function", "channels"),
    [
        ("plain", 1),
        ("Net", 5),
        ("fixed", 3),
        ("torchvision_like", 3),
        ("like_timm", 3),
        ("viewing", 3),
        ("lazy", 2),
        ("half", 3),
    ],
)
def test_functions_and_classes_make_networks_in_float32(
    tmp_path: Path, function: str, channels: int
) -> None:
    classifier = made(tmp_path, function, channels).eval()
    # As batches come, which views of a person's own code do not expect.
    pixels = torch.rand(3, channels, 20, 20).contiguous(memory_format=torch.channels_last)
    logits = classifier(pixels)
    assert logits.shape == (3, 4) and logits.dtype == torch.float32
    # Pixels come as they are, unless the study says otherwise.
    shrunk = classifier.resize(pixels)
    assert torch.allclose(logits, classifier.network(shrunk.contiguous()), atol=1e-6)
    assert (classifier.mean, classifier.std) == ((0.0,) * channels, (1.0,) * channels)
    assert not any(str(tmp_path) in path for path in __import__("sys").path)


def test_arguments_reach_the_function_and_a_seed_decides_the_weights(tmp_path: Path) -> None:
    name = f"python:{module(tmp_path)}:Net"
    first, again, other = (
        build(
            Network(model=name, size=16, arguments={"width": 5}),
            classes=4,
            seed=seed,
            device=CPU,
            folder=tmp_path,
        ).network.features[0]
        for seed in (1, 1, 2)
    )
    assert first.out_channels == 5
    assert torch.equal(first.weight, again.weight) and not torch.equal(first.weight, other.weight)


def test_a_network_without_weights_has_a_device(tmp_path: Path) -> None:
    classifier = made(tmp_path, "without_weights", channels=1)
    assert classifier.device == CPU and classifier(torch.rand(2, 1, 8, 8)).shape == (2, 4)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("Nett", r"network.model: nets\d+ has no 'Nett'; the nearest is 'Net'"),
        ("a:b", "must be written as 'package.module:function'"),
        ("made", "is a module already.\nName a class, or a function"),
        ("number", "is int, not a function"),
        ("nothing", "returns NoneType, not a torch.nn.Module"),
        ("broken", r"cannot make the network: KeyError: 'layers'\n.*nets\d+.py, line \d+"),
        ("raising", r"pixels: AssertionError: made for 99 pixels\n.*nets\d+.py, line \d+: assert"),
        ("named", "gives a dict, not a tensor of logits"),
        ("flat", r"gives an output of shape \(2,\) for two images"),
        ("few", "gives 3 logits for each image, and the images have 4 classes"),
        ("nan", "gives logits that are not finite"),
        ("whole", "gives logits of torch.int64"),
        (
            "panics",
            r"cannot make the network: PanicException: called `Option.*\n.*, line \d+: raise",
        ),
        ("panics_later", r"does not work at 16×16 pixels: PanicException: poisoned\n"),
        ("absent", r"nets\d+ cannot be imported: PanicException: absent\n"),
        ("mute", r"cannot make the network: Mute\n"),
        ("mute_later", r"does not work at 16×16 pixels: Mute\n"),
        ("exits", r"cannot make the network: SystemExit: 3\n"),
        ("closes", r"cannot make the network: GeneratorExit\n"),
        ("coloured", r"cannot make the network: ValueError: \[31mred\[0m back bell\n"),
        ("meta", "makes weights on the device 'meta', where they have no values"),
        ("partly_meta", "on the device 'meta'"),
    ],
)
def test_what_makes_no_network_is_an_error_with_its_line(
    tmp_path: Path, function: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        made(tmp_path, function)
    assert str(caught.value).startswith("network.") and len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize("function", ["stopped", "stopped_later"])
def test_ctrl_c_in_it_is_ctrl_c(tmp_path: Path, function: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, function)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("short", r"gives an output of shape \(2, 4\) for 3 images, not 4 logits for each"),
        ("untuned", "gives <class 'dict'> for 3 images, not 4 logits for each"),
    ],
)
def test_one_that_answers_otherwise_when_evaluated_is_an_error(
    tmp_path: Path, function: str, message: str
) -> None:
    classifier = made(tmp_path, function).eval()
    with pytest.raises(UserError, match=f"^network.model: .*{message}"):
        classifier(torch.rand(3, 3, 16, 16))


def test_one_that_tidies_the_path_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    assert made(tmp_path, "tidy").classes == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arguments": {"depth": 3}}, "network.arguments: .*'depth'"),
        ({"model": "python:no_such_module:f"}, "no_such_module"),
        ({"size": None}, "network.size: say how large"),
        ({"mean": (0.5, 0.5)}, "network.mean: 2 numbers for images of 3 channels"),
        ({"std": (0.5, 0.5)}, "network.std: 2 numbers"),
    ],
)
def test_settings_that_do_not_fit_are_errors(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(tmp_path, "plain", **changes)


def test_without_a_size_it_is_that_of_square_images(tmp_path: Path) -> None:
    network = Network(model=f"python:{module(tmp_path)}:plain")
    more = {"classes": 4, "seed": 0, "device": CPU, "folder": tmp_path}
    assert build(network, images=(28, 28), **more).size == 28
    with pytest.raises(UserError, match="network.size: .*; the images are 30×20"):
        build(network, images=(20, 30), **more)


# ------------------------------------------------------------------------------------ a whole run


def a_study(folder: Path, function: str, **network: object) -> Study:
    lines = [f"{key} = {value!r}" for key, value in network.items()]
    path = folder / f"own{next(NUMBERS)}.toml"
    path.write_text(
        f"""
title = "A network of one's own"
images = {{ source = "svhn-subset" }}
[network]
model = "python:{module(folder)}:{function}"
size = 32
{chr(10).join(lines)}
"""
        + (
            ""
            if "weights" in network
            else "[training]\nlearning_rate = 1e-3\nstages = [{ size = 32, epochs = 2 }]\n"
        )
    )
    return load_study(path)


def test_it_is_trained_and_its_weights_are_read_again(
    digits: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILURE_MODES_CACHE", str(tmp_path / "cache"))
    few = Images.of_splits(
        {"train": 128, "test": 10}, digits.pixels[:138], digits.labels[:138], classes=digits.classes
    )
    study = a_study(tmp_path, "viewing")
    weights.train(study, study.runs[0], few, device=CPU)
    trained = weights.read(study, study.runs[0], classes=10, device=CPU)
    assert trained.history is not None and len(trained.history) == 2
    place = weights.path(study, study.runs[0])
    given = weights.given(
        a_study(tmp_path, "viewing", weights=str(place)), classes=10, channels=3, device=CPU
    )
    assert given.history is None and given.digest == trained.digest
    assert given.facts["training_images"] == 0
    pixels = torch.rand(2, 3, 32, 32)
    assert torch.equal(given.classifier(pixels), trained.classifier(pixels))


def test_one_that_answers_otherwise_while_it_is_trained_is_an_error(
    digits: Images, tmp_path: Path
) -> None:
    study = a_study(tmp_path, "strict")
    four = Images.of_splits(
        {"train": 80, "test": 4}, digits.pixels[:84], digits.labels[:84] % 4, classes=tuple("abcd")
    )
    with pytest.raises(UserError, match="network.model: .* cannot be trained: "):
        training.fit(
            study,
            study.runs[0],
            four,
            positions=np.arange(80),
            device=CPU,
            checkpoint=tmp_path / "checkpoint",
        )
    assert not (tmp_path / "checkpoint").exists()
