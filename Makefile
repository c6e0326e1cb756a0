# Everything here works from a bare clone; what it needs and hasn't got, it makes.
PYTHON ?= python3
FAB := .venv/bin/fab
PYTEST := .venv/bin/python -m pytest
# Files side by side, the longest first; tests of one file in their order, on servers of its own. JOBS: how many files at once.
JOBS ?= 3
E2E := $(PYTEST) -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Units at once: more are sooner done; fewer cost less, beside other tests.
UNITS ?= 4

.PHONY: help setup engine install-engine ready demo test test-all unit e2e e2e-core quick durations check fmt bench screens clean

help:  ## what there is
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

setup: .venv/ready  ## .venv with everything Python in it

.venv/ready: requirements.txt
	@echo "setup: .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.13"; exit 2; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python's venv is missing: apt-get install python3-venv"; exit 2; }
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

engine:
	@sh compose/practice/engine.sh

install-engine:
	@sh compose/practice/engine.sh install

ready:  # .venv and a Docker Engine, at once as far as they can be
	@$(MAKE) --no-print-directory --jobs 2 setup install-engine
	@$(MAKE) --no-print-directory engine

demo: ready  ## the whole thing on a practice server: a live site in minutes
	@.venv/bin/python -m deploy.practice.demo

test: ready  ## checks, units, and a core of end-to-end cases: what every change passes
	@$(MAKE) --no-print-directory --jobs 2 UNITS=2 quick e2e-core

test-all: ready  ## everything; in the end no practice server is left
	@$(MAKE) --no-print-directory --jobs 2 UNITS=2 quick e2e

unit: setup  ## tests without a server
	@echo "test: units"
	@$(PYTEST) -q -n $(UNITS) --dist worksteal tests --ignore tests/e2e
	@echo "test: the sample site"
	@cd app && DEBUG=on SECRET_KEY=test ../.venv/bin/python -W error manage.py test --verbosity 1

quick: setup  # checks and units beside the others, told in one piece
	@said=$$(mktemp) && { $(MAKE) --no-print-directory check unit >$$said 2>&1; code=$$?; cat $$said; rm $$said; exit $$code; }

e2e-core: setup engine  ## the core of tests on practice servers
	@$(E2E) -m core tests/e2e

e2e: setup engine  ## all tests on practice servers; some: make e2e E2E_OF=tests/e2e/edge
	@$(E2E) $(or $(E2E_OF),tests/e2e --ignore tests/e2e/server/test_practice.py)
	@$(if $(E2E_OF),,$(PYTEST) -v tests/e2e/server/test_practice.py)

durations: setup  # what the last runs measured, for the first run of a fresh clone
	@.venv/bin/python -m tests.e2e.kit.schedule

check: setup  ## ruff, mypy, shellcheck, the order of packages
	@echo "check: ruff, mypy, shellcheck, the order of packages"
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/mypy
	@.venv/bin/shellcheck $$(git ls-files '*.sh')
	@said=$$(.venv/bin/lint-imports --no-logo --no-cache) || { echo "$$said"; exit 1; }

fmt: setup  ## put the code in order
	@.venv/bin/ruff check --fix --quiet
	@.venv/bin/ruff format --quiet

bench: setup engine  ## what it costs and what visitors notice, side by side; fewer: BENCH="--load 3"
	@.venv/bin/python -m tests.bench $(BENCH)

screens: ready  ## the docs' pictures and transcripts, from a run on a practice server
	@.venv/bin/python -m tests.screens

clean:  ## take away what was made here, the practice server too
	@test ! -x $(FAB) || $(FAB) practice --down
	@rm -rf .venv .bench
