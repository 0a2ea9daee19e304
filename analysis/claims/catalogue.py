"""The sixteen claims, with what was fixed about each before our results were seen.

The thresholds are effects that would matter. They were set with the original's published numbers
known and before this project's own, and they do not move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.claims import errors, explanations, fragility
from analysis.claims.judging import Finding
from analysis.evidence import Evidence
from analysis.verdicts import Side, Unit


@dataclass(frozen=True)
class Claim:
    """A claim of the original, and the test that stands for it; no threshold, no verdict.

    ``published`` tells whether the original's published numbers suffice to judge it.
    """

    id: str
    statement: str
    says: str
    test: str
    refuted_by: str
    effect: str
    unit: Unit
    function: Callable[[Evidence], Finding]
    side: Side | None = None
    threshold: float | None = None
    published: bool = False


CATALOGUE = (
    Claim(
        id="accuracy",
        statement="Overall accuracy is high.",
        says="Results: the network reaches about 94% on the test set.",
        test="Accuracy of networks trained on the official training split is at least 0.93.",
        refuted_by="an accuracy below 0.93",
        effect="accuracy",
        unit="share",
        function=errors.accuracy,
        side="above",
        threshold=0.93,
        published=True,
    ),
    Claim(
        id="uneven",
        statement="Errors fall unevenly on the classes.",
        says="Part I: a high accuracy hides large differences between digits.",
        test="The gap in error between the worst and the best digit, chosen on one half of the "
        "photos and measured on the other, is above 0.02 in the mean over 200 splits.",
        refuted_by="a gap below 0.02",
        effect="gap in error",
        unit="difference of shares",
        function=errors.uneven,
        side="above",
        threshold=0.02,
        published=True,
    ),
    Claim(
        id="easy-digits",
        statement="The digits 0, 1 and 2 are consistently accurate.",
        says="Part I: 0, 1 and 2 are recognised reliably.",
        test="The error of each of the three, minus that of the seven other digits together, is "
        "below −0.01.",
        refuted_by="a difference above −0.01 for any of them",
        effect="error minus that of the others",
        unit="difference of shares",
        function=errors.easy_digits,
        side="below",
        threshold=-0.01,
        published=True,
    ),
    Claim(
        id="hard-digits",
        statement="The digits 8 and 9 err significantly more.",
        says="Part I: 8 and 9 have the lowest accuracy.",
        test="The error of each of the two, over that of the eight other digits together, is above "
        "1.25.",
        refuted_by="a ratio below 1.25 for any of them",
        effect="error over that of the others",
        unit="ratio",
        function=errors.hard_digits,
        side="above",
        threshold=1.25,
        published=True,
    ),
    Claim(
        id="structured",
        statement="Confusions follow a structure.",
        says="Part I: errors concentrate on pairs of digits that look alike.",
        test="The ten commonest pairs, chosen on one half of the photos, hold more than 1.25 times "
        "the share of the errors on the other half that quasi-independence predicts.",
        refuted_by="a ratio below 1.25",
        effect="share of errors over that expected",
        unit="ratio",
        function=errors.structured,
        side="above",
        threshold=1.25,
        published=True,
    ),
    Claim(
        id="persistent",
        statement="The pattern persists across runs.",
        says="Part I: the same digits stay hard whenever the network is trained.",
        test="The rank correlation of the digits' errors, between one repeat on half of the photos "
        "and another repeat on the other half, corrected for attenuation, is at least 0.7, and "
        "above what exchanged photos give.",
        refuted_by="a correlation below 0.7",
        effect="corrected rank correlation",
        unit="correlation",
        function=errors.persistent,
        side="above",
        threshold=0.7,
    ),
    Claim(
        id="explanations",
        statement="Easy digits have compact explanations, hard ones diffuse ones.",
        says="Part I: the Grad-CAM map of a 0 is focused and that of an 8 is scattered.",
        test="Spread and area of the maps of {8, 9}, minus those of {0, 1, 2}, are both above 0.2 "
        "standard deviations.",
        refuted_by="a difference below 0.2 for either measure",
        effect="difference in diffuseness",
        unit="standard deviations",
        function=explanations.explanations,
        side="above",
        threshold=0.2,
    ),
    Claim(
        id="explanations-correct",
        statement="So even among correct predictions.",
        says="Part I: explanations degrade before predictions do.",
        test="The same, on the maps of correct predictions alone.",
        refuted_by="a difference below 0.2 for either measure",
        effect="difference in diffuseness",
        unit="standard deviations",
        function=explanations.explanations_correct,
        side="above",
        threshold=0.2,
    ),
    Claim(
        id="collapse",
        statement="Accuracy collapses rapidly as the perturbation grows.",
        says="Part II: small FGSM perturbations destroy the accuracy.",
        test="Accuracy under FGSM at the original's ε = 0.03 (3.8 levels) is at most half the "
        "clean accuracy.",
        refuted_by="more than half of it left",
        effect="attacked over clean accuracy",
        unit="ratio",
        function=fragility.collapse,
        side="below",
        threshold=0.5,
        published=True,
    ),
    Claim(
        id="chance",
        statement="Under attack, accuracy approaches random guessing.",
        says="Part II: at the largest ε the network is no better than guessing.",
        test="Accuracy under FGSM at the original's largest ε = 0.10 (12.8 levels) is within 0.05 "
        "of 0.10, the accuracy of guessing.",
        refuted_by="an accuracy further from guessing on either side; far below is worse than "
        "guessing",
        effect="distance from guessing",
        unit="difference of shares",
        function=fragility.chance,
        side="within",
        threshold=0.05,
        published=True,
    ),
    Claim(
        id="imperceptible",
        statement="The perturbations cannot be seen.",
        says="Part II: the attacked images look the same to us.",
        test="None: it takes observers. Sizes and similarities of the perturbations are shown.",
        refuted_by="observers who tell attacked images from clean ones",
        effect="",
        unit="share",
        function=fragility.imperceptible,
    ),
    Claim(
        id="direction",
        statement="It is the direction of the perturbation that matters, not its size.",
        says="Part II: the network is sensitive to chosen directions.",
        test="Random signs of 3.8 levels cost at most 0.02 of accuracy.",
        refuted_by="a loss above 0.02",
        effect="accuracy lost",
        unit="difference of shares",
        function=fragility.direction,
        side="below",
        threshold=0.02,
    ),
    Claim(
        id="confident",
        statement="Predictions change confidently.",
        says="Part II: the network is confident in its wrong answers under attack.",
        test="At 3.8 levels, the AUROC of confidence between right clean predictions and errors "
        "that FGSM made is at most 0.7, as given and with temperature scaling.",
        refuted_by="an AUROC above 0.7 either way",
        effect="AUROC of confidence",
        unit="AUROC",
        function=fragility.confident,
        side="below",
        threshold=0.7,
    ),
    Claim(
        id="connected",
        statement="The two failure modes are connected.",
        says="Discussion: what errs more is also more fragile.",
        test="Among images of one digit that a network gets right, those that other repeats get "
        "wrong are flipped oftener at the smallest ε, by more than 0.05.",
        refuted_by="a difference below 0.05",
        effect="difference in flips",
        unit="difference of shares",
        function=fragility.connected,
        side="above",
        threshold=0.05,
    ),
    Claim(
        id="aggregate",
        statement="Aggregate metrics cannot tell.",
        says="Discussion: accuracy alone hides both failure modes.",
        test="None: a description of overall, worst-class and attacked accuracy over the runs.",
        refuted_by="nothing; it is described",
        effect="",
        unit="share",
        function=fragility.aggregate,
    ),
    Claim(
        id="silent",
        statement="Models do not fail loudly.",
        says="Discussion: errors come without a sign of doubt.",
        test="More than 0.2 of the errors on clean images are made with a confidence of 0.9 or "
        "more.",
        refuted_by="a share below 0.2",
        effect="share of confident errors",
        unit="share",
        function=errors.silent,
        side="above",
        threshold=0.2,
    ),
)
