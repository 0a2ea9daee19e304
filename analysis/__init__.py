"""From a study file to cached results: data, training, probes and the results store."""

import sys

# Read by any Python 3, unlike all other modules.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(f"This needs Python 3.11 or later; {sys.executable} is {sys.version.split()[0]}.")
