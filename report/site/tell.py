"""The page "Can you tell?": pairs of an image and the same under attack, and what readers found.

The answers stay in the browser of whoever gives them, who may save them as CSV.
"""

from __future__ import annotations

from string import Template
from typing import Any

from analysis.project import paths
from analysis.results.answers import COLUMNS, SIDES
from analysis.results.records import ClaimRecord
from report.numbers import formats
from report.numbers.claim import threshold as asked
from report.numbers.results import Results
from report.page import Execution, Markdown, raw
from report.pictures import Pictures, address
from report.safe import safe, script

_ASSETS = paths.ROOT / "report" / "assets"
_TEST = "share recognised"


class Tell:
    """What the page shows of one study."""

    def __init__(self, results: Results, execution: Execution) -> None:
        self._results, self._execution = results, execution
        self._pictures = Pictures(results, execution)
        self._pairs = self._pictures.group("pairs")

    @property
    def question(self) -> Markdown:
        """Return what is asked, or why there is nothing to see."""
        if len(self._pairs):
            attacked = "one as the network saw it, and one with a perturbation that was computed "
            return Markdown(
                f"Each pair is the same image twice: {attacked}to mislead the network. "
                f"{self._pictures.rule('pairs')} {self._pictures.terms}"
            )
        if self._results.study.attacks is None:
            return Markdown("This study makes no attacks, so there is nothing to tell apart.")
        reason = "No attacked image of these results is drawn: that takes the weights of a network."
        return Markdown(self._pictures.note or safe(reason))

    @property
    def answers(self) -> Markdown:
        """Return what readers found so far, if the study has a claim about it."""
        claim = self._claim
        if claim is None:
            return Markdown()
        effect = claim.study.effect
        if effect is None:
            reason = claim.study.reason
            return Markdown(f"**{safe(reason[:1].upper() + reason[1:])}** so far.")
        share = formats.between(effect.value, effect.low, effect.high, "share")
        return Markdown(
            f"Readers found the attacked image in {share} of the pairs ({safe(claim.study.reason)})"
            f". Claimed is {asked(claim)}: *{claim.study.verdict}*."
        )

    @property
    def _claim(self) -> ClaimRecord | None:
        found = (claim for claim in self._results.record.claims if claim.test == _TEST)
        return next(found, None)

    @property
    def pairs(self) -> Markdown:
        """Return the pairs with all that the page needs to ask, empty without any."""
        if self._pairs.empty:
            return Markdown()
        if self._execution.print:
            return Markdown("The pairs and their buttons need the web page.")
        body, style, code = (
            (_ASSETS / f"tell.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
        )
        filled = Template(body).substitute(
            count=len(self._pairs),
            strength=safe(self._strength, "html"),
            study=safe(self._results.study.name, "html"),
            content=script(self._content()),
        )
        return raw("html", f"<style>\n{style}</style>\n{filled}<script>\n{code}</script>")

    def _content(self) -> dict[str, Any]:
        pairs = []
        for row in self._pairs.itertuples():
            shown = [address(row.clean), address(row.attacked)]
            left, right = shown if row.side == SIDES[1] else shown[::-1]
            pairs.append({"index": int(row.index), "side": row.side, "left": left, "right": right})
        columns = list(COLUMNS)
        return {"columns": columns, "epsilon": self._epsilon, "pairs": pairs, "scores": self.scores}

    @property
    def _epsilon(self) -> float:
        attacks = self._results.study.attacks
        return attacks.logits_epsilon if attacks else 0.0

    @property
    def _strength(self) -> str:
        epsilon = self._epsilon
        return (
            f"The attack was FGSM at ε = {epsilon:g}: each colour of each pixel is at most "
            f"{formats.levels(epsilon)} of 255 levels brighter or darker."
        )

    @property
    def scores(self) -> list[str]:
        """Return what is said of each score, from none of the pairs to all of them."""
        rows = self._results.table("guesses")
        rows = rows[rows["pairs"] == len(self._pairs)].sort_values("right")
        return [_said(int(r.right), int(r.pairs), r.low, r.high) for r in rows.itertuples()]


def _said(right: int, pairs: int, low: float, high: float) -> str:
    share = formats.between(right / pairs, low, high, "share")
    compared = "as guessing might"
    if low > 0.5:
        compared = "more than guessing explains"
    elif high < 0.5:
        compared = "fewer than guessing explains"
    return (
        f"You found {right} of {pairs}, {compared}: {share}, the 95% confidence interval in "
        "parentheses, where guessing finds half."
    )
