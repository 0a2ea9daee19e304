"""What is known of one claim, in the words and numbers that sentences about it are made of."""

from __future__ import annotations

from analysis.results.records import ClaimRecord, Kind, Reported
from analysis.results.schemas import FGSM
from report.numbers import formats
from report.numbers.formats import ATTACK_NAMES, listed, number, per_cent
from report.numbers.results import Results


class Facts:
    """What the templates say about one claim that has an effect."""

    def __init__(self, record: ClaimRecord, results: Results) -> None:
        assert record.study.effect is not None, "findings are about effects"
        self.record, self.results, self.parameters = record, results, record.parameters
        self.effect = record.study.effect.value
        self.above = record.side == "above"
        self.value = self._written(self.effect)
        self.limit = self._written(record.threshold or 0.0)
        # Without its sign, for sentences that say on which side it lies.
        self.distance, self.limit_distance = (
            self._written(abs(each)) for each in (self.effect, record.threshold or 0.0)
        )

    def _written(self, value: float) -> str:
        unit = self.record.unit
        short = {"difference of shares": " points", "standard deviations": " SD"}.get(unit, "")
        return f"{number(value, '.2f' if unit == 'AUROC' else unit)}{short}"

    def reported(self, kind: Kind, *, part: str = "") -> Reported | None:
        """Return a number reported with the claim, if there is one."""
        found = (one for one in self.record.study.reported if one.kind == kind)
        return next((one for one in found if not part or one.part == part), None)

    def share(self, kind: Kind, *, part: str = "") -> str:
        """Return a reported share, or nothing."""
        found = self.reported(kind, part=part)
        return per_cent(found.value) if found else ""

    def group(self, key: str) -> str:
        """Return the classes of a parameter, such as ``the digits 8 and 9``."""
        names = [str(name) for name in self.parameters.get(key) or ()]
        if not names:
            left_out = [str(name) for name in self.parameters.get("left_out") or ()]
            but = f" but {listed(left_out)}" if left_out else ""
            return f"the other {self.results.nouns}{but}"
        noun = self.results.noun if len(names) == 1 else self.results.nouns
        return f"the {noun} {listed(names)}"

    @property
    def fixed(self) -> str:
        """Return which attribute is held fixed, with a space before it, if one is."""
        attribute = self.parameters.get("fixed")
        return f" with {attribute} held fixed" if attribute else ""

    @property
    def scaled(self) -> str:
        """Return whether confidence is scaled, with a space before it, if it is."""
        return " scaled by temperature" if self.parameters.get("scaled") else ""

    @property
    def size(self) -> str:
        """Return the size of the perturbation in levels."""
        return f"{formats.levels(self.parameters['epsilon'])} levels"

    @property
    def attack(self) -> str:
        """Return the name of the attack, by default FGSM."""
        return ATTACK_NAMES[self.parameters.get("attack", FGSM)]

    @property
    def attack_alone(self) -> str:
        """Return the name of the attack for sentences that say its size themselves."""
        return self.attack.removesuffix(" of the same size")

    @property
    def guessing(self) -> str:
        """Return the accuracy of guessing."""
        share = 1 / len(self.results.classes)
        return f"{100 * share:.2g}%"

    @property
    def clean(self) -> str:
        """Return the accuracy on clean images."""
        return per_cent(self.results.accuracy["value"])
