# make repro runs the pipeline, make test the tests; both create the environment first. docs/installation.md lists the
# commands behind each target.

SHELL := /bin/bash
PYTHON ?= python3
# Where torch comes from, if not from the package index: an address for CPU-only or other CUDA builds (docs/installation.md).
TORCH_INDEX ?=
# A file of locks/, if make setup is to install only packages with the hashes in it (docs/security.md).
LOCK ?=

# The environment is made with a Python from outside it.
OUTSIDE := $(PATH)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := src
export DVC_NO_ANALYTICS := 1

# Installs what only these targets need.
SERVICES := python -c "import boto3, dvc_s3, dvc_ssh, flask_wtf, moto, psycopg" 2>/dev/null || python -m pip install -q -c constraints.txt --no-build-isolation -e ".[services]"

.DEFAULT_GOAL := help
.PHONY: help setup check repro durations docs test test-gpu test-ui bench-stages bench-new-images bench-shards screenshots chaos damages prove rehearse bad-requests soak mutants lint ui demo bench services test-services test-distributed sweep-kills lock audit sbom bits drift-study

help:
	@echo "make repro      run the stages that are out of date and show the results"
	@echo "make test       run the tests (make test-gpu: those that need CUDA)"
	@echo "make test-ui    test the demo and the MLflow UI in chromium, which is installed if it is missing"
	@echo "make screenshots  take the pictures of docs/images/, from a run of starter"
	@echo "make chaos      kill trainings and stages at random moments, 30 times per family, 6 times per stage"
	@echo "make damages    run every command on every kind of damaged file and registry"
	@echo "make prove      rebuild by force, in a second clone and with random kills, and compare the bytes"
	@echo "make sweep-kills  kill a sweep of 20 trials twice and resume it: none may be lost, none run twice"
	@echo "make rehearse   run the profiles full and cpu on few images, from download to report, without the internet"
	@echo "make bad-requests  send over a thousand generated requests to convzoo serve, most of them wrong; COUNT=300"
	@echo "make soak       keep convzoo serve under load, promote and roll back, compare with MLflow; SECONDS=600 ANSWERS=1000000"
	@echo "make mutants    break the code in one place at a time and show what no test notices; AREA=metrics COUNT=60 SEED=0"
	@echo "make bits       run each operation as two emulated processors, and compare its bits with this one; needs qemu-user"
	@echo "make durations  save how long the stages took here, from which a fresh clone estimates the time left"
	@echo "make bench      measure training, inference and decoding, once all stages have run; NETWORKS=... REPEATS=5 SECONDS=3 RECORD=1"
	@echo "make bench-stages  measure what imports and DVC add to each stage, once all of them have run"
	@echo "make bench-new-images  measure what 100 new images cost in a data set of 10,000"
	@echo "make bench-shards  measure prepare, validate and train on images in shards, with 2 GB of memory at most; SIZES=\"20000 200000\""
	@echo "make drift-study  measure false alarms and power of convzoo drift, from the exported mnist-classifier"
	@echo "make docs       draw the pictures of README.md and docs/networks/, from what make repro built"
	@echo "make services   run MLflow on PostgreSQL with a login, an SSH server and moto as S3 on this machine, until Ctrl-C"
	@echo "make test-services  test two clones that share such services, over real connections; TRIES=100"
	@echo "make test-distributed  train with several processes, torchrun and two hosts in network namespaces, and kill some; needs root"
	@echo "make demo       try the networks in your browser, on http://127.0.0.1:8000"
	@echo "make ui         start the MLflow UI on http://127.0.0.1:5000"
	@echo "make lock       write the versions and hashes of all packages to locks/linux-cuda.txt"
	@echo "make audit      look for packages in it with known vulnerabilities (needs the internet)"
	@echo "make sbom       write what is installed to reports/sbom.cdx.json (CycloneDX)"
	@echo "make setup      create the environment in .venv"
	@echo "make lint       check style and format with ruff"

setup:
	@command -v git >/dev/null || { echo "git is missing: install it with your package manager, or from https://git-scm.com" >&2; exit 1; }
	@PATH="$(OUTSIDE)" command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 or newer (https://www.python.org), or name yours: make PYTHON=python3.12" >&2; exit 1; }
	@PATH="$(OUTSIDE)" "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: install Python 3.11 or newer (https://www.python.org), or name yours: make PYTHON=python3.12" >&2; exit 1; }
	@PATH="$(OUTSIDE)" "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@PATH="$(OUTSIDE)" "$(PYTHON)" .ci/environment.py $(if $(TORCH_INDEX),--torch-index "$(TORCH_INDEX)") $(if $(LOCK),--lock "$(LOCK)")

check: setup
	@python -m convzoo check

repro: setup
	@python -m convzoo repro

# What a fresh clone estimates the time left from: the seconds of each stage in the last runs of this clone.
durations: setup
	@python -m convzoo.repro.durations

# SECONDS as in soak.
bench: setup
	@PYTHONPATH=src:. python -m benchmarks $(NETWORKS) $(if $(REPEATS),--repeats $(REPEATS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(RECORD),--record)

bench-stages: setup
	@python benchmarks/stages.py

bench-new-images: setup
	@python benchmarks/new_images.py

# The default sizes end with 2,000,000 images, which need 19 GB of disk.
bench-shards: setup
	@python -c "import webdataset" 2>/dev/null || python -m pip install -q -c constraints.txt --no-build-isolation -e ".[stream]"
	@PYTHONPATH=src:. python -m benchmarks.shards $(SIZES) $(if $(ARRAYS),--arrays)

drift-study: setup
	@python benchmarks/drift.py

docs: setup
	PYTHONPATH=src:docs/networks python -m figures

# Two processes, whose threads wait without spinning: on two cores that is faster than one after another.
test: setup
	OMP_WAIT_POLICY=passive python -m pytest -n 2 --dist worksteal

test-gpu: setup
	python -m pytest -m gpu

test-ui: setup
	@python tests/helpers/chromium.py
	OMP_WAIT_POLICY=passive python -m pytest -n 2 --dist loadfile -m browser tests/ui

screenshots: setup
	@python tests/helpers/chromium.py
	OMP_WAIT_POLICY=passive python tests/ui/screenshots.py

chaos: setup
	CONVZOO_KILLS=30 python -m pytest -s tests/pipeline/test_chaos.py tests/pipeline/test_chaos_stages.py

damages: setup
	CONVZOO_DAMAGES=all python -m pytest -q tests/commands/test_damaged_states.py

prove: setup
	python -m pytest -s -m prove

sweep-kills: setup
	python -m pytest -s -m prove tests/trials/test_killed_sweep.py

rehearse: setup
	OMP_WAIT_POLICY=passive python -m pytest -s -m rehearse

bad-requests: setup
	CONVZOO_REQUESTS=$(or $(COUNT),300) python -m pytest -s tests/serving/test_generated_requests.py

# `SECONDS` is one of bash's own variables, so it is handed on as an argument.
soak: setup
	PYTHONPATH=src:tests python tests/soak.py --seconds $(or $(SECONDS),600) --answers $(or $(ANSWERS),1000000)

# AREA is one or several of tests/mutants.py, all without it; COUNT=0 tries every change.
mutants: setup
	@python -c "import mutmut" 2>/dev/null || python -m pip install -q -c constraints.txt --no-build-isolation -e ".[mutants]"
	PYTHONPATH=src:tests python tests/mutants.py $(AREA) --count $(or $(COUNT),60) --seed $(or $(SEED),0)

# Both need the Debian packages postgresql and openssh-server.
services: setup
	@$(SERVICES)
	PYTHONPATH=src:tests python -m helpers.services

test-services: setup
	@$(SERVICES)
	CONVZOO_TRIES=$(or $(TRIES),100) OMP_WAIT_POLICY=passive python -m pytest -s -m services tests/services

# Two hosts are two network namespaces, which only root on Linux can make.
test-distributed: setup
	OMP_WAIT_POLICY=passive python -m pytest -m distributed tests/distributed

# For this machine's Python and system: versions and hashes of all packages.
lock: setup
	@python .ci/lock.py locks/linux-cuda.txt

audit: setup
	@python -c "import pip_audit" 2>/dev/null || python -m pip install -q -c constraints.txt --no-build-isolation -e ".[audit]"
	python -m pip_audit --require-hashes --disable-pip -r locks/linux-cuda.txt

sbom: setup
	@python -c "import cyclonedx_py" 2>/dev/null || python -m pip install -q -c constraints.txt --no-build-isolation -e ".[audit]"
	@mkdir -p reports
	python -m cyclonedx_py environment --pyproject pyproject.toml --output-reproducible -o reports/sbom.cdx.json

# MODELS are processors of QEMU, as in: make bits MODELS="Haswell EPYC".
bits: setup
	@python tests/bits/emulate.py $(MODELS)

demo: setup
	python -m convzoo demo

lint: setup
	python -m ruff check .
	python -m ruff format --check .

ui: setup
	python -m convzoo ui
