"""The command line: ``python -m report`` renders the cached results into pages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.project import interruption

if __name__ == "__main__":
    interruption.expected()

import click

from analysis.project import commands
from report.site import quarto


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--profile", help="A Quarto profile, such as demo.")
@click.option("--preview", is_flag=True, help="Make the preview, whether there is a Quarto or not.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the pages; that of the profile if left out. Nothing else is written then.",
)
@click.option("--timeout", default=quarto.TIMEOUT, show_default=True, help="Limit in seconds.")
@commands.debug
def app(profile: str | None, preview: bool, output: Path | None, timeout: float) -> None:
    """Render the cached results into pages and print their paths."""
    for path in quarto.render(profile=profile, preview=preview, output=output, timeout=timeout):
        click.echo(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Render and return the exit status: 0, 1 for an error, 2 for a usage error, 130 if stopped."""
    return commands.run(
        app,
        arguments,
        name="python -m report",
        stopped="Stopped; the pages from before are unchanged.",
    )


if __name__ == "__main__":
    sys.exit(main())
