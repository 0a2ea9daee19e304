"""From cached results to pages: figures, quantities and the rendering of the paper. No torch."""
