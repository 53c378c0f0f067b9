# Two commands: `make run` and `make test`.  Both need nothing but make and Python 3.11 or newer.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DOMAIN ?= synthfaces
READY  := $(VENV)/.ready
QUIET  := --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help env run test lab bench clean

help:
	@echo "make run                  create the environment, execute all notebooks, refresh figures/"
	@echo "make run DOMAIN=name      the same on another domain; executed copies go to runs/name/"
	@echo "make test                 unit tests, then every notebook cell by cell against its stored output"
	@echo "make lab                  open JupyterLab in notebooks/"
	@echo "make bench                measure speed and memory"
	@echo "make env                  only create the environment ($(VENV))"
	@echo "make clean                remove the environment and runs/"

env: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "error: $(PYTHON) is too old or missing; expected Python 3.11 or newer; run make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Creating $(VENV): torch and its friends, about 3 minutes and 5.5 GB (CUDA libraries included where there are any)."
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "error: $(PYTHON) cannot make environments; expected the module venv; on Debian or Ubuntu install python3-venv"; exit 2; }
	@$(BIN)/python -m pip install $(QUIET) --constraint constraints.txt -e '.[dev]' || \
	  { echo "The exact versions of constraints.txt could not be installed (see above); trying the ranges of pyproject.toml."; \
	    $(BIN)/python -m pip install $(QUIET) -e '.[dev]' || \
	    { echo "error: the environment could not be made (see above); with a network, run the same command again"; exit 2; }; }
	@echo "Done. To use it yourself: source $(VENV)/bin/activate"
	@touch $@

run: $(READY)
	@$(BIN)/python notebooks/run_all.py --domain "$(DOMAIN)"

test: $(READY)
	@$(BIN)/python -m pytest
	@$(BIN)/python -m pytest --nbval --nbval-current-env --nbval-cell-timeout 600 notebooks

lab: $(READY)
	@$(BIN)/python -m jupyterlab --notebook-dir=notebooks

bench: $(READY)
	@$(BIN)/python -m asyrp_lib bench

clean:
	rm -rf $(VENV) runs
