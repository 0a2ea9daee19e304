"""What the prose says of the claims: their verdicts, and the numbers beside them."""

from __future__ import annotations

from functools import cached_property

from analysis.verdicts import SURE, ClaimRecord, ClaimsTable, Verdict
from report import findings
from report.described import Described
from report.figures import Markdown
from report.findings import listed
from report.formats import NOT_MEASURED, thousands, with_interval

REPEATS_FOR_SUSPECTS = 3


class Judged(Described):
    """The claims of a study in words and numbers."""

    @cached_property
    def claims(self) -> ClaimsTable:
        """Return every claim with its verdicts."""
        return self.results.claims()

    def claim(self, name: str) -> ClaimRecord:
        """Return one claim."""
        return self.claims.claim(name)

    def finding(self, name: str) -> str:
        """Return what the study says of a claim, with its numbers."""
        return findings.finding(self.claim(name))

    def original_finding(self, name: str) -> str:
        """Return what the original's published numbers say of a claim by the same test."""
        return findings.original_finding(self.claim(name))

    def clause(self, name: str) -> str:
        """Return what the study says of a claim, without numbers."""
        return findings.clause(self.claim(name))

    def test(self, name: str) -> str:
        """Return how a claim is tested."""
        return self.claim(name).test

    @property
    def summary(self) -> str:
        """Return how many claims have which verdict."""
        return findings.summary(self.claims)

    @property
    def number_of_claims(self) -> int:
        """Return the number of claims."""
        return len(self.claims.claims)

    @property
    def marks(self) -> str:
        """Return the mark of each verdict that a drawn effect can have."""
        drawn = (verdict for verdict in findings.VERDICTS if verdict != "not tested")
        return listed([findings.mark(verdict) for verdict in drawn])

    @property
    def with_threshold(self) -> int:
        """Return how many claims have a threshold to be judged by."""
        return findings.with_threshold(self.claims)

    def with_verdict(self, verdict: Verdict) -> str:
        """Return the claims that have a verdict."""
        return findings.by_verdict(self.claims, verdict)

    @property
    def verdict_rules(self) -> Markdown:
        """Return what the verdicts mean."""
        return Markdown(findings.RULES)

    @property
    def tested(self) -> int:
        """Return the number of claims that were tested on the study."""
        return self.claims.tested

    @property
    def claim_resamples(self) -> str:
        """Return the number of resamples behind the verdicts."""
        return thousands(self.claims.resamples)

    @property
    def error_rate(self) -> str:
        """Return the chance of any wrong verdict that the tests allow for."""
        return f"{100 * self.claims.alpha:.0f}%"

    def beside(self, name: str, what: str, *, points: bool = False) -> str:
        """Return a share that stands beside a claim; that it was not measured where it is not.

        A difference of shares is in percentage ``points``.
        """
        found = [one for one in self.claim(name).study.beside if one.name == what]
        if not found:
            return NOT_MEASURED
        if points:
            return f"{findings.beside(found[0], 'difference of shares')} percentage points"
        return findings.beside(found[0], "share")

    def value_beside(self, name: str, what: str, form: str) -> str:
        """Return a number that stands beside a claim, with its interval if it has one."""
        found = [one for one in self.claim(name).study.beside if one.name == what]
        return with_interval(found[0], form) if found else NOT_MEASURED

    @property
    def persistence_by_chance(self) -> str:
        """Return how rarely exchanged photos give such a persistence, where that is known."""
        p = self.value_beside(
            "persistent", "uncorrected correlation under exchanged photos, p", ".4f"
        )
        if p == NOT_MEASURED:
            return "What exchanged photos would give is not known then."
        return f"Exchanging photos between the digits would give as much with p = {p}."

    @property
    def suspects(self) -> Markdown:
        """Return how many images are candidates for a wrong label, and what that means."""
        if self.repeats < REPEATS_FOR_SUSPECTS:
            return Markdown(
                "Errors that all repeats make alike and with high confidence would be candidates "
                "for a wrong label. They are looked for from three repeats on, so @tbl-suspects "
                "and @tbl-bounds have nothing to show here."
            )
        count = thousands(len(self.results.table("suspects")))
        return Markdown(
            f"Errors that all {self.repeats} repeats make alike, with a confidence of {SURE:g} or "
            f"more each time, are candidates for a wrong label; their number is {count} "
            "(@tbl-suspects). Nobody has looked at the pictures here. Leaving them out lowers the "
            "error by construction, so what it does to a claim is a bound; @tbl-bounds sets it "
            "beside leaving out as many errors at random."
        )

    @property
    def sure(self) -> str:
        """Return the confidence from which on a prediction counts as confident."""
        return f"{SURE:g}"
