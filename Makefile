# `make demo` opens the page, `make test` runs the tests; both first install what they need into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test test-slow test-browser lint types build clean

demo: $(VENV)/.demo
	$(BIN)/python app.py

test: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -m slow

test-browser: $(VENV)/.test
	$(BIN)/python -m pytest -m browser

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

build: $(VENV)/.test
	$(BIN)/python -m build --wheel

$(VENV)/.demo: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

$(VENV)/.test: requirements.txt requirements-test.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements-test.txt
	$(BIN)/python -m pip install --quiet --no-deps aisfx==0.1.2  # its other pins are old and not needed here
	touch $(VENV)/.demo $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache dist
