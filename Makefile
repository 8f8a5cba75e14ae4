# Two commands are enough: `make audit` and `make test`. Both install what they need into .venv.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
  command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  && echo $$p && break; done)

# Compiled modules halve import times; nobody is told that an audit ran.
unexport PYTHONDONTWRITEBYTECODE
export DO_NOT_TRACK = 1
export DVC_NO_ANALYTICS = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export GX_ANALYTICS_ENABLED = false
# DVC does not put its own environment first on PATH, and stages must run in it.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# TORCH=cpu: PyTorch without the CUDA libraries, from the index that PyTorch keeps of it, or from
# TORCH_INDEX, an address that has such wheels. What was chosen stays until `make clean`.
TORCH ?= $(shell cat .venv/.torch 2>/dev/null || echo locked)
# What PyTorch alone needs, and for CUDA alone; deploy/Dockerfile leaves out the same.
CUDA := ^(nvidia-|cuda-|triton)

.PHONY: help install audit quick test nightly faults mutations check lint types layers fast bench docs lock clean

help:
	@echo 'make audit    install, run the default audit, say where the report is'
	@echo 'make quick    install, lint, check types and layers, run the fast tests: two minutes'
	@echo 'make test     the same with all tests but the nightly ones: a quarter of an hour'
	@echo 'make nightly  the tests that take longest: several machines, servers, faults, the past'
	@echo 'make faults   inject faults into a miniature audit; goes on where it was stopped'
	@echo 'make mutations  corrupt small audits in every known way, and say who notices; goes on likewise'
	@echo 'make check    lint, types and layers only'
	@echo 'make bench    measure against peers and floors, as ratios'
	@echo 'make docs     build the documentation as a site, in site/'
	@echo 'make install  make .venv; TORCH=cpu: without CUDA libraries'
	@echo 'make lock     resolve requirements.lock anew'
	@echo 'make clean    remove .venv and the logs of runs; data and reports stay'

install: .venv/.installed

PIP := .venv/bin/uv pip install --quiet --python .venv/bin/python
INSTALL_locked = $(PIP) --requirement requirements.lock
# --no-deps: the lock names all that is needed, and a wheel for CUDA would bring its libraries back.
define INSTALL_cpu
grep -Ev '$(CUDA)' requirements.lock > .venv/cpu.lock
	$(PIP) --no-deps $(if $(TORCH_INDEX),--index '$(TORCH_INDEX)' --index-strategy \
	  unsafe-best-match,--torch-backend cpu) --requirement .venv/cpu.lock || { \
	  echo 'error: no index in reach has PyTorch without CUDA: say TORCH_INDEX=ADDRESS of one' \
	    'that has, or make clean and install without TORCH=cpu'; exit 1; }
	@grep -q '+cpu$$' <(.venv/bin/python -c \
	  'from importlib.metadata import version; print(version("torch"))') || { \
	  echo 'error: the PyTorch of $(TORCH_INDEX) is not built for processors alone'; exit 1; }
endef

.venv/.installed: requirements.lock pyproject.toml
	@test -n '$(PYTHON)' || { echo 'error: Python 3.11 or later is needed'; exit 1; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(or $(INSTALL_$(TORCH)),@echo 'error: TORCH is $(TORCH): say cpu, or leave it out'; exit 2)
	echo '$(TORCH)' > .venv/.torch
	.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	install -m 755 flows/saliency-audit .venv/bin/saliency-audit
	@touch $@

audit: install
	saliency-audit run

# What needs no audit, server, browser, real data or patience; types beside it, which keep one core.
quick: install
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target types fast

# In the order of collection: whole audits before the many short tests, which fill the end.
IN_ORDER = -n 2 --dist loadfile --no-loadscope-reorder
test: check
	pytest $(IN_ORDER) -m 'not nightly'

# What takes a minute or more for what the other tests see a part of.
nightly: install
	pytest $(IN_ORDER) -m nightly

check: lint types layers

lint: install
	ruff check .
	ruff format --check .

types: install
	mypy

layers: install
	lint-imports --no-cache

fast: lint layers
	pytest -n 2 -m 'not (audit or server or browser or real_data or slow or nightly)'

# ONLY=kill-flow: one kind, or several with commas; SEED=17: that trial, even if it passed;
# TRIALS=2: of each kind; MARKDOWN=docs/faults.md: where the table goes, too.
faults: install
	python -m tests.faults $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(TRIALS),--trials $(TRIALS)) $(if $(RESULTS),--results $(RESULTS)) \
	  $(if $(MARKDOWN),--markdown $(MARKDOWN))

# ONLY=map-nan: one kind, or several with commas; RATE=0.01: one rate, 0 for a single row; SEED=2:
# other rows; CLEAN=20: clean seeds to try; MARKDOWN=docs/mutations.md: where the tables go, too.
mutations: install
	python -m tests.mutations $(if $(ONLY),--only $(ONLY)) $(if $(RATE),--rate $(RATE)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(CLEAN),--clean $(CLEAN)) \
	  $(if $(RESULTS),--results $(RESULTS)) $(if $(MARKDOWN),--markdown $(MARKDOWN))

# ONLY=quick: methods on ResNet-18 at 96 px alone.
bench: install
	python benchmarks/attribution.py $(ONLY)
	$(if $(ONLY),,python benchmarks/memory.py)
	$(if $(ONLY),,python benchmarks/method_memory.py)

# A notice of its theme's authors is no concern of a build.
docs: export NO_MKDOCS_2_WARNING = true
docs: install
	mkdocs build --clean --quiet
	@echo 'site/index.html'

# The lock names versions only, no registry: no index line and no address.
lock: install
	uv pip compile --quiet --universal --python-version 3.11 --no-header --no-emit-index-url \
	  --extra pipeline --extra test pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv .saliency site .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
