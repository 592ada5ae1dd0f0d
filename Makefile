# Two commands matter: `make run` shows it working, `make test` passes the tests. Both do all the set-up.
#
#   make run                          a simulated farm, the service and the page; neither root nor system packages
#   make run CAMERAS=my.csv           your own cameras instead (VILLAGES=villages.csv beside it, if you have one)
#   make test                         the tests; APT=1 (root on Debian) also installs the servers that they talk to
#   make drills                       the goals at their full counts
#   make fuzz SECONDS=600 SEED=7      every parser by libFuzzer, so long each (a night); TARGET=rtsp only that one

SHELL := /bin/bash
VENV ?= .venv
PYTHON ?=
RUN ?=

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test drills fuzz lint format requirements clean

run: $(VENV)/.run-ready
ifdef CAMERAS
	$(VENV)/bin/streamwatch run --cameras "$(CAMERAS)" $(if $(VILLAGES),--villages "$(VILLAGES)") $(RUN)
else
	$(VENV)/bin/streamwatch demo $(RUN)
endif

test: $(VENV)/.test-ready
	PYTHON="$(VENV)/bin/python" tests/run.sh

drills: $(VENV)/.test-ready
	mkdir -p .run
	STREAMWATCH_GOAL_SCALE=20 $(VENV)/bin/python -m pytest -q -m goal --junitxml=.run/drills.xml; \
	  $(VENV)/bin/python tools/drills.py .run/drills.xml

SECONDS ?= 600
SEED ?= 1
fuzz: $(VENV)/.test-ready
ifdef TARGET
	$(VENV)/bin/python -m tests.fuzz $(TARGET) --seconds $(SECONDS) --seed $(SEED)
else
	FUZZ_SECONDS=$(SECONDS) FUZZ_SEED=$(SEED) $(VENV)/bin/python -m pytest -q -n "$${JOBS:-2}" --dist loadfile \
	  tests/fuzz/test_libfuzzer_*.py
endif

lint: $(VENV)/.test-ready
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

format: $(VENV)/.test-ready
	$(VENV)/bin/ruff check --fix . ; $(VENV)/bin/ruff format .

# The lock itself names the registry it was made at; what is committed are its hashes.
requirements:
	uv lock
	uv export --no-header --no-emit-project --format requirements-txt --no-dev -o requirements.txt -q
	uv export --no-header --no-emit-project --format requirements-txt -o requirements-dev.txt -q

$(VENV)/bin/python:
	@set -e; for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "making $(VENV) with $$("$$python" --version)"; exec "$$python" -m venv "$(VENV)"; \
	  fi; \
	done; \
	echo "no Python >= 3.11 that can make a virtual environment was found: apt-get install python3 python3-venv (or name one: make PYTHON=/path/to/python3.12)" >&2; exit 1

$(VENV)/.run-ready: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --require-hashes -r requirements.txt
	@$(VENV)/bin/python tools/link.py
	@touch $@

$(VENV)/.test-ready: requirements-dev.txt pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	@$(VENV)/bin/python tools/link.py
	@touch $@ $(VENV)/.run-ready

clean:
	rm -rf "$(VENV)" dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
