# Two commands do everything on a fresh machine: `make serve` and `make test`. The others are parts of them, or slower.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# What `make serve` passes on: make serve TOOL=path/to/tool.py PORT=8600
TOOL ?= streamlit_app.py
POLICIES ?= policies
HOST ?= 127.0.0.1
PORT ?= 8501

CODE := gateway tests benchmarks examples deploy streamlit_app.py

.DEFAULT_GOAL := help
.PHONY: help serve test check format bench bench-fair bench-first-load bench-record crash-test grade image-test lock clean system-packages

help: ## Show what can be made
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1#\2/p' $(MAKEFILE_LIST) | awk -F'#' '{printf "%-22s %s\n", $$1, $$2}'

serve: $(VENV)/.runtime ## Serve streamlit_app.py behind the gateway (TOOL, POLICIES, HOST, PORT)
	@$(BIN)/gateway serve $(TOOL) --policies $(POLICIES) --host $(HOST) --port $(PORT)

test: $(VENV)/.dev system-packages ## Run the tests, with everything that they need
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev ## Lint, check formatting and types
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/ruff format --quiet --check $(CODE)
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/gateway policy check
	@echo "check: lint, format, types, policies: fine"

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff check --quiet --fix $(CODE)
	@$(BIN)/ruff format --quiet $(CODE)

bench: $(VENV)/.dev ## Measure the gateway beside bare Streamlit, in one run
	@$(BIN)/python -m benchmarks $(ARGS)

bench-fair: $(VENV)/.dev ## Measure what many visitors leave to others, bare and behind the gateway (minutes)
	@$(BIN)/python -m benchmarks.fair_share $(ARGS)

bench-first-load: $(VENV)/.dev ## Measure a new visitor's first load in Chromium, bare and behind the gateway (minutes)
	@$(BIN)/python -m benchmarks.first_load $(ARGS)

bench-record: $(VENV)/.dev ## Measure the record: writing, recovery, sealing, verifying, proving, questions (minutes)
	@$(BIN)/python -m benchmarks.record
	@$(BIN)/python -m benchmarks.sealing
	@$(BIN)/python -m benchmarks.proofs
	@$(BIN)/python -m benchmarks.questions

crash-test: $(VENV)/.dev ## Kill the record's writer a hundred times under load (minutes)
	@KILLS=100 $(BIN)/python -m pytest -q tests/audit/test_failures.py -k killed

grade: $(VENV)/.grade ## Have the headers graded by outside judges: MDN's HTTP Observatory, csp_evaluator (needs npm)
	@$(BIN)/python -m tests.grade $(VENV)/grade

image-test: $(VENV)/.dev ## Build the container image and run it hardened (needs root and Debian packages; minutes)
	@deploy/image-test.sh

lock: $(VENV)/.dev ## Make the lock files anew (needs uv)
	@deploy/lock.sh

clean: ## Remove what make has made, and nothing else (the state directory stays)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

system-packages:
	@tests/system-packages.sh

# One stamp a lock file: nothing is installed twice, and an edited lock is installed at the next command.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "gateway needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV); tests/system-packages.sh python3-venv && $(PYTHON) -m venv $(VENV); }
	@touch $@

$(VENV)/.runtime: $(VENV)/.created requirements/build.txt requirements/runtime.txt pyproject.toml
	@echo "installing the hash-pinned dependencies into $(VENV) (once)"
	@$(PIP) install --require-hashes -r requirements/build.txt
	@$(PIP) install --require-hashes -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt requirements/beside.txt
	@echo "installing the test and check tools into $(VENV) (once)"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --require-hashes --upgrade --target $(VENV)/beside -r requirements/beside.txt
	@touch $@

# The judges' own install scripts are not run: one of them fetches a list.
$(VENV)/.grade: $(VENV)/.dev tests/grade/package.json tests/grade/package-lock.json
	@command -v npm >/dev/null || tests/system-packages.sh nodejs npm
	@mkdir -p $(VENV)/grade && cp tests/grade/package.json tests/grade/package-lock.json $(VENV)/grade/
	@cd $(VENV)/grade && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
