"""The commands of the analysis, ``python -m analysis COMMAND``; see ``--help``."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.project import interruption

if __name__ == "__main__":
    interruption.expected()

import click

from analysis.project import commands, paths
from analysis.project.errors import UserError

if TYPE_CHECKING:
    from analysis.results.store import Derived, Store

study_name = click.argument("name", metavar="STUDY")
study_names = click.argument("names", nargs=-1, metavar="[STUDY]...")
device = click.option(
    "--device", help="Such as cpu, cuda:1 or mps; chosen automatically if left out."
)
data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder of the data files; FAILURE_MODES_DATA if left out.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def app() -> None:
    """From a study file to cached results. A STUDY is a name, or a path to a study file."""


@app.command()
@click.argument("name")
@click.option("--images", help="A folder, an .npz file, torchvision:DATASET or python:MODULE:NAME.")
@click.option("--model", help="A timm model, or python:MODULE:NAME.")
@click.option("--weights", help="A file, or pretrained; a timm model is trained if left out.")
@click.option(
    "--size", type=click.IntRange(8, 4096), help="Input size in pixels; timm's if left out."
)
@click.option("--predictions", type=click.Path(path_type=Path), help="A CSV or Parquet file.")
@data
def new(
    name: str,
    images: str | None,
    model: str | None,
    weights: str | None,
    size: int | None,
    predictions: Path | None,
    data: Path | None,
) -> None:
    """Write a study of your own, and the profile that shows it."""
    from analysis import scaffold

    if predictions is not None and images is None and model is None:
        written = scaffold.of_predictions(name, predictions, say=_say)
    elif predictions is None and images is not None and model is not None:
        written = scaffold.of_images(
            name,
            images,
            model=model,
            weights=weights,
            size=size,
            data=data or paths.data(),
            say=_say,
        )
    else:
        raise click.UsageError("Name --images and --model, or --predictions.")
    study, profile = map(paths.shown, written)
    _say(f"{study}  the study: read it, and change what does not fit")
    _say(f"{profile}  the profile that shows it")
    _say(f"Next: python -m analysis run {name}")


@app.command()
@study_name
@device
@data
@click.option(
    "--ray",
    "address",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Do the runs on a Ray cluster; without ADDRESS on one of its own, on this machine.",
)
def run(name: str, device: str | None, data: Path | None, address: str | None) -> None:
    """Do what is missing of a study, run by run; it can be stopped at any moment."""
    from analysis import study

    found, folder = study.load(name, data=data), data or paths.data()
    if address is None:
        from analysis import pipeline

        pipeline.run(found, data=folder, device=device, say=_say)
    else:
        from analysis import cluster

        cluster.run(found, data=folder, device=device, address=address, say=_say)


@app.command()
@study_names
def status(names: tuple[str, ...]) -> None:
    """Print what is done, missing, stale or broken."""
    from analysis import claims, study
    from analysis.results import store
    from analysis.results.store import Store

    for name in names or study.names():
        opened = Store.open(study.load(name))
        claims.of(opened.study)
        runs = opened.study.runs
        begun = [run for run in runs if run.name in {**opened.runs, **opened.problems}]
        done = sum(not opened.todo(run) for run in begun)
        _say(f"{opened.study.name}: {done} of {len(runs)} runs done")
        for each in begun:
            state = opened.state(each)
            if set(state.values()) != {"missing"}:
                steps = "  ".join(f"{step} {is_}" for step, is_ in state.items())
                _say(f"  {each.name:<6} {steps}")
        for run_name, problems in opened.problems.items():
            for step, reason in problems.items():
                _say(f"  {run_name:<6} {step} is {reason}")
        _say(f"  claims {_derived_state(opened, store.derived_if_any(opened.study.name))}")


def _derived_state(opened: Store, derived: Derived | None) -> str:
    from analysis import claims, derivation

    if derived is None:
        return "missing"
    if not derived.is_whole():
        return "broken"
    current = derivation.derived_digest(opened, claims.of(opened.study))
    return "done" if derived.record.inputs == current else "stale"


@app.command()
@study_names
def verify(names: tuple[str, ...]) -> None:
    """Check every file of the results, for example after a run was copied here."""
    from analysis import derivation, study
    from analysis.results import store, verification
    from analysis.results.store import Store

    for name in names or study.names():
        opened = Store.open(study.load(name))
        if not opened.folder.is_dir():
            if names:
                raise store.nothing_yet(opened.study.name)
            continue
        count = verification.check_all(opened)
        derivation.check_current(opened)
        _say(f"{opened.study.name}: {count} files are whole and fit together")


@app.command("claims")
@study_name
@click.option("--json", is_flag=True, help="Print everything as JSON.")
def claims_(name: str, json: bool) -> None:
    """Print the verdict on each claim, deriving it again if needed."""
    from analysis import derivation, study
    from analysis.claims import text

    record = derivation.judged(study.load(name), say=lambda line: None)
    _say(record.model_dump_json(indent=1) if json else text.lines(record))


@app.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--gate",
    "margin",
    type=click.FloatRange(min=0, max=1, max_open=True),
    metavar="MARGIN",
    help="Exit with 1 if B is worse by more than this share, such as 0.01, beyond chance.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 unless B is surely not that much worse.")
@click.option("--json", is_flag=True, help="Print everything as JSON.")
def compare(a: str, b: str, margin: float | None, strict: bool, json: bool) -> int:
    """Print study B against study A; paired differences where both predict the same images.

    The exit status is 0, or 1 if B does not pass the gate, and 2 for any error.
    """
    from analysis import comparison, study
    from analysis.comparison import text

    if strict and margin is None:
        raise click.UsageError("--strict is for --gate MARGIN.")
    if margin is not None and math.isnan(margin):
        raise click.UsageError("--gate: the margin must be a number.")
    try:
        found = comparison.compare(study.load(a), study.load(b), margin=margin, strict=strict)
    # 1 is for a gate that is not passed.
    except UserError as error:
        raise click.ClickException(str(error)) from None
    _say(found.model_dump_json(indent=1) if json else text.lines(found))
    return int(found.gate is not None and not found.gate.passed)


@app.command()
@study_name
@device
@data
def pictures(name: str, device: str | None, data: Path | None) -> None:
    """Draw the single images that pages show; those under attack need weights."""
    from analysis import derivation, study
    from analysis.probes import pictures as drawing

    found = study.load(name, data=data)
    derivation.judged(found, say=lambda line: None)
    with study.named(found):
        path = drawing.draw(found, data=data or paths.data(), device=device)
    _say(f"{paths.shown(path)}  {path.stat().st_size / 1e3:.0f} kB")


@app.command()
@study_name
@data
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the page; build/audit/STUDY.html if left out.",
)
def audit(name: str, data: Path | None, out: Path | None) -> None:
    """Write a page on which people read suspected labels; needs data."""
    from analysis import derivation, study
    from analysis.audit import page

    found = study.load(name, data=data)
    derivation.judged(found, say=lambda line: None)
    with study.named(found):
        path = page.write(found, data=data or paths.data(), out=out)
    _say(f"{paths.shown(path)}  {path.stat().st_size / 1e3:.0f} kB")


@app.command()
@study_name
@click.option("--images", type=click.IntRange(min=1), default=256, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@device
@data
def benchmark(name: str, images: int, rounds: int, device: str | None, data: Path | None) -> None:
    """Time the probes of a run on some images against the bare passes that they need."""
    from analysis import running, study
    from analysis.probes import cost

    subject = running.untrained_subject(
        study.load(name, data=data), images=images, data=data or paths.data(), device=device
    )
    for line in cost.lines(cost.measure(subject, rounds=rounds)):
        _say(line)


@app.command()
@click.option("--data-sets", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the table; build/simulation.csv if left out.",
)
def simulate(data_sets: int, processes: int, out: Path | None) -> None:
    """Write how often verdicts and intervals are wrong on made-up data; 1,000 sets take an hour."""
    from analysis.project import files
    from analysis.simulation import rates

    path = out or paths.simulation()
    table = rates.simulate(data_sets=data_sets, processes=processes, say=_say)
    with files.written_whole(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    _say(paths.shown(path))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 for an error, 130 when interrupted.

    That of ``compare`` is 2 for an error.
    """
    return commands.run(
        app,
        arguments,
        name="python -m analysis",
        stopped="Stopped; what is finished is kept, and the same command continues.",
    )


def _say(line: str) -> None:
    print(line, flush=True)


# Taken before a command as well as after it.
for command in (app, *app.commands.values()):
    commands.debug(command)

if __name__ == "__main__":
    sys.exit(main())
