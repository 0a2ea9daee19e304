"""Files of tensors, and finished weights, which are identified by their content."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from analysis.images import Images
from analysis.networks import tensors, weights
from analysis.networks.classifier import of_study
from analysis.project.errors import UserError
from analysis.study import Study
from tests.conftest import CPU, small_study
from tests.made_up import PROVENANCE

TRAINING = {"learning_rate": 2e-3, "batch_size": 16, "stages": [{"size": 32, "epochs": 2}]}
STUDY = small_study(training=TRAINING, network={"model": "test_resnet", "size": 32})


def read(study: Study = STUDY, classes: int = 10, **more: str) -> weights.Trained:
    return weights.read(study, study.runs[0], classes=classes, device=CPU, **more)


def test_a_trained_run_is_read_with_its_facts(
    digits: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILURE_MODES_CACHE", str(tmp_path))
    run = STUDY.runs[0]
    few = replace(digits, split=digits.split.astype("U5"))
    few.split[40:960] = "extra"
    weights.train(STUDY, run, few, device=CPU)
    place = weights.path(STUDY, run)
    assert list(place.parent.iterdir()) == [place]
    trained = read()
    assert not trained.classifier.training
    assert not any(weight.requires_grad for weight in trained.classifier.parameters())
    assert trained.history["epoch"].tolist() == [1, 2]
    assert trained.facts["training_images"] == 40
    assert trained.facts["seconds"] == pytest.approx(trained.history["seconds"].sum())
    assert trained.facts["device"].endswith("1 thread")
    state = trained.classifier.state_dict()
    assert read(expected=trained.digest).digest == trained.digest == tensors.digest(state)
    for problem, arguments in (
        ("has other weights than those behind the results", {"expected": "0" * 64}),
        ("has weights of another architecture", {"classes": 9}),
    ):
        with pytest.raises(UserError, match=problem) as caught:
            read(**arguments)
        assert len(str(caught.value).splitlines()) == 2
    place.unlink()
    with pytest.raises(UserError, match=r"is missing.*r0f0 of small\.\n.*FAILURE_MODES_CACHE"):
        read()


@pytest.mark.parametrize(
    "facts", [{"odd": 1}, {"files": {}}, {"seconds": -1}, {"packages": "none"}, None, [1], "odd"]
)
def test_odd_facts_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: object
) -> None:
    monkeypatch.setenv("FAILURE_MODES_CACHE", str(tmp_path))
    row = {"epoch": 1, "train_loss": 1.0, "learning_rate": 0.1, "seconds": 2.0}
    usual = {"training_images": 10, **PROVENANCE}
    state = of_study(STUDY, classes=10, channels=3, seed=0, device=CPU).state_dict()
    place = weights.path(STUDY, STUDY.runs[0])
    tensors.write(place, state, {"history": [row], "facts": usual})
    assert read().facts == usual
    odd = usual | facts if isinstance(facts, dict) else facts
    tensors.write(place, state, {"history": [row], "facts": odd})
    with pytest.raises(UserError, match="has no history and facts of a training"):
        read()
    tensors.write(place, state, facts)
    with pytest.raises(UserError, match="is truncated or altered|has no history and facts"):
        read()


def test_the_digest_is_that_of_the_tensors_in_any_order() -> None:
    state = {"b": torch.rand(2, 3), "a": torch.arange(4), "c": torch.tensor(1.0)}
    sha = hashlib.sha256()
    for name in "abc":
        array = state[name].numpy()
        sha.update(f"{name} {state[name].dtype} {array.shape}\n".encode() + array.tobytes())
    assert tensors.digest(state) == sha.hexdigest()
    state["b"][0, 0] += 1
    assert tensors.digest(state) != sha.hexdigest()


def test_any_damage_to_a_file_is_an_error_in_two_lines_that_names_it(tmp_path: Path) -> None:
    place = tmp_path / "weights.safetensors"
    tensors.write(place, {"a": torch.rand(40, 3), "b": torch.tensor(2)}, {"seconds": 1.5})
    found, facts = tensors.read(place)
    assert facts == {"seconds": 1.5} and found["b"] == 2
    whole, chance = place.read_bytes(), random.Random(0)
    contents = [whole[: chance.randrange(len(whole))] for _ in range(10)] + [b""]
    # Bits of the facts and of the tensors, which safetensors itself does not notice.
    for place_of_bit in chance.sample(range(len(whole)), 99):
        content = bytearray(whole)
        content[place_of_bit] ^= 1 << chance.randrange(8)
        contents.append(bytes(content))
    contents.append(safetensors.torch.save({"a": torch.zeros(2)}))
    for content in contents:
        place.write_bytes(content)
        with pytest.raises(UserError, match="weights.safetensors is truncated or alter") as caught:
            tensors.read(place)
        assert len(str(caught.value).splitlines()) == 2


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    place = tmp_path / "weights.safetensors"
    tensors.write(place, {"a": torch.zeros(2)}, {})
    before = place.read_bytes()
    with pytest.raises(TypeError):
        tensors.write(place, {"a": torch.zeros(2)}, {"not JSON": object()})
    assert place.read_bytes() == before and list(tmp_path.iterdir()) == [place]
