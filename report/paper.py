"""The paper as a page sees it: the values it quotes, its figures and its tables.

A page opens the paper once, in its first cell, and asks it for what it shows.
"""

from __future__ import annotations

from analysis import results
from report import execution, figures
from report.execution import Execution
from report.figures import Markdown
from report.plots import Plots
from report.quantities import Quantities
from report.tables import Tables


class Paper:
    """The exhibits of one study in one execution of a page."""

    def __init__(self, quantities: Quantities, context: Execution) -> None:
        self.quantities = quantities
        self.figures = Plots(quantities, context)
        self.tables = Tables(quantities)
        self._execution = context

    @classmethod
    def open(cls) -> Paper:
        """Return the paper of the study that is being rendered. Raises ``UserError``."""
        context = execution.current()
        return cls(Quantities(results.load(context.study)), context)

    @property
    def scripts(self) -> Markdown:
        """Return what a page loads to draw its charts."""
        return figures.scripts(self._execution)
