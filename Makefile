# Each target makes the environment that it needs, from Python 3.11 or later and nothing else.
PYTHON ?= python3
REPORT := build/env/report
FULL := build/env/full
# Quarto is installed where there is none; where that fails, the pages are a preview.
RENDER = $(REPORT)/bin/python -m report $$($(REPORT)/bin/python -m report.site.renderer || echo --preview)
BIN := $(FULL)/bin

.PHONY: report demo clothing test stress benchmark scale clean

report: $(REPORT)/ready  ## render the committed results into build/site
	$(RENDER)

demo: $(REPORT)/ready  ## render the demo's results into build/site-demo
	$(RENDER) --profile demo

clothing: $(REPORT)/ready  ## render the results on photos of clothes into build/site-clothing
	$(RENDER) --profile clothing

test: $(FULL)/ready  ## check style, imports, types and security, then run the whole test suite
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive analysis report
	$(BIN)/zizmor --offline --quiet --persona pedantic .github
	$(BIN)/python -m pytest -n 2 --dist loadfile

stress: $(FULL)/ready  ## run the long forms of the tests, which take a quarter of an hour
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow --figures=build/stress.csv

benchmark: $(FULL)/ready  ## time how long a reader waits for the charts
	$(BIN)/python -m pytest tests/report/site/benchmark_pages.py --benchmark-only

scale: $(FULL)/ready  ## measure what a finished run costs in studies of up to 10,000 runs
	$(BIN)/python -m tests.results.benchmark_scale

clean:  ## remove rendered pages, environments and checkpoints; results, pictures and data stay
	rm -rf build/site* build/env
	test ! -d build/cache || find build/cache -mindepth 1 -maxdepth 1 ! -name data -exec rm -r {} +

$(REPORT)/ready: pyproject.toml
	@$(PYTHON) analysis/__init__.py
	$(PYTHON) -m venv $(REPORT)
	$(REPORT)/bin/python -m pip install --quiet --editable .
	touch $@

$(FULL)/ready: pyproject.toml
	@$(PYTHON) analysis/__init__.py
	$(PYTHON) -m venv $(FULL)
	$(FULL)/bin/python -m pip install --quiet --editable '.[analysis,ray,test]'
	touch $@
