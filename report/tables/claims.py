"""The claims, their effects and their tests."""

from __future__ import annotations

from functools import partial

from analysis.results.records import ClaimRecord
from report.numbers.claims import threshold
from report.numbers.formats import mark, number
from report.numbers.results import Results
from report.page import Markdown, table
from report.safe import safe

NO_BREAK = "\N{NO-BREAK SPACE}"


def claims(results: Results) -> Markdown:
    """Return every claim with its verdict, and with that on published results if there are any."""
    sources = [safe(name) for name in results.sources.values()]
    rows = []
    for claim in results.record.claims:
        name = Markdown(f"{safe(claim.statement)} *{safe(claim.id)}*")
        verdicts = [mark(judgement.verdict) for _, judgement in results.judgements(claim)]
        rows.append({"claim": name} | dict(zip(sources, verdicts, strict=False)))
    return table(rows)


def effects(results: Results) -> Markdown:
    """Return the effect of each part of each tested claim."""
    rows = []
    for claim in results.record.claims:
        write = partial(number, form=claim.unit)
        for source, judgement in results.judgements(claim):
            for part in judgement.parts:
                wide = f"{write(part.simultaneous_low)} to {write(part.simultaneous_high)}"
                data = {"data": source} if results.published else {}
                row = {"claim": part_name(claim, part.name), **data, "effect": write(part.effect)}
                row["interval"] = f"{write(part.low)} to {write(part.high)}"
                row["simultaneous interval"] = wide
                row |= {"claimed": threshold(claim, short=True), "verdict": mark(part.verdict)}
                row["turns at"] = " and ".join(map(write, part.turns_at))
                row["detectable"] = "none" if part.detectable is None else write(part.detectable)
                rows.append(row)
    return table(rows)


def part_name(claim: ClaimRecord, part: str) -> str:
    """Return the id of a claim, with the name of the part if it has several."""
    judgements = [claim.study, *([claim.published] if claim.published else [])]
    several = max(len(judgement.parts) for judgement in judgements) > 1
    return f"{claim.id}, {part.replace(' ', NO_BREAK)}" if several else claim.id


def tests(results: Results) -> Markdown:
    """Return where each claim was made, how it is tested and what would speak against it."""
    claims = results.record.claims
    says = {"source": [one.says for one in claims]} if any(one.says for one in claims) else {}
    return table(
        {"claim": [one.id for one in claims]}
        | says
        | {"test": [one.sentence for one in claims], "refuted by": [one.against for one in claims]}
    )
