"""From cached results to pages: numbers, figures and tables, the paper, and the site."""

import analysis  # noqa: F401 - which ends with one line if this Python is too old
