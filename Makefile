# `make run` and `make test` set up what they need in .venv; nothing else on the machine is touched.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

GATED := mimo-mini hashing bm25

.PHONY: run gate test check lint type package licences audit fuzz fix leaderboards clean

run: .venv/user  ## evaluate two models that need no download on the embedded collection
	$(BIN)/mimo-eval run mimo-mini bm25

gate: .venv/dev  ## our own models against their baselines, as a user's CI would do it
	rm -rf .gate
	$(BIN)/mimo-eval run $(GATED) -o .gate --format json > /dev/null
	for model in $(GATED); do $(BIN)/mimo-eval check .gate/mini/$$model --baseline leaderboards/baselines/mini/$$model || exit; done
	$(BIN)/python -m pytest tests/examples --mimo-baseline leaderboards/baselines

test: .venv/dev  ## all tests
	$(BIN)/python -m pytest -n auto --dist loadfile  # a file's tests share what they prepare

check: lint type

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: .venv/dev
	$(BIN)/mypy

package: .venv/user  ## builds the sdist and from it the wheel, and uses that
	.ci/package

licences: .venv/dev  ## refuses packages whose licence is not allowed
	$(BIN)/python .ci/dependencies.py licences

audit: .venv/dev  ## known vulnerabilities; needs PyPI's JSON service, and fails where there is none
	$(PIP) 'pip-audit>=2.7'
	$(BIN)/python .ci/dependencies.py audit

fuzz: .venv/dev  ## every reader of foreign files for a minute, guided by coverage
	$(PIP) 'atheris>=2.3'
	$(BIN)/python tests/fuzz/coverage_guided.py

fix: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/user: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[cpu]'
	@touch $@

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps 'pyserini>=1.2,<2'  # its jar alone is driven; its 500 MB of dependencies are not needed
	@touch $@ .venv/user

leaderboards: .venv/user  ## the committed boards from their results
	for board in leaderboards/*/results; do $(BIN)/mimo-eval leaderboard build $$(dirname $$board) || exit 1; done

clean:
	rm -rf .fuzz .gate .venv .tox build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
