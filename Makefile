# Everything a contributor runs. `make demo` and `make test` need Python, Go and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
PACKAGES := autoscaler bootstrap cloudinit data findings hetzner kube lab

.PHONY: help demo test test-long test-alerts test-linux check lint types layers shell ci lock image-check build clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.synced: requirements/dev.txt pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) \
	  || { echo "$(PYTHON) cannot make virtual environments (Debian: apt install python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/uv: $(VENV)/.synced

demo: $(VENV)/.synced  ## The whole story on this machine: bootstrap, scale up, scale down, destroy
	@mkdir -p build
	$(BIN)/hk3s-lab demo --report build/demo-report.json

test: $(VENV)/.synced  ## Tests that need neither root nor Debian packages
	@$(BIN)/hk3s-lab kube build
	$(BIN)/pytest -m "not linux and not long"

test-long: $(VENV)/.synced  ## Seeded crashes, weeks of simulation, thousands of random clusters
	HYPOTHESIS_PROFILE=search $(BIN)/pytest -m long --timeout 3600

test-alerts: $(VENV)/.synced  ## Alert rules, firing and silent, through promtool
	$(BIN)/python deploy/alerts/check.py

test-linux: $(VENV)/.synced  ## Tests on booted Debian machines (root)
	@$(BIN)/hk3s-lab kube build
	$(BIN)/pytest -m linux

check: lint types layers shell  ## Lint, types, layers, shell

lint: $(VENV)/.synced
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.synced
	$(BIN)/mypy $(foreach p,$(PACKAGES),-p hk3s_$(p))
	$(BIN)/mypy tests deploy bench

layers: $(VENV)/.synced
	$(BIN)/lint-imports

shell: $(VENV)/.synced
	git ls-files '*.sh' .ci/run | xargs $(BIN)/shellcheck

image-check: $(VENV)/.synced  ## What the Dockerfile copies exists and installs, without a container builder
	$(BIN)/python deploy/image_check.py

ci: check test test-alerts image-check demo test-linux  ## All of it (root)

COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 --upgrade

lock: $(VENV)/.synced  ## Renew the locked requirements
	$(COMPILE) --output-file requirements/runtime.txt pyproject.toml
	$(COMPILE) --output-file requirements/build.txt requirements/build.in
	$(COMPILE) --output-file requirements/dev.txt --extra exact --group dev pyproject.toml requirements/build.in

clean:
	rm -rf build dist
