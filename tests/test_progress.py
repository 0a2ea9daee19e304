"""How far a job is and how long it will take, told from a clock that the test turns."""

from __future__ import annotations

import pytest

from analysis.progress import Progress, duration


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def told(costs: dict[str, float], *steps: tuple[str, float]) -> list[str]:
    """Return the lines said for steps that each took so many seconds."""
    clock, lines = Clock(), []
    progress = Progress(costs, say=lines.append, clock=clock)
    for step, seconds in steps:
        clock.now += seconds
        progress.done(step)
    return lines


def test_time_left_follows_from_the_work_done() -> None:
    lines = told({"train": 3, "predict": 1, "attack": 4}, ("train", 30), ("predict", 10))
    # 3 of 8 in 30 s leave 50 s; 4 of 8 in 40 s leave 40 s.
    assert lines == [
        "train                            38% done, 50 s left",
        "predict                          50% done, 40 s left",
    ]


def test_time_left_follows_the_speed_so_far() -> None:
    slow, slower = told({"a": 1, "b": 1, "c": 2}, ("a", 60), ("b", 180))
    assert slow.endswith("25% done, 3 min left")
    assert slower.endswith("50% done, 4 min left")


def test_the_last_step_has_nothing_left() -> None:
    assert told({"a": 1, "b": 1}, ("a", 1), ("b", 1))[-1].endswith("100% done")


def test_a_step_that_was_not_planned_costs_nothing() -> None:
    first, second = told({"a": 1, "b": 3}, ("a", 10), ("surprise", 10))
    assert first.endswith("25% done, 30 s left")
    assert second.startswith("surprise") and second.endswith("25% done, 60 s left")


def test_a_step_counts_once() -> None:
    lines = told({"a": 1, "b": 1}, ("a", 10), ("a", 10), ("b", 10))
    assert [line.split("%")[0][-3:].strip() for line in lines] == ["50", "50", "100"]


def test_no_planned_work_is_all_done() -> None:
    assert told({}, ("a", 1))[0].endswith("100% done")


def test_a_note_stands_beside_its_step() -> None:
    lines: list[str] = []
    Progress({"a": 1}, say=lines.append).done("a", note="loss 0.123")
    assert lines[0].split() == ["a", "loss", "0.123", "100%", "done"]


def test_the_planned_costs_are_not_changed() -> None:
    costs = {"a": 1.0}
    Progress(costs, say=lambda line: None).done("a")
    assert costs == {"a": 1.0}


@pytest.mark.parametrize(
    "seconds, said",
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.6, "60 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (149, "2 min"),
        (151, "3 min"),
        (3600, "60 min"),
        (5369, "89 min"),
        (5371, "1 h 30 min"),
        (5700, "1 h 35 min"),
        (7199, "2 h 0 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_durations_are_told_as_one_would_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said
