"""A command line: its exit status, and each error as one line or two."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper

import click

from analysis.project import interruption
from analysis.project.errors import UserError, printable
from analysis.project.foreign import said

DEBUG = "--debug"
debug = click.option(
    DEBUG, is_flag=True, expose_value=False, help="Show the traceback of an error."
)


def run(app: click.Command, arguments: Sequence[str] | None, *, name: str, stopped: str) -> int:
    """Run one command and return its exit status.

    It is 0, or what the command returns; 1 for an error, 2 for a usage error, and 130 when
    interrupted, which the line ``stopped`` is for. ``name`` is that of the program.
    """
    interruption.begin()
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A terminal may not have every letter of a name.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # Not by click's `main`, which makes an error of a pipe that was closed.
        with app.make_context(name, list(given)) as context:
            status = app.invoke(context) or 0
        if sys.stdout:
            sys.stdout.flush()
        return status
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, click.Abort):
        message, status = stopped, interruption.STATUS
    except BrokenPipeError:
        # Whoever read the output, such as head, has seen enough.
        sys.stdout = None
        return 0
    # What somebody else's code raises need not be an Exception.
    except BaseException as error:
        message, status = _message(error), 2 if isinstance(error, click.ClickException) else 1
        if DEBUG in given:
            message = _traced(error)
    print(printable(message), file=sys.stderr)
    return status


def _message(error: BaseException) -> str:
    """Return what an error says to the person at the keyboard."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError):
        return "There is not enough memory for that."
    if not isinstance(error, OSError) or not error.strerror:
        return f"This should not happen: {said(error)}\nThe option {DEBUG} shows where it does."
    where = error.filename or "the output"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            # Of a copy, the second name is what is written.
            f"No space left on the device while writing {error.filename2 or where}.\n"
            "Nothing that was finished is lost: make room, and run the same command again."
        )
    return f"{where}: {error.strerror}."


def _traced(error: BaseException) -> str:
    """Return the traceback of an error, with those of all that led to it."""
    cause: BaseException | None = error
    while cause is not None:
        cause.__suppress_context__ = cause.__cause__ is not None
        cause = cause.__cause__ or cause.__context__
    return "".join(traceback.format_exception(error)).rstrip()
