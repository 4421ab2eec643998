# The only door. `make` alone says what there is.
PYTHON ?= python3
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help setup setup-gateway setup-litert setup-trainer demo fuzz hil test test-litert test-trixie check nightly bench golden fix lock clean

# Every path is relative: the clone may lie in a folder whose name has a space.
PY := .venv/bin/python
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r
OURSELVES := -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .

DEVICE := tests/firmware_bridge tests/contract tests/gateway

# The other runtime, LiteRT: on Python 3.13 where there is one, with what a device with 3.13 installs; else, or with
# PYTHON313= (nothing), on ours with LiteRT put in place of tflite-runtime.
ifeq ($(origin PYTHON313),undefined)
PYTHON313 := $(shell python3.13 -c 'import sys, venv, ensurepip; print(sys.executable)' 2>/dev/null)
endif
LITERT_PYTHON = $(or $(PYTHON313),$(PYTHON))
LITERT_LOCK = $(if $(PYTHON313),locks/gateway-test.txt,locks/litert-test.txt)
LITERT_READY = .venv-litert/.ready-$(if $(PYTHON313),3.13,3.11)
# Where a model is run, and where numpy computes.
RUNS_MODELS := $(addprefix tests/gateway/shell/,$(addsuffix .py,\
	test_interpreter test_accept test_cold_check test_model_host test_host_process test_inference))
COMPUTES := tests/contract tests/gateway/core
define TEST_LITERT
.venv-litert/bin/python -c 'import importlib.metadata as m, platform as p; print("LiteRT", m.version("ai-edge-litert"), "with numpy", m.version("numpy"), "on Python", p.python_version())'
.venv-litert/bin/python -m pytest -q -n auto $(COMPUTES) -m "not slow and not nightly"
.venv-litert/bin/python -m pytest -q $(RUNS_MODELS) -m "not nightly"
endef
define TEST_TRIXIE
tests/trixie.sh -n auto $(DEVICE) -m "not slow and not pg and not tf and not nightly"
tests/trixie.sh $(RUNS_MODELS) -m "not nightly"
endef

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

setup-litert: $(LITERT_READY)  ## the gateway part with LiteRT, the runtime of Python 3.12 and newer, with pytest

$(LITERT_READY): $(LITERT_LOCK) pyproject.toml tests/preflight.py
	@$(PYTHON) tests/preflight.py
	echo "setting up .venv-litert (the device's packages with LiteRT) on $$($(LITERT_PYTHON) --version) ..."
	rm -rf .venv-litert
	$(LITERT_PYTHON) -m venv .venv-litert
	.venv-litert/bin/python $(INSTALL) $(LITERT_LOCK)
	.venv-litert/bin/python $(OURSELVES)
	touch $(LITERT_READY)

setup-trainer: .venv-trainer/.ready  ## everything with TensorFlow (1.6 GB), for training

.venv-trainer/.ready: locks/trainer.txt pyproject.toml tests/preflight.py
	@$(PYTHON) tests/preflight.py
	echo "setting up .venv-trainer with TensorFlow (1.6 GB) ..."
	$(PYTHON) -m venv .venv-trainer
	.venv-trainer/bin/python $(INSTALL) locks/trainer.txt
	.venv-trainer/bin/python $(OURSELVES)
	touch .venv-trainer/.ready

DEMO_VENV := $(if $(TRAIN),.venv-trainer,.venv)
demo: $(DEMO_VENV)/.ready  ## the main job on this machine: SECONDS=60, REPLAY=file, MAP=map.toml, TRAIN=1
	@$(DEMO_VENV)/bin/python -m provisioning demo $(if $(TRAIN),--train) $(if $(SECONDS_),--seconds "$(SECONDS_)") $(if $(REPLAY),--replay "$(REPLAY)") $(if $(MAP),--map "$(MAP)")

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
test: check .venv-gateway/.ready $(LITERT_READY) .venv-trainer/.ready  ## everything but the long tier
	@.venv-gateway/bin/python -m pytest -q -n auto $(DEVICE) -m "not slow and not pg and not tf and not nightly"
	.venv-gateway/bin/python -m pytest -q $(DEVICE) -m "slow and not pg and not tf and not nightly"
	$(TEST_LITERT)
	$(PY) -m pytest -q -m "(slow or pg or data) and not tf and not nightly" $(DEVICE:%=--ignore=%)
	$(PY) -m pytest -q hil
	$(PY) -m tests.fuzz --seconds $(if $(CI),30,3)
	.venv-trainer/bin/python -m pytest -q -m "tf and not nightly"

test-litert: $(LITERT_READY)  ## the tests of contract and models with LiteRT alone: PYTHON313=python3.13
	@$(TEST_LITERT)

test-trixie:  ## the tests of the device on a Debian 13 made for them (needs root and debootstrap)
	@$(TEST_TRIXIE)

nightly: test  ## the long tier
	@$(PY) -m pytest -q -m "nightly and not tf"
	if [ "$$(id -u)" = 0 ] && command -v debootstrap >/dev/null; then
	$(TEST_TRIXIE)
	else
	echo "Debian 13 is left out: it needs root and debootstrap" >&2
	fi
	$(PY) -m tests.fuzz --seconds 600 --even

# Benches that need TensorFlow.
TRAINERS := accuracy train

bench: .venv/.ready $(if $(filter $(TRAINERS),$(ONLY)),.venv-trainer/.ready)  ## one JSON line per figure: ONLY=path; ONLY=accuracy DATA=folder
	@$(if $(filter $(TRAINERS),$(ONLY)),.venv-trainer/bin/python,$(PY)) -m tests.bench $(ONLY)


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
	$(LOCK) locks/test.in --extra gateway --override locks/litert.in -o locks/litert-test.txt
	$(LOCK) --extra gateway --extra ingest --extra provisioning --extra dev -o locks/dev.txt
	$(LOCK) --all-extras -o locks/trainer.txt

clean:  ## remove what make made
	rm -rf .venv .venv-gateway .venv-litert .venv-trainer .demo build dist
