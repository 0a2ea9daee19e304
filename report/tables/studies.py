"""Several studies in one table each: their main numbers, and their verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from textwrap import shorten

from analysis.results.records import ClaimRecord
from analysis.results.schemas import ALL, AS_GIVEN, FGSM
from report.numbers import formats
from report.numbers.claim import threshold
from report.numbers.formats import UNDEFINED, counted, mark
from report.numbers.results import Results
from report.page import Markdown, table
from report.safe import safe


def numbers(studies: Sequence[Results], links: Mapping[str, str]) -> Markdown:
    """Return the main numbers of each study; ``links`` has the reports of some, by name."""
    return table([_row(results, links.get(results.study.name)) for results in studies])


def _row(results: Results, link: str | None) -> dict[str, str]:
    name, worst = safe(results.study.name), results.ranked.iloc[0]
    # Digit 8, but not class cat.
    noun = "" if results.noun == "class" else f"{results.noun} "
    lowest = f"{noun}{worst['class']}"
    counts = [counted(int(results.accuracy["images"]), "image")]
    counts.append(f"{formats.thousands(len(results.classes))} classes")
    if results.study.predictions is None:
        counts.append(counted(len(results.table("runs")), "network"))
    row = {
        "study": Markdown(f"[{name}]({link})" if link else name),
        "evaluated": _lines(counts),
        "accuracy": _over(formats.share_with_interval(results.accuracy)),
        "worst class": _over(formats.share_with_interval(worst), lowest),
        "calibration error": UNDEFINED,
        "under FGSM": UNDEFINED,
    }
    if results.has("calibration"):
        (found,) = results.rows("calibration", scaling=AS_GIVEN, class_=ALL).to_dict("records")
        ends = found["error"], found["low"], found["high"]
        row["calibration error"] = _over(formats.between(*ends, ".3f"))
    under = results.overall("accuracy", attack=FGSM, epsilon=results.middle)
    if under is not None and results.middle > 0:
        size = f"ε of {formats.levels(results.middle)} levels"
        masked = results.has("masking") and bool(results.table("masking")["masked"].iloc[0])
        note = "gradients masked" if masked else ""
        row["under FGSM"] = _over(formats.share_with_interval(under), size, note)
    return row


def _over(text: str, *below: str) -> Markdown:
    """Return a number over its interval, and over what it is of, so that a row takes less room."""
    value, parenthesis, interval = text.partition(" (")
    named = [shorten(line, 30, placeholder=" …") for line in below]
    return _lines([value, f"({interval}" if parenthesis else "", *named])


def _lines(lines: Sequence[str]) -> Markdown:
    # Other formats leave out the break, and keep the space.
    return Markdown("`<br>`{=html} ".join(safe(line) for line in lines if line))


def claims(studies: Sequence[Results]) -> Markdown:
    """Return the verdict of each study on each claim that any of them has.

    Claims of one id are one row if they have the same test and threshold.
    """
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    columns = [safe(results.study.name) for results in studies]
    for column, results in zip(columns, studies, strict=True):
        for claim in results.record.claims:
            statement = Markdown(f"{safe(claim.statement)} *{safe(claim.id)}*")
            first = {"claim": statement, "claimed": threshold(claim, short=True)}
            blank = dict.fromkeys(columns, UNDEFINED)
            rows.setdefault(_test(claim), first | blank)[column] = _marked(claim)
    return table(list(rows.values())) if rows else Markdown()


def _marked(claim: ClaimRecord) -> Markdown:
    # The shape stays with its word.
    return Markdown(safe(mark(claim.study.verdict)).replace(" ", "\N{NO-BREAK SPACE}", 1))


def _test(claim: ClaimRecord) -> tuple[str, ...]:
    parameters = json.dumps(claim.parameters, sort_keys=True)
    return claim.id, claim.test, parameters, str(claim.side), str(claim.threshold)
