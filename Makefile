# Each target makes the environment that it needs, from Python 3.11 or later and nothing else.
PYTHON ?= python3
REPORT := build/env/report
FULL := build/env/full

.PHONY: report demo test benchmark clean

report: $(REPORT)/ready  ## render the committed results into build/site
	$(REPORT)/bin/python -m report

demo: $(REPORT)/ready  ## render the demo's results into build/site-demo
	$(REPORT)/bin/python -m report --profile demo

test: $(FULL)/ready  ## run the whole test suite
	$(FULL)/bin/python -m pytest

benchmark: $(FULL)/ready  ## time the probes beside their peers, and the pages
	$(FULL)/bin/python -m pytest tests/benchmark_probes.py -s
	$(FULL)/bin/python -m pytest tests/report/benchmark_pages.py --benchmark-only

clean:  ## remove rendered pages, environments, checkpoints; results and pictures stay
	find build -mindepth 1 -maxdepth 1 ! -name results ! -name pictures -exec rm -r {} +

$(REPORT)/ready: pyproject.toml
	$(PYTHON) -m venv $(REPORT)
	$(REPORT)/bin/python -m pip install --quiet --editable .
	touch $@

$(FULL)/ready: pyproject.toml
	$(PYTHON) -m venv $(FULL)
	$(FULL)/bin/python -m pip install --quiet --editable '.[analysis,test]'
	touch $@
