"""The command line of the analysis, ``python -m analysis COMMAND``; see ``--help``."""

from __future__ import annotations

import argparse
import errno
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis import paths, results, state, study, timings
from analysis.errors import UserError, nearest

_FINISHED_KEPT = "what was finished is kept, and the same command goes on from there"
_NOTHING_KEPT = "nothing was written, and the same command starts anew"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 for an error, 130 when interrupted."""
    # A polite kill, from a batch system say, is an interruption like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except UserError as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        return _failed(f"Stopped; {options.stopped}.", 130)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _failed(
                f"No space left on the device while writing {error.filename or 'a file'}.\n"
                "What was there before is untouched: make room, and run the same command again."
            )
        if error.filename is None:
            raise
        return _failed(f"{error.filename}: {error.strerror}.")


def _failed(message: str, status: int = 1) -> int:
    print(message, file=sys.stderr)
    return status


def _run(options: argparse.Namespace) -> int:
    chosen = study.load(options.study)
    # Answered without torch, so that nothing to do costs a second.
    if not _todo(chosen):
        print(f"{chosen.name}: nothing to do.")
        return 0
    from analysis import pipeline

    device = pipeline.choose_device(options.device)
    pipeline.run(chosen, data=options.data, device=device, say=lambda line: print(line, flush=True))
    return 0


def _todo(chosen: study.Study) -> bool:
    stored = results.load_if_any(chosen.name)
    runs = state.states(chosen, stored)
    derived = (state.estimates_state(chosen, stored), state.claims_state(chosen, stored))
    return not (all(run.done for run in runs) and set(derived) == {"done"})


def _status(options: argparse.Namespace) -> int:
    for name in options.studies or study.names():
        chosen = study.load(name)
        stored = results.load_if_any(chosen.name)
        runs = state.states(chosen, stored)
        done = sum(run.done for run in runs)
        print(f"{chosen.name}: {done} of {len(runs)} runs done")
        for run in runs:
            steps = {"training": run.training, **run.analyses}
            print(f"  {run.run.name:<6}", "  ".join(f"{k} {v}" for k, v in steps.items()))
        estimates = state.estimates_state(chosen, stored)
        print(f"  {'all':<6} estimates {estimates}  claims {state.claims_state(chosen, stored)}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    for name in options.studies or study.names():
        chosen = study.load(name)
        stored = results.load_if_any(chosen.name)
        if stored is None:
            if options.studies:
                raise results.none_yet(paths.results(chosen.name), name)
            continue
        stored.check_folder()
        count = stored.verify()
        print(f"{chosen.name}: {count} files agree with the manifest and their schemas")
        if stored.manifest.study_digest != chosen.digest():
            print(
                f"{chosen.name}: the study file has changed since; see `python -m analysis status`"
            )
    return 0


def _with_results(options: argparse.Namespace) -> tuple[study.Study, results.Results]:
    """Return the study that a command names, with its results. Raises ``UserError`` without any."""
    chosen = study.load(options.study)
    stored = results.load_if_any(chosen.name)
    if stored is None:
        raise results.none_yet(paths.results(chosen.name), options.study)
    return chosen, stored


def _claims(options: argparse.Namespace) -> int:
    from analysis import claims_text, derived

    chosen, _ = _with_results(options)
    table = derived.judged(chosen.name).claims()
    print(table.model_dump_json(indent=1) if options.json else claims_text.lines(table))
    return 0


def _pictures(options: argparse.Namespace) -> int:
    chosen, _ = _with_results(options)
    from analysis import panels, pipeline

    device = pipeline.choose_device(options.device)
    path = panels.draw(chosen, data=options.data, device=device)
    print(f"{path}  {path.stat().st_size / 1e3:.0f} kB")
    return 0


def _agree(options: argparse.Namespace) -> int:
    chosen, stored = _with_results(options)
    runs = {run.name: run for run in chosen.runs}
    if options.run not in runs:
        likely = nearest(options.run, list(runs))
        raise UserError(f"{chosen.name} has no run {options.run!r}; the nearest is {likely!r}.")
    if options.images < 1:
        raise UserError(f"--images {options.images}: it takes one image or more.")
    from analysis import agreement, datasets, pipeline, trained

    device = pipeline.choose_device(options.device)
    images = datasets.load(chosen, options.data)
    table = agreement.probed_again(
        chosen, runs[options.run], images, stored, device=device, count=options.images
    )
    there = stored.manifest.runs[options.run].analyses["predictions"].device
    print(f"{chosen.name} {options.run}: {trained.describe(device)}, beside {there}")
    print(agreement.lines(table))
    return 0


def _export(options: argparse.Namespace) -> int:
    from analysis import exchange

    chosen, stored = _with_results(options)
    for path in exchange.export(chosen, stored, options.runs, to=options.to):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _import(options: argparse.Namespace) -> int:
    from analysis import exchange

    exchange.import_runs(options.files, study=options.study, replace=options.replace)
    return 0


def _benchmark(options: argparse.Namespace) -> int:
    from analysis import benchmarks, pipeline

    for part in options.parts:
        if part not in timings.PARTS:
            likely = nearest(part, timings.PARTS)
            raise UserError(f"The benchmark has no part {part!r}; the nearest is {likely!r}.")
    # Numbers are kept where reports look for them only if they are all there and mean something.
    whole = not options.quick and set(options.parts) >= set(timings.PARTS)
    out = options.out or (timings.default_path() if whole else None)
    found = benchmarks.measure(
        [part for part in timings.PARTS if part in options.parts],
        study=options.study,
        device=pipeline.choose_device(options.device),
        quick=options.quick,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(timings.markdown(found), end="")
    if out is not None:
        for path in timings.write(found, out):
            print(path, file=sys.stderr)
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> None:
        print(message, file=sys.stderr)
        self.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m analysis", description=__doc__)
    parser.set_defaults(stopped=_FINISHED_KEPT)
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=_Parser)
    run = commands.add_parser("run", help="do what is missing of a study")
    run.add_argument("study", help="a study's name, or a path to a study file")
    run.add_argument("--device", help="cpu or cuda; chosen by itself where left out")
    run.add_argument("--data", type=Path, default=paths.data(), help="folder of the data files")
    run.set_defaults(command=_run)
    for name, command, about in (
        ("status", _status, "say what is done, missing or stale"),
        ("verify", _verify, "check every file of the cached results"),
    ):
        parser_of = commands.add_parser(name, help=about)
        parser_of.add_argument("studies", nargs="*", metavar="study")
        parser_of.set_defaults(command=command)
    claims = commands.add_parser("claims", help="say what the results say of each claim")
    claims.add_argument(
        "study", nargs="?", default="svhn-subset", help="a study's name, or a path to a study file"
    )
    claims.add_argument("--json", action="store_true", help="everything, for machines")
    claims.set_defaults(command=_claims)
    pictures = commands.add_parser(
        "pictures",
        help="draw the single images that the tables single out",
        description="Draw images that are chosen by rule: clean, under attack, and with Grad-CAM. "
        "It needs the data and the weights of the runs. Pictures of SVHN are for this machine "
        "alone: they lie in build/local, and only the profile local shows them.",
    )
    pictures.add_argument("study", help="a study's name, or a path to a study file")
    pictures.add_argument("--device", help="cpu or cuda; chosen by itself where left out")
    pictures.add_argument(
        "--data", type=Path, default=paths.data(), help="folder of the data files"
    )
    pictures.set_defaults(command=_pictures)
    _add_agree(commands)
    _add_exchange(commands)
    _add_benchmark(commands)
    return parser


def _add_agree(commands: argparse._SubParsersAction) -> None:
    agree = commands.add_parser(
        "agree",
        help="probe a run again on a device, and say how far that is from the cached results",
        description="Probe the first evaluated images of a run again, on a device here, and say "
        "how far the numbers are from the cached ones, which may come from another device. It "
        "needs the data and the weights of the run, and changes nothing.",
    )
    agree.add_argument("study", help="a study's name, or a path to a study file")
    agree.add_argument("run", help="such as r0f3")
    agree.add_argument("--device", help="cpu or cuda; chosen by itself where left out")
    agree.add_argument(
        "--images", type=int, default=256, metavar="N", help="how many; 256 if left out"
    )
    agree.add_argument("--data", type=Path, default=paths.data(), help="folder of the data files")
    agree.set_defaults(command=_agree, stopped=_NOTHING_KEPT)


def _add_exchange(commands: argparse._SubParsersAction) -> None:
    export = commands.add_parser(
        "export",
        help="write finished runs as files for another checkout",
        description="Write each finished run as one file, STUDY-RUN.fmrun, which holds its tables "
        "and what its numbers depend on, but no weights. The same run gives the same bytes. "
        "`python -m analysis import` puts it into the results of another checkout.",
    )
    export.add_argument("study", help="a study's name, or a path to a study file")
    export.add_argument(
        "runs", nargs="*", metavar="run", help="such as r0f3; every finished run where left out"
    )
    export.add_argument(
        "--to",
        type=Path,
        default=Path(),
        metavar="FILE_OR_FOLDER",
        help="a folder, or a file that ends in .fmrun; the current folder where left out",
    )
    export.set_defaults(command=_export)
    bring = commands.add_parser(
        "import",
        help="put exported runs into the results here",
        description="Check exported runs against the study, the images and the versions of the "
        "analyses here, put them into the results, and derive estimates and claims from all runs. "
        "Either all files are taken or none. The revision of the code may be another one.",
    )
    bring.add_argument("files", nargs="+", type=Path, metavar="file", help="an exported run")
    bring.add_argument("--study", help="the study's file, where it is not one of the project's")
    bring.add_argument(
        "--replace", action="store_true", help="take a run also where it is here with other weights"
    )
    bring.set_defaults(command=_import)


def _add_benchmark(commands: argparse._SubParsersAction) -> None:
    benchmark = commands.add_parser(
        "benchmark",
        help="time the project's own work beside limits and peers",
        description="Time training, the probes of a batch, judging the claims and rendering, each "
        "in turns with a limit or a peer, and print a table. All parts together are written to "
        "build/results/benchmark, as JSON beside Markdown; some of them, or --quick, to where "
        "--out says.",
    )
    benchmark.add_argument(
        "parts",
        nargs="*",
        default=list(timings.PARTS),
        metavar="part",
        help=f"of {', '.join(timings.PARTS)}; all where left out",
    )
    benchmark.add_argument("--out", type=Path, metavar="FILE", help="a JSON file")
    benchmark.add_argument("--quick", action="store_true", help="tiny sizes, to try it out")
    benchmark.add_argument("--device", help="cpu or cuda; chosen by itself where left out")
    benchmark.add_argument(
        "--study", default="svhn-subset", help="whose claims are judged and pages rendered"
    )
    benchmark.set_defaults(command=_benchmark, stopped=_NOTHING_KEPT)


if __name__ == "__main__":
    sys.exit(main())
