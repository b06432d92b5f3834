# make demo   the main job on the phantom cohort, to a verdict and a PDF, from a fresh machine
# make test   the tests, from a fresh machine; make test-all: those marked slow too
# make lint   ruff, mypy --strict, the import contract
# make bench  speed, as ratios to peers in the same run
# make validate  error rates, coverage and delays of every decision, by simulation
.PHONY: demo test test-all lint bench validate clean
.DEFAULT_GOAL := demo

PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo

# Made anew when the requirements change; the file is only written when everything is in place.
.venv/ready: pyproject.toml constraints.txt .ci/setup
	@PYTHON=$(PYTHON) bash .ci/setup
	@touch $@

demo: .venv/ready
	@bash .ci/demo $(DEMO)

test: .venv/ready
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-all: .venv/ready
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/ready
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

validate: .venv/ready
	@for script in benchmarks/validate_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv build dist runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
