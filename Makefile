# Everything a fresh checkout needs, in one file. Wanted: git, make and Python 3.11, 3.12 or 3.13.
#   make serve   the service with a demo gallery, on http://127.0.0.1:8000 (ARGS="--port 9000")
#   make test    the suite            make lint    ruff and mypy       make bench   the measurements
#   make crash   writers killed at random, N=1000 times; make test does it some fifty times
#   make docker-test    the images and docker-compose.yml, tried with the engine that is there
#   make docker-test-scale   two replicas over Milvus and PostgreSQL: docker/compose.scale.yml, tried likewise
#   make test-milvus    the gallery's tests on a real Milvus server        make test-ray    what a real Ray does
#   make soak    the service killed a hundred times, a minute against an oracle, a minute of overload
#   make lock    new requirement files from pyproject.toml            make clean   removes what make made

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The GPU builds of onnxruntime and faiss share module names with the CPU builds: one of the two is installed, never both.
VARIANT ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
VENV := .venv
INSTALLED := $(VENV)/.installed-test-$(VARIANT)
# What serves has an environment of its own, without torch: 0.4 GB instead of 6.
SERVING := .venv-serve/.installed-serve-$(VARIANT)
MILVUS_SERVER := .venv-milvus/.installed
RUN := $(VENV)/bin/python -m
ARGS ?=

.PHONY: help serve test test-milvus test-ray lint crash soak bench docker-test docker-test-scale lock clean

help:
	@sed -n 's/^#   //p' Makefile

serve: $(SERVING)
	@exec .venv-serve/bin/vantage serve --demo $(ARGS)

test: $(INSTALLED)
	@$(RUN) pytest -q -n auto --dist worksteal $(ARGS)

lint: $(INSTALLED)
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

crash: $(INSTALLED)
	@CRASH_KILLS=$(or $(N),1000) $(RUN) pytest -q -n auto --dist worksteal tests/end_to_end/test_crash.py $(ARGS)

# The server comes from the package registry into an environment of its own; it wants an old setuptools.
test-milvus: $(INSTALLED) $(MILVUS_SERVER)
	@$(VENV)/bin/python tests/with_milvus.py .venv-milvus/bin/milvus-server $(RUN) pytest -q tests/service/gallery tests/service/cli/test_copy.py -k "milvus or copy" $(ARGS)

# One after the other: Ray starts a process a worker, and gives up on a machine that is too busy to start them.
test-ray: $(INSTALLED)
	@VANTAGE_TEST_RAY=1 $(RUN) pytest -q tests/service/indexing/test_on_ray.py tests/service/on_ray $(ARGS)

docker-test:
	@$(or $(PYTHON),python3) docker/test.py

docker-test-scale:
	@$(or $(PYTHON),python3) docker/test_scale.py

soak: $(INSTALLED)
	@SERVICE_KILLS=$(or $(N),100) SERVICE_SECONDS=$(or $(SECONDS),60) $(RUN) pytest -q tests/end_to_end/test_service_*.py $(ARGS)

bench: $(INSTALLED)
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(VENV)/bin/python $$file $(ARGS); done

clean:
	rm -rf .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements/test-$(VARIANT).txt requirements/build.txt requirements/uv.txt pyproject.toml
	@$(call install,$(VENV),test)
	@touch $@

$(SERVING): requirements/serve-$(VARIANT).txt requirements/build.txt requirements/uv.txt pyproject.toml
	@$(call install,.venv-serve,serve)
	@touch $@

$(MILVUS_SERVER): requirements/milvus-server.txt $(INSTALLED)
	@$(VENV)/bin/python -m venv .venv-milvus
	@.venv-milvus/bin/python -m pip --disable-pip-version-check -q install --require-hashes -r requirements/milvus-server.txt
	@touch $@

# $(call install,ENVIRONMENT,SET): makes the environment if there is none, and installs requirements/SET-VARIANT.txt with
# every hash checked, then the checkout itself. uv is several times faster than pip and is used where the index has it.
define install
	python=$$(for name in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	    if $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	        command -v $$name; break; fi; done); \
	if [ -z "$$python" ]; then \
	    echo "vantage: $(if $(PYTHON),$(PYTHON) is no,there is no) Python 3.11, 3.12 or 3.13$(if $(PYTHON),, here): install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; fi; \
	if [ ! -x $(1)/bin/python ]; then \
	    echo "vantage: making $(1) with $$($$python --version)"; \
	    $$python -m venv $(1) || { echo "vantage: $$python cannot make an environment: install its venv module (Debian: python3-venv)" >&2; rm -rf $(1); exit 1; }; fi; \
	pip="$(1)/bin/python -m pip --disable-pip-version-check install"; \
	if $$pip -q --require-hashes -r requirements/uv.txt 2>/dev/null; then \
	    pip="$(1)/bin/uv pip install --python $(1)/bin/python"; fi; \
	echo "vantage: installing requirements/$(2)-$(VARIANT).txt ($$(grep -c '^[a-z0-9]' requirements/$(2)-$(VARIANT).txt) packages) into $(1); this is done once"; \
	$$pip --require-hashes -r requirements/build.txt -r requirements/$(2)-$(VARIANT).txt; \
	$$pip -q --no-deps --no-build-isolation -e .
endef

lock: $(INSTALLED)
	@lock="$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --upgrade"; \
	export UV_CUSTOM_COMPILE_COMMAND="make lock"; \
	echo uv | $$lock - -o requirements/uv.txt; \
	printf 'hatchling\neditables\n' | $$lock - -o requirements/build.txt; \
	printf 'milvus==2.3.5\nsetuptools<80\n' | $$lock - -o requirements/milvus-server.txt; \
	for variant in cpu gpu; do \
	    echo "vantage: locking for $$variant"; \
	    $$lock pyproject.toml --extra $$variant -o requirements/serve-$$variant.txt; \
	    $$lock pyproject.toml --extra $$variant --extra milvus --extra sql -o requirements/serve-scale-$$variant.txt; \
	    $$lock pyproject.toml --extra $$variant --extra training -o requirements/train-$$variant.txt; \
	    $$lock pyproject.toml --extra $$variant --extra milvus --extra sql --extra ray --extra training --extra test -o requirements/test-$$variant.txt; \
	done
