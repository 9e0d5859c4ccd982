# make demo         three chat models, a conversation, then an API until Ctrl-C (ONCE=1: no API)
# make test         every test (ARGS="--cov tests/router": some of them, and what they cover)
# make check        ruff, ruff format, mypy, and whether what is generated is up to date; builds the docs
# make docs         the pages as a site in build/site; a link that leads nowhere is an error
# make lock         the hashes in the lock files, below their pins (ARGS=--resolve: new pins of GPU image and clients)
# make bench        the price of the router, beside other gateways (ARGS="--quick --only blended")
PYTHON ?= python3.11
PORT ?= 8000
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-deps
# What a lock file does not name by its hash is not installed, whichever index offers it.
LOCKED := $(PIP) --no-compile --require-hashes

# Prints one line for each step. The step's output goes to a log, whose end is shown if it fails.
LOG := .venv/install.log
define step
	@echo "$(1)"
	@$(2) >>$(LOG) 2>&1 || { tail -n 20 $(LOG); echo "More in $(LOG)."; exit 1; }
endef

.PHONY: demo test check docs lock bench
demo: .venv/runtime
	@$(BIN)/blended demo --port $(PORT) $(if $(ONCE),--once)

# Tests that start clusters have the machine for themselves; the others wait more than they compute.
test: .venv/dev
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest -n 4 --dist worksteal --ignore tests/live
	$(BIN)/python -m pytest tests/live
endif

check: .venv/dev docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m blended.config.reference --check
	$(BIN)/python -m blended.config.schema --check
	$(BIN)/python -m blended.config.engine_sources --check
	$(BIN)/python -m blended.router.fields_page --check
	$(BIN)/python -m cluster.pictures.request_path --check
	$(BIN)/python -m cluster.monitoring --check
	$(BIN)/python -m cluster.render modern --settings k8s/overlays/prod/cluster.yaml --out k8s/base --check
	$(BIN)/python -m cluster.render demo --settings k8s/overlays/dev/cluster.yaml --out k8s/demo --check

docs: .venv/dev
	@rm -rf build/docs build/site && mkdir -p build/docs
	@cp -r --parents README.md docs k8s/README.md loadtests/results build/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict --config-file docs/mkdocs.yml

lock: .venv/dev
	$(BIN)/python -m cluster.locks $(ARGS)

bench: .venv/runtime
	@$(BIN)/python -m loadtests.studies.router_overhead $(ARGS)

# An engine loads a tenth of the installed modules; loading them once compiles them.
.venv/runtime: requirements-cpu.lock requirements-build.lock pyproject.toml
	@$(PYTHON) -m venv .venv
	$(call step,Installing Ray and vLLM (minutes) ...,$(LOCKED) -r requirements-cpu.lock)
	$(call step,Installing what builds Blended ...,$(LOCKED) -r requirements-build.lock)
	$(call step,Installing Blended ...,$(PIP) --no-build-isolation -e .)
	$(call step,Loading all of it once ...,$(BIN)/python -c "import blended.components.engine")
	@touch $@

.venv/dev: .venv/runtime requirements-dev.lock
	$(call step,Installing the tools for tests ...,$(LOCKED) -r requirements-dev.lock)
	@touch $@
