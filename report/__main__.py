"""The command line: ``python -m report`` renders the cached results into pages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from analysis.errors import UserError
from report import rendering


def main(arguments: Sequence[str] | None = None) -> int:
    """Render a profile, say what was made, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m report", description=__doc__)
    parser.add_argument("--profile", help="a Quarto profile, such as demo")
    parser.add_argument("--preview", action="store_true", help="make the preview despite a Quarto")
    options = parser.parse_args(arguments)
    try:
        for path in rendering.render(profile=options.profile, preview=options.preview):
            print(path)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the pages from before are untouched.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
