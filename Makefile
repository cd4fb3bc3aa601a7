PYTHON ?= python3
DEMO_ARGS ?=
GPU_ARGS ?=
PYTEST_ARGS ?=
ZOO_ARGS ?=

VENV := .venv
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.docs

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check docs gpu zoo clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

demo: $(INSTALLED) ## train, sample and measure a critical 8 x 8 Ising model (options: DEMO_ARGS='--help')
	$(VENV)/bin/leaps-triton demo $(DEMO_ARGS)

# Triton either compiles kernels or interprets them, so there are two processes. One may find no test that PYTEST_ARGS
# chooses (status 5), not both.
PYTEST := $(VENV)/bin/python -m pytest -n auto --maxprocesses 8 --dist worksteal

test: $(INSTALLED) ## run all tests and docstring examples (options: PYTEST_ARGS='-k lattice')
	@$(PYTEST) $(PYTEST_ARGS); first=$$?; \
	  echo "kernels in the interpreter:"; TRITON_INTERPRET=1 $(PYTEST) $(PYTEST_ARGS) tests/kernels/interpreted; second=$$?; \
	  case $$first-$$second in 0-0|0-5|5-0) ;; *) echo "make test: failed, status $$first and $$second" >&2; exit 1 ;; esac

check: $(INSTALLED) ## formatting, lint and types
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m mypy

docs: $(DOCS_INSTALLED) ## build the documentation, with all of its examples, into docs/_build/html
	$(VENV)/bin/python -m sphinx --fail-on-warning --keep-going --nitpicky -b html docs docs/_build/html

gpu: ## checks, speed and training on a CUDA device, in three calls, with $(PYTHON) as it is (options: GPU_ARGS='--help')
	PYTHONUNBUFFERED=1 $(PYTHON) experiments/gpu/gpu.py $(GPU_ARGS)

zoo: $(INSTALLED) ## train the samplers that come with the library anew, hours on one core (options: ZOO_ARGS='--help')
	$(VENV)/bin/python experiments/learned/zoo.py $(ZOO_ARGS)

clean: ## remove caches, builds and the demo's files (the environment .venv stays)
	rm -rf docs/_build docs/examples
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f leaps-triton-demo.png leaps-triton-demo.json
	find leaps_triton kernels tests experiments docs -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last. An environment without it was left unfinished and is made anew.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "leaps_triton needs Python 3.11 or newer, as $(PYTHON) or named: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	test -e $@ || $(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install -c constraints.txt setuptools
	$(VENV)/bin/python -m pip install -c constraints.txt --no-build-isolation -e '.[test]'
	@touch $@

# The documentation's tools have a stamp of their own, so that the tests do not need them.
$(DOCS_INSTALLED): $(INSTALLED)
	$(VENV)/bin/python -m pip install -c constraints.txt --no-build-isolation -e '.[docs]'
	@touch $@
