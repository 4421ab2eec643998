# The only door. `make` alone says what there is.
PYTHON ?= python3
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help setup setup-gateway setup-trainer demo fuzz hil test check nightly bench golden fix lock clean

# Every path is relative: the clone may lie in a folder whose name has a space.
PY := .venv/bin/python
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r
OURSELVES := -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .

DEVICE := tests/firmware_bridge tests/contract tests/gateway

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: .venv/.ready  ## make .venv from the lock file

.venv/.ready: locks/dev.txt pyproject.toml tests/preflight.py
	@$(PYTHON) tests/preflight.py
	echo "setting up .venv (about half a minute, 120 MB to fetch) ..."
	$(PYTHON) -m venv .venv
	$(PY) $(INSTALL) locks/dev.txt
	$(PY) $(OURSELVES)
	touch .venv/.ready

setup-gateway: .venv-gateway/.ready  ## the gateway part alone, as on the device, with pytest

.venv-gateway/.ready: locks/gateway-test.txt pyproject.toml tests/preflight.py
	@$(PYTHON) tests/preflight.py
	echo "setting up .venv-gateway (the device's packages, no PostgreSQL, no TensorFlow) ..."
	$(PYTHON) -m venv .venv-gateway
	.venv-gateway/bin/python $(INSTALL) locks/gateway-test.txt
	.venv-gateway/bin/python $(OURSELVES)
	touch .venv-gateway/.ready

setup-trainer: .venv-trainer/.ready  ## everything with TensorFlow (1.6 GB), for training

.venv-trainer/.ready: locks/trainer.txt pyproject.toml tests/preflight.py
	@$(PYTHON) tests/preflight.py
	echo "setting up .venv-trainer with TensorFlow (1.6 GB) ..."
	$(PYTHON) -m venv .venv-trainer
	.venv-trainer/bin/python $(INSTALL) locks/trainer.txt
	.venv-trainer/bin/python $(OURSELVES)
	touch .venv-trainer/.ready

demo: .venv/.ready  ## the main job on this machine: SECONDS=60, REPLAY=file, MAP=map.toml
	@$(PY) -m provisioning demo $(if $(SECONDS_),--seconds "$(SECONDS_)") $(if $(REPLAY),--replay "$(REPLAY)") $(if $(MAP),--map "$(MAP)")

# bash keeps a variable SECONDS of its own; take ours under another name.
SECONDS_ := $(SECONDS)
unexport SECONDS

fuzz: .venv/.ready  ## every parser under made-up inputs: SECONDS=30 for each, ONLY="rtu p1"
	@$(PY) -m tests.fuzz --seconds $(or $(SECONDS_),10) $(ONLY)

hil: .venv/.ready  ## tests of gateway and wire on a rig: RIG=hil/virtual.toml
	@$(PY) -m pytest -q hil --rig "$(or $(RIG),hil/virtual.toml)"

check: .venv/.ready  ## lint, types, contracts, pure tests: under a minute
	@.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	$(PY) -m mypy
	# Under CI, make test follows and runs those of the device where they belong.
	$(PY) -m pytest -q -n auto --hypothesis-profile=quick $(if $(CI),$(DEVICE:%=--ignore=%)) -m "not slow and not pg and not tf and not data and not nightly"

# What runs on the device is tested where there is nothing but what runs on the device.
# Pure tests share the cores; those with processes, ports and clocks would make each other late.
test: check .venv-gateway/.ready .venv-trainer/.ready  ## everything but the long tier
	@.venv-gateway/bin/python -m pytest -q -n auto $(DEVICE) -m "not slow and not pg and not tf and not nightly"
	.venv-gateway/bin/python -m pytest -q $(DEVICE) -m "slow and not pg and not tf and not nightly"
	$(PY) -m pytest -q -m "(slow or pg or data) and not tf and not nightly" $(DEVICE:%=--ignore=%)
	$(PY) -m pytest -q hil
	$(PY) -m tests.fuzz --seconds $(if $(CI),30,3)
	.venv-trainer/bin/python -m pytest -q -m "tf and not nightly"

nightly: test  ## the long tier
	@$(PY) -m pytest -q -m "nightly and not tf"
	$(PY) -m tests.fuzz --seconds 600 --even

bench: .venv/.ready  ## one JSON line per figure: ONLY=path
	@$(PY) -m tests.bench $(ONLY)

golden: .venv/.ready  ## rewrite golden files; review the diff like code
	@$(PY) -m tests.golden
	git --no-pager diff --stat -- tests/golden ARCHITECTURE.md

fix: .venv/.ready  ## format and mend what ruff can mend
	@.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

LOCK = .venv/bin/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml locks/build.in
lock:  ## remake the lock files from pyproject.toml (needs uv)
	$(LOCK) --extra gateway -o locks/gateway.txt
	$(LOCK) locks/test.in --extra gateway -o locks/gateway-test.txt
	$(LOCK) --extra gateway --extra ingest --extra provisioning --extra dev -o locks/dev.txt
	$(LOCK) --all-extras -o locks/trainer.txt

clean:  ## remove what make made
	rm -rf .venv .venv-gateway .venv-trainer .demo build dist
