# The front door: `make demo` answers a question on real data, `make test` sets up and runs the tests. See README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check notebooks bench clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("learnersim needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

demo: $(VENV)/installed
	$(BIN)/learnersim run resnet50-a100 --out runs/demo --force --figures
	@echo
	$(BIN)/learnersim scale resnet50-a100 --out runs/demo-scaling --force --figures

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

notebooks: $(VENV)/installed-dev
	$(BIN)/python -m pytest -p no:cacheprovider -o addopts= -o testpaths= --nbmake notebooks

bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/grid.py
	$(BIN)/python benchmarks/start_up.py
	$(BIN)/python benchmarks/network.py
	$(BIN)/python benchmarks/design.py

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
