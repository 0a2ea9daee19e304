"""The command line: ``python -m report`` renders the cached results into pages."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

import click

from analysis.project.errors import UserError
from report.site import quarto


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--profile", help="A Quarto profile, such as demo.")
@click.option("--preview", is_flag=True, help="Make the preview, whether there is a Quarto or not.")
@click.option("--timeout", default=quarto.TIMEOUT, show_default=True, help="Limit in seconds.")
def app(profile: str | None, preview: bool, timeout: float) -> None:
    """Render the cached results into pages and print their paths."""
    for path in quarto.render(profile=profile, preview=preview, timeout=timeout):
        click.echo(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Render and return the exit status: 0, 1 for an error, 2 for a usage error, 130 if stopped."""
    # A polite kill is an interruption like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return app.main(arguments, prog_name="python -m report", standalone_mode=False) or 0
    except click.ClickException as error:
        return _failed(error.format_message(), 2)
    except UserError as error:
        return _failed(str(error), 1)
    except OSError as error:
        return _failed(f"{error.filename}: {error.strerror}." if error.filename else str(error), 1)
    except (KeyboardInterrupt, click.Abort):
        return _failed("Stopped; the pages from before are unchanged.", 130)


def _failed(message: str, status: int) -> int:
    click.echo(message, err=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
