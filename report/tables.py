"""The tables of the paper, made from the cached results."""

from __future__ import annotations

import pandas as pd

from analysis import published, timings
from analysis.verdicts import ClaimRecord
from report import deviations, figures, findings
from report.figures import Markdown
from report.formats import NOT_MEASURED, levels, per_cent, per_cent_interval
from report.quantities import ATTACKS, Quantities
from report.shown import DIGITS

NO_BENCHMARK = "No benchmark has been kept."
NO_BREAK = "\N{NO-BREAK SPACE}"


class Tables:
    """The tables of one study."""

    def __init__(self, quantities: Quantities) -> None:
        self.quantities = quantities

    def claims(self) -> Markdown:
        """Return every claim with its verdict here and on the original's numbers, as a table."""
        rows = [
            {
                "claim": f"{claim.statement} *{claim.id}*",
                "this study": findings.mark(claim.study.verdict),
                "the original": findings.mark(claim.original.verdict),
            }
            for claim in self.quantities.claims.claims
        ]
        return figures.table(pd.DataFrame(rows))

    def effects(self) -> Markdown:
        """Return the effect of each part of each tested claim, as a table."""
        rows = [
            {
                "claim": _part(claim.id, part.name) if len(judgement.parts) > 1 else claim.id,
                "of": source,
                "effect": findings.number(part.effect, claim.unit),
                "interval": _ends(claim, part.low, part.high),
                "simultaneous interval": _ends(
                    claim, part.simultaneous_low, part.simultaneous_high
                ),
                "claimed": findings.threshold(claim, short=True),
                "verdict": findings.mark(part.verdict),
                "turns at": findings.turns(claim, part),
                "detectable": findings.detectable(claim, part),
            }
            for claim in self.quantities.claims.claims
            for source, judgement in (("ours", claim.study), ("original", claim.original))
            for part in judgement.parts
        ]
        return figures.table(pd.DataFrame(rows))

    def tests(self) -> Markdown:
        """Return what the original says, how each claim is tested and what would refute it."""
        rows = [
            {
                "claim": claim.id,
                "the original": claim.says,
                "test": claim.test,
                "refuted by": claim.refuted_by,
            }
            for claim in self.quantities.claims.claims
        ]
        return figures.table(pd.DataFrame(rows))

    def sanity(self) -> Markdown:
        """Return what each saliency measure can tell, as a table."""
        rows = [
            {
                "study": row.study,
                "question": row.question,
                "measure": f"{row.measure}, {row.layer}",
                "AUROC": f"{row.auroc:.2f} ({row.low:.2f} to {row.high:.2f})",
                "as expected": findings.telling(row._asdict()),
            }
            for row in self.quantities.sanity.itertuples()
        ]
        return figures.table(pd.DataFrame(rows)) if rows else Markdown(NOT_MEASURED)

    def contrasts(self) -> Markdown:
        """Return hard minus easy digits in every saliency measure and layer, as a table."""
        rows = self.quantities.contrasts()
        if not rows:
            return Markdown(NOT_MEASURED)
        return figures.table(pd.DataFrame(rows, columns=["measure", "hard minus easy"]))

    def calibration(self) -> Markdown:
        """Return the expected calibration error of each digit, as given and scaled, as a table."""
        table = self.quantities.results.table("calibration")
        rows = [
            {"digit": group}
            | {
                row.scaling: f"{row.error:.3f} ({row.low:.3f} to {row.high:.3f})"
                for row in found.itertuples()
            }
            for group, found in table.groupby("group", sort=False)
        ]
        return figures.table(pd.DataFrame(rows))

    def aggregate(self) -> Markdown:
        """Return overall, worst-class and attacked accuracy of each network, as a table."""
        rows = [
            {
                "run": row.run,
                "accuracy": per_cent(row.accuracy),
                "worst digit": row.digit,
                "its accuracy": per_cent(row.worst),
                "under FGSM": per_cent(row.attacked),
            }
            for row in self.quantities.runs_table.itertuples()
        ]
        return figures.table(pd.DataFrame(rows))

    def bounds(self) -> Markdown:
        """Return the claims about classes without the candidates for a wrong label, as a table."""
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for claim in self.quantities.claims.claims:
            whole = {part.name: part.effect for part in claim.study.parts}
            for one in claim.study.beside:
                part, found, left_out = one.name.partition(", without ")
                if not found:
                    continue
                row = rows.setdefault(
                    (claim.id, part),
                    {
                        "claim": _part(claim.id, part) if len(whole) > 1 else claim.id,
                        "claimed": findings.threshold(claim, short=True),
                        "all images": findings.number(whole[part], claim.unit),
                    },
                )
                row[f"without {left_out}"] = findings.number(one.value, claim.unit)
        if not rows:
            return Markdown("There are no candidates, and so no bounds.")
        return figures.table(pd.DataFrame(rows.values()))

    def suspects(self) -> Markdown:
        """Return the candidates for a wrong label by official index, a row for each label."""
        table = self.quantities.results.table("suspects")
        if table.empty:
            return Markdown("There are no candidates.")
        named = table.assign(
            image=[f"{i} ({p})" for i, p in zip(table["index"], table["predicted"], strict=True)]
        )
        rows = [
            {"label": f"{label}", "candidates": f"{len(of)}", "index (read as)": ", ".join(of)}
            for label, of in named.groupby("label")["image"]
        ]
        return figures.table(pd.DataFrame(rows))

    def overall(self) -> Markdown:
        """Return the accuracy of each digit and of all, ours and the original's, as a table."""
        rows = []
        for group in ["all", *DIGITS]:
            ours = self._group("accuracy", group)
            theirs = self._group("published accuracy", group)
            rows.append(
                {
                    "digit": group,
                    "images here": f"{ours['images']:,}",
                    "this study": _with_interval(ours),
                    "the original": _with_interval(theirs),
                }
            )
        return figures.table(pd.DataFrame(rows))

    def attacked(self) -> Markdown:
        """Return accuracy at the original's ε, ours and the original's, as a table."""
        rows = []
        for epsilon, original in published.fgsm().items():
            rows.append(
                {
                    "ε": f"{epsilon:g}",
                    "in levels": levels(epsilon),
                    "original's ε": f"{2 * epsilon:g}",
                    **{
                        name: self._attacked_cell(attack, epsilon)
                        for attack, name in ATTACKS.items()
                    },
                    "original, FGSM": per_cent(original),
                }
            )
        return figures.table(pd.DataFrame(rows))

    def _attacked_cell(self, attack: str, epsilon: float) -> str:
        rows = self.quantities.rows("accuracy", attack=attack, epsilon=epsilon)
        row = rows[rows["group"] == "all"]
        return per_cent(row["value"].iloc[0]) if len(row) else "–"

    def deviations(self) -> Markdown:
        """Return where the study departs from the original, as a table."""
        q = self.quantities
        return figures.table(deviations.table(q.study, runs=q.runs, trained_on=q.trained_on))

    def provenance(self) -> Markdown:
        """Return how each network was trained, as a table."""
        rows = [
            {
                "run": name,
                "seed": entry.seed,
                "trained on": f"{entry.training.training_images:,}",
                "minutes": f"{entry.training.seconds / 60:.1f}",
                "finished": entry.training.finished[:10],
                "device": entry.training.device,
                "revision": _short(entry.training.revision),
            }
            for name, entry in self.quantities.shown.items()
        ]
        return figures.table(pd.DataFrame(rows))

    def versions(self) -> Markdown:
        """Return the versions of the packages that decided the numbers, as a table."""
        found: dict[str, set[str]] = {}
        for entry in self.quantities.shown.values():
            for part in (entry.training, *entry.analyses.values()):
                for name, version in part.packages.items():
                    found.setdefault(name, set()).add(version)
        rows = [
            {"package": name, "version": ", ".join(sorted(versions))}
            for name, versions in found.items()
        ]
        return figures.table(pd.DataFrame(rows))

    def benchmark(self) -> Markdown:
        """Return how fast the project is beside limits and peers, as a table."""
        found = timings.read()
        return figures.table(timings.table(found)) if found else Markdown(NO_BENCHMARK)

    def _group(self, quantity: str, group: str) -> pd.Series:
        rows = self.quantities.rows(quantity)
        return rows[rows["group"] == group].iloc[0]


def _with_interval(row: pd.Series) -> str:
    return f"{per_cent(row['value'])} ({per_cent_interval(row)})"


def _part(claim: str, part: str) -> str:
    return f"{claim}, {part.replace(' ', NO_BREAK)}"


def _ends(claim: ClaimRecord, low: float, high: float) -> str:
    return f"{findings.number(low, claim.unit)} to {findings.number(high, claim.unit)}"


def _short(revision: str | None) -> str:
    if revision is None:
        return "not known"
    commit, _, modified = revision.partition("-")
    return f"{commit[:9]}{' with changes' if modified else ''}"
