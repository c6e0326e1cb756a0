# Everything here works from a bare clone; what it needs and hasn't got, it makes.
PYTHON ?= python3
FAB := .venv/bin/fab
# Each has a practice server of its own; the long ones first.
LISTS := e2e-change e2e-laptop e2e-use e2e-server e2e-edge e2e-sites e2e-images e2e-servers

.PHONY: help setup engine demo test unit e2e $(LISTS) e2e-practice check fmt bench clean

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

demo: setup engine  ## the whole thing on a practice server: a live site in minutes
	@.venv/bin/python -m deploy.demo

test: setup engine  ## every test: the checks, units, and end to end on a practice server
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory --jobs 4 unit $(LISTS)
	@$(MAKE) --no-print-directory e2e-practice

unit: setup  ## tests without a server
	@echo "test: units"
	@.venv/bin/python -m pytest -q tests --ignore tests/e2e
	@echo "test: the sample site"
	@cd app && DEBUG=on SECRET_KEY=test ../.venv/bin/python -W error manage.py test --verbosity 1

e2e: setup engine  ## tests on a practice server
	@echo "test: end to end, four lists side by side"
	@$(MAKE) --no-print-directory --jobs 4 $(LISTS)
	@$(MAKE) --no-print-directory e2e-practice

e2e-use: setup engine
	@PORTSIDE_E2E=use .venv/bin/python -m pytest -v tests/e2e/test_0*

e2e-change: setup engine
	@PORTSIDE_E2E=change .venv/bin/python -m pytest -v tests/e2e/test_18* tests/e2e/test_1[012]*

e2e-laptop: setup engine
	@PORTSIDE_E2E=laptop .venv/bin/python -m pytest -v tests/e2e/test_1[37]*

e2e-server: setup engine
	@PORTSIDE_E2E=server .venv/bin/python -m pytest -v tests/e2e/test_1[45]*

e2e-edge: setup engine
	@PORTSIDE_E2E=edge .venv/bin/python -m pytest -v tests/e2e/test_16* tests/e2e/test_2[1-5]*

e2e-sites: setup engine
	@PORTSIDE_E2E=sites .venv/bin/python -m pytest -v tests/e2e/test_19* tests/e2e/test_31* tests/e2e/test_26*

e2e-images: setup engine
	@PORTSIDE_E2E=images .venv/bin/python -m pytest -v tests/e2e/test_29* tests/e2e/test_30*

e2e-servers: setup engine
	@PORTSIDE_E2E=servers .venv/bin/python -m pytest -v tests/e2e/test_2[78]*

# Takes all practice servers away, so it goes last.
e2e-practice: setup engine
	@.venv/bin/python -m pytest -v tests/e2e/test_20_practice.py

check: setup  ## ruff, mypy, shellcheck
	@echo "check: ruff, mypy, shellcheck"
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/mypy
	@.venv/bin/shellcheck $$(git ls-files '*.sh')

fmt: setup  ## put the code in order
	@.venv/bin/ruff check --fix --quiet
	@.venv/bin/ruff format --quiet

bench: setup engine  ## what it costs and what visitors notice, side by side; fewer: BENCH="--load 3"
	@.venv/bin/python -m tests.bench $(BENCH)

clean:  ## take away what was made here, the practice server too
	@test ! -x $(FAB) || $(FAB) practice --down
	@rm -rf .venv .bench
