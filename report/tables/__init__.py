"""The tables of the paper: each a function of the results that returns a pipe table."""
