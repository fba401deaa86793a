# Two commands are enough for a newcomer: `make demo` and `make test`. Both set up .venv first.
PY := .venv/bin/python

.PHONY: help setup demo real test test-oldest unit lint types docs ci

help:
	@echo "make demo   fine-tune, rank, prune and report on text and an encoder that come with the package (under 5 minutes on two cores)"
	@echo "make real UD=FOLDER   the same on a real encoder and your treebanks (about half an hour on two cores)"
	@echo "make test   all tests"
	@echo "make test-oldest   the tests of models and architectures with the oldest Transformers that is supported"
	@echo "make unit   the tests that are neither marked slow nor run over every family of models"
	@echo "make lint types   ruff; mypy --strict"
	@echo "make docs   the documentation, into build/site"

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt scripts/setup.sh
	@echo "setting up .venv (once, a few minutes)"
	@sh scripts/setup.sh

demo: setup
	@sh scripts/demo.sh

real: setup
	@UD='$(UD)' sh scripts/real.sh

test: setup
	$(PY) -m pytest -n auto --dist loadfile

.venv-oldest/ready: .venv/ready constraints-oldest.txt scripts/oldest.sh
	@sh scripts/oldest.sh

test-oldest: .venv-oldest/ready
	.venv-oldest/bin/python -m pytest -n auto --dist loadfile tests/conformance tests/models tests/data/test_records.py

unit: setup
	$(PY) -m pytest -n auto --dist loadfile -m "not slow" --ignore=tests/conformance

lint: setup
	$(PY) -m ruff check src tests benchmarks recipes scripts
	$(PY) -m ruff format --check src tests benchmarks recipes scripts

types: setup
	$(PY) -m mypy src

docs: setup
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

ci: lint types docs test test-oldest
