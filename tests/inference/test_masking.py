"""Masked gradients, on a network made to mask them and on the same network as it was trained."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from analysis.images import Images
from analysis.inference import masking
from analysis.inference.bootstrap import Resamples
from analysis.inference.evidence import Attacked, Evidence
from analysis.networks.classifier import Classifier
from analysis.probes import PROBES, Subject
from analysis.probes.controls import control
from analysis.results.derived_schemas import DERIVED_TABLES
from analysis.results.schemas import PGD, PGD_MARGIN, PGD_RANDOM
from tests.conftest import small_study

STUDY = small_study(
    attacks={"epsilons": [0, 0.05], "sample": 30, "sample_epsilons": [0.05], "logits_epsilon": 0.05}
)


class Scaled(nn.Module):
    """A network whose logits are so much larger, and whose predictions are the same."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.factor * self.network(pixels)


def probed(learned: Classifier, digits: Images, factor: float) -> Evidence:
    """Return what attacks on the small network say when its logits are scaled."""
    classifier = copy.deepcopy(learned)
    classifier.network = Scaled(classifier.network, factor)
    subject = Subject(STUDY, STUDY.runs[0], classifier, digits, digits.positions("test")[:100])
    done = PROBES["predictions"](subject, {})
    found = PROBES["attacks"](subject, done) | control(subject, done)
    label = done["predictions"]["label"].to_numpy()
    wide = {
        (attack, float(epsilon)): Attacked(
            rows.set_index("index")["predicted"]
            .reindex(done["predictions"]["index"], fill_value=-1)
            .to_numpy()[None]
        )
        # Both have descent on the cross-entropy; the controls, last, have it on every image.
        for table in (found["attacks"], found["controls"])
        for (attack, epsilon), rows in table.groupby(["attack", "epsilon"])
    }
    return Evidence(
        classes=digits.classes,
        label=label,
        predicted=done["predictions"]["predicted"].to_numpy()[None],
        group=np.arange(100),
        seed=0,
        resamples=Resamples(np.arange(100), 100, 0),
        attacked=wide,
        gradients={
            name: found["gradients"][name].to_numpy()[None]
            for name in ("largest", "zero", "margin")
        },
    )


def test_margins_beyond_float32_are_masked_and_a_plain_network_is_not(
    learned: Classifier, digits: Images
) -> None:
    plain, scaled = (probed(learned, digits, factor) for factor in (1, 300))
    for evidence, masked in ((plain, False), (scaled, True)):
        (row,) = masking.tables(evidence).values()
        DERIVED_TABLES["masking"].validate(row)
        assert row["masked"].tolist() == [masked]
        assert bool(masking.masked(evidence)) == masked
    before, after = (masking.tables(each)["masking"].loc[0] for each in (plain, scaled))
    assert (
        after["margin"] == pytest.approx(300 * before["margin"], rel=1e-3) and after["margin"] > 300
    )
    assert after["zero"] > 0.5 and before["vanishing"] == 0
    # Descent does not move where there is no gradient; the margin has the same one as before.
    assert after["pgd"] > before["pgd"] + 0.2 and after["pgd_random"] > before["pgd"] + 0.2
    assert after["pgd_margin"] == pytest.approx(before["pgd_margin"], abs=0.05)
    fgsm = [each.accuracy("fgsm", 0.05)[0] for each in (plain, scaled)]
    assert fgsm[1] > fgsm[0] + 0.2
    reason = masking.masked(scaled)
    assert "% of the images have no gradient in float32 and descent on the margin" in reason


def test_each_sign_alone_is_enough() -> None:
    """A hundredth of the images without a gradient, or five points less on the margin."""
    label = np.zeros(200, int)
    right = np.zeros((1, 200), int)

    def evidence(without: int, lost: int) -> Evidence:
        largest = np.full((1, 200), 0.1, np.float32)
        largest[0, :without] = 1e-39
        predicted = right.copy()
        predicted[0, :lost] = 1
        # Images outside the sample count for the gradients alone.
        outcomes = {PGD: right, PGD_RANDOM: right, PGD_MARGIN: predicted}
        sampled = np.arange(200) < 100
        return Evidence(
            ("a", "b"),
            label,
            right,
            np.arange(200),
            0,
            Resamples(np.arange(200), 100, 0),
            attacked={
                (name, 0.015): Attacked(np.where(sampled, each, -1))
                for name, each in outcomes.items()
            },
            gradients={"largest": largest, "zero": 0 * largest, "margin": 3 + largest},
        )

    assert masking.masked(evidence(1, 4)) == ""
    assert masking.masked(evidence(2, 4)) == "1 % of the images have no gradient in float32"
    assert masking.masked(evidence(1, 6)) == (
        "descent on the margin leaves 94 % right where that on the cross-entropy leaves 100 %"
    )
    row = masking.tables(evidence(2, 6))["masking"].loc[0]
    assert (row["zero"], row["vanishing"], row["images"], row["sample"]) == (0, 0.01, 200, 100)
    # Nothing is known of published results, and nothing is said.
    unknown = replace(evidence(2, 6), gradients=None)
    assert masking.tables(unknown) == {} and masking.masked(unknown) == ""
