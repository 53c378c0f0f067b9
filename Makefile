# Everything is made in an environment of its own.  Needs nothing but make and Python 3.11 or newer.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DOMAIN ?= synthfaces
READY  := $(VENV)/.ready
QUIET  := --quiet --disable-pip-version-check
# cpu: PyTorch without CUDA libraries, from PyTorch's own index (its 2.x+cpu goes before PyPI's 2.x); empty: PyPI's.
TORCH  ?=
INDEX  := $(if $(TORCH),--extra-index-url https://download.pytorch.org/whl/$(TORCH))
# Unit tests that train nothing and load no network.
FAST   := $(patsubst %,tests/test_%.py,delta files metrics notebooks repository schedule)
# Files side by side, one core each: two processes of two threads would hinder each other.
SPREAD := -n auto --maxprocesses 4 --dist loadfile
ALONE  := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help env run test quick lint types lab bench blogpost clean

help:
	@echo "make run                  create the environment, execute all notebooks, refresh figures/"
	@echo "make run DOMAIN=name      the same on another domain; executed copies go to runs/name/"
	@echo "make test                 unit tests, then every notebook cell by cell against its stored output"
	@echo "make quick                style and the fast unit tests, under a minute"
	@echo "make lint                 style (ruff)"
	@echo "make types                types (pyright)"
	@echo "make lab                  open JupyterLab in notebooks/"
	@echo "make bench                measure speed and memory"
	@echo "make blogpost             renew the numbers of blogpost.md, and write it as a page, runs/blogpost.html"
	@echo "make env                  only create the environment ($(VENV)); 6.2 GB on Linux, CUDA libraries included"
	@echo "make env TORCH=cpu        the same without CUDA libraries, about 2 GB"
	@echo "make clean                remove the environment and runs/"

env: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "error: $(PYTHON) is too old or missing; expected Python 3.11 or newer; run make PYTHON=/path/to/python3.11"; exit 2; }
	@case "$(TORCH)" in ""|cpu) ;; \
	  *) echo "error: TORCH=$(TORCH) is not known; expected cpu or nothing; run make env TORCH=cpu"; exit 2;; esac
	@echo "Creating $(VENV): torch and its friends, about 3 minutes and $(if $(TORCH),2 GB,6.2 GB where there are CUDA libraries)."
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "error: $(PYTHON) cannot make environments; expected the module venv; on Debian or Ubuntu install python3-venv"; exit 2; }
	@$(BIN)/python -m pip install $(QUIET) $(INDEX) --constraint constraints.txt -e '.[dev]' || \
	  { echo "The exact versions of constraints.txt could not be installed (see above); trying the ranges of pyproject.toml."; \
	    $(BIN)/python -m pip install $(QUIET) $(INDEX) -e '.[dev]' || \
	    { echo "error: the environment could not be made (see above); with a network, run the same command again"; exit 2; }; }
	@echo "Done. To use it yourself: source $(VENV)/bin/activate"
	@touch $@

run: $(READY)
	@$(BIN)/python notebooks/run_all.py --domain "$(DOMAIN)"

test: $(READY)
	@$(ALONE) $(BIN)/python -m pytest $(SPREAD)
	@$(ALONE) ASYRP_FIGURES="$(CURDIR)/runs/figures" \
	  $(BIN)/python -m pytest $(SPREAD) --nbval --nbval-current-env --nbval-cell-timeout 600 notebooks

quick: lint
	@$(BIN)/python -m pytest $(FAST)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/pyright --pythonpath $(BIN)/python

lab: $(READY)
	@$(BIN)/python -m jupyterlab --notebook-dir=notebooks

bench: $(READY)
	@$(BIN)/python -m asyrp_lib bench

blogpost: $(READY)
	@$(BIN)/python -m asyrp_lib.report.blogpost --domain "$(DOMAIN)"

clean:
	rm -rf $(VENV) runs
