"""Passes through the network, counted while probes work, against what they need."""

from __future__ import annotations

from collections import Counter

import pytest

from analysis.__main__ import main
from analysis.images import Images
from analysis.networks.classifier import Classifier
from analysis.probes import PROBES, Subject
from analysis.probes.cost import counted, measure, needed
from tests.conftest import small_study
from tests.playground import Playground

STUDY = small_study(
    maps={"layers": ["layer3.0", "layer2.0"]},
    attacks={
        **{"epsilons": [0, 0.01, 0.05], "native_epsilons": [0.02], "sample": 10, "steps": 3},
        **{"sample_epsilons": [0.01, 0.02], "logits_epsilon": 0.02},
    },
    corruptions={"sample": 10, "noise": [0.1], "jpeg": [30, 10]},
)
# Of 70 images, 14 are in the sample; FGSM is at 3 sizes, random signs at 2, native at 1. There are
# 1, 4, 4, 4 and 2 strengths of corruptions.
BY_HAND = {
    "predictions": Counter(forward=70),
    "maps": Counter(forward=70, maps=140),
    "attacks": Counter(forward=6 * 70 + 2 * 14, gradient=2 * 70 + 14 * (1 + 2 * 2)),
    "controls": Counter(forward=70 + 2 * 14, gradient=3 * (70 + 2 * 14)),
    "corruptions": Counter(forward=15 * 14),
}


@pytest.fixture(scope="module")
def subject(learned: Classifier, digits: Images) -> Subject:
    """70 images: a batch and a rest."""
    return Subject(STUDY, STUDY.runs[0], learned, digits, digits.positions("test")[:70])


def test_probes_make_no_pass_twice(subject: Subject) -> None:
    """One forward pass serves all layers, and one gradient all attacks that start from it."""
    assert len(subject.sample) == len(subject.sampled(10)) == 14
    done = {}
    for analysis, expected in BY_HAND.items():
        with counted() as made:
            done |= PROBES[analysis](subject, done)
        assert needed(subject, analysis) == expected, analysis
        # Where cells look is found with two images on a copy without gradients, for each layer.
        extra = made - expected
        assert not expected - made and extra["gradient"] == 0, analysis
        assert extra.total() <= (40 if analysis == "maps" else 0), (analysis, extra)


def test_costs_are_measured_round_by_round(subject: Subject) -> None:
    study = STUDY.model_copy(update={"maps": None, "attacks": None})
    few = Subject(study, study.runs[0], subject.classifier, subject.images, subject.positions[:20])
    costs = measure(few, rounds=2)
    assert list(costs) == ["predictions", "corruptions", "all"]
    for cost in costs.values():
        assert len(cost.seconds) == len(cost.bare) == len(cost.ratios) == 2
        assert cost.ratios[0] > 0
    assert costs["all"].needed == costs["predictions"].needed + costs["corruptions"].needed


def test_the_command_prints_a_line_for_each_analysis(
    playground: Playground, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", str(playground.study), "--images", "10", "--rounds", "1"]) == 0
    first = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert first == ["analysis", "predictions", "maps", "attacks", "controls", "all"]
