"""A comparison as lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.comparison.records import (
    Answer,
    Comparison,
    Gate,
    Interval,
    Measure,
    Side,
)

# Of more classes, those whose errors differ most are shown.
MOST = 20
_NAMES = {"fgsm": "FGSM", "pgd": "PGD", "jpeg": "JPEG"}


def lines(found: Comparison) -> str:
    """Return measures, claims and the gate of a comparison."""
    return "\n".join([*_heading(found), "", *_measures(found), *_claims(found), *_end(found)])


def _heading(found: Comparison) -> Iterator[str]:
    for letter, side in (("A", found.a), ("B", found.b)):
        yield f"{letter}  {side.name}: {side.title} ({_size(side)})"
    if found.paired:
        yield (
            f"Both predict the same images, so differences are paired, with {_level(found)} "
            f"intervals from {found.resamples:,} resamples of {found.a.groups:,} groups of images."
        )
    else:
        yield (
            f"These are not paired, as {found.reason}: each study has its own {_level(found)} "
            "intervals, and images may differ as well as networks."
        )


def _size(side: Side) -> str:
    repeats = f"{side.repeats} repeat{'' if side.repeats == 1 else 's'}"
    return f"{side.images:,} images, {repeats}"


def _level(found: Comparison) -> str:
    return f"{100 * found.level:g} %"


def _measures(found: Comparison) -> Iterator[str]:
    classes = found.of("error of a class")
    shown = _most_different(classes)
    rows = [["in per cent", "A", "B", *(["B − A, in points"] if found.paired else [])]]
    for measure in found.measures:
        if measure.measure != "error of a class" or measure in shown:
            ends = [measure.a, measure.b, *([measure.difference] if measure.difference else [])]
            # Those of a sample are fewer, and in pairs those that both samples have.
            sampled = measure.measure != "error of a class" and measure.images < found.a.images
            of = f", {measure.images:,} images" if sampled and found.paired else ""
            rows.append([_name(measure) + of, *map(_interval, ends)])
    yield from _table(rows)
    if len(shown) < len(classes):
        yield f"The {len(shown)} of {len(classes):,} classes whose errors differ most are shown."


def _most_different(classes: Sequence[Measure]) -> Sequence[Measure]:
    def differs(one: Measure) -> float:
        return -abs(one.b.value - one.a.value)

    return classes if len(classes) <= MOST else sorted(classes, key=differs)[:MOST]


def _name(measure: Measure) -> str:
    if measure.measure == "error of a class":
        return f"error of {_short(measure.part)!r}"
    if measure.measure == "accuracy under attack":
        return f"accuracy under {_NAMES[measure.part]}, ε {measure.strength:g}"
    if measure.measure == "accuracy on corrupted images":
        return f"accuracy with {_NAMES.get(measure.part, measure.part)} {measure.strength:g}"
    return measure.measure


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _interval(found: Interval) -> str:
    value, low, high = map(_points, (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def _claims(found: Comparison) -> Iterator[str]:
    if not found.claims:
        return
    yield ""
    rows = [["claim", "A", "B"]]
    for claim in found.claims:
        name = claim.id if claim.same_test else f"{claim.id} (other tests)"
        rows.append([name, _answer(claim.a), _answer(claim.b)])
    yield from _table(rows)


def _answer(answer: Answer | None) -> str:
    if answer is None:
        return "–"
    if answer.value is None:
        return answer.verdict
    ends = (answer.value, answer.low, answer.high)
    value, low, high = (f"{end:z.3f}".replace("-", "−") for end in ends)
    return f"{answer.verdict}, {value} ({low} to {high})"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


def _end(found: Comparison) -> Iterator[str]:
    if found.mcnemar:
        test = found.mcnemar
        yield ""
        yield (
            f"A alone is right on {test.only_a_right:,} images, B alone on {test.only_b_right:,}: "
            f"p = {test.p:.2g} by McNemar's exact test, which takes images as independent."
        )
    if found.gate:
        yield ""
        yield from _gate(found.gate)


def _gate(gate: Gate) -> Iterator[str]:
    margin = f"{100 * gate.margin:g} point{'' if gate.margin == 0.01 else 's'}"
    if gate.passed:
        beyond = "" if gate.strict else " beyond chance"
        yield f"Gate passed: B is nowhere worse than A by more than {margin}{beyond}."
    elif gate.strict:
        yield f"Gate failed: B may be worse than A by {margin} or more:"
    else:
        yield f"Gate failed: B is worse than A by more than {margin}:"
    for failure in gate.failures:
        what = f"error of {_short(failure.part)!r} rises" if failure.part else "accuracy falls"
        most = "at most" if gate.strict else "at least"
        yield f"  {what} by {_points(failure.drop)} points, {most} {_points(failure.bound)}"
    if gate.left_out:
        names = ", ".join(_short(name) for name in gate.left_out[:5])
        more = f" and {len(gate.left_out) - 5} more" if len(gate.left_out) > 5 else ""
        yield f"Not judged by itself, with too few groups of images: {names}{more}."


def _points(share: float) -> str:
    return f"{100 * share:z.1f}".replace("-", "−")
