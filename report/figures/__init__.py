"""The figures of the paper, each a function of the results: data, chart and alternative text."""
