# The two commands of the README, `make demo` and `make test`, make their own environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
WORKERS ?= 2
PI_PYTHON ?= $(PYTHON)

# Two workers on two cores must not each start a pool of threads.
test stat slow: export OMP_NUM_THREADS = 1
test stat slow: export OPENBLAS_NUM_THREADS = 1

.PHONY: demo test stat slow check bench bench-continual coverage pi-engine env figures clean

demo: $(VENV)/.installed
	$(BIN)/privacy-audit demo --out audit-report

test: $(VENV)/.installed-dev
	$(RUN) pytest -n $(WORKERS) -m "not slow"

# The same tests under another seed: make stat SEED=7
stat: $(VENV)/.installed-dev
	SEED=$(or $(SEED),1) $(RUN) pytest -n $(WORKERS) -m "not slow"

# Tests of Spark run where it is installed: pip install -e ".[spark]"; it needs Java 17.
slow: $(VENV)/.installed-dev
	$(RUN) pytest -n $(WORKERS) -m slow

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed .bench-venv/.installed
	$(BIN)/python experiments/bench_posterior.py
	$(BIN)/python experiments/bench_probe.py
	$(BIN)/python experiments/bench_command_line.py
	$(BIN)/python experiments/bench_shadow.py
	$(BIN)/python experiments/bench_distribution_training.py
	$(BIN)/python experiments/bench_noise.py
	$(BIN)/python experiments/bench_training_noise.py
	$(BIN)/python experiments/bench_entropy_tracking.py

# Steps of counters beside jax-privacy, draws beside OpenDP.
bench-continual: $(VENV)/.installed .bench-venv/.installed .jax-venv/.installed
	$(BIN)/python experiments/bench_continual.py

# Every estimator of the field on mechanisms of known epsilon.
coverage: $(VENV)/.installed .bench-venv/.installed .jax-venv/.installed
	$(BIN)/python experiments/e_coverage.py

figures: $(VENV)/.installed
	$(BIN)/python experiments/figures.py

# Secure computation, to measure what private inference costs; it needs numpy 1 and an old jax, so it lives apart.
# Its wheels are for Python 3.10 and 3.11 on x86-64 Linux: make pi-engine PI_PYTHON=python3.11
pi-engine: .pi-venv/.installed

env: $(VENV)/.installed-dev

clean:
	rm -rf $(VENV) .bench-venv .jax-venv .pi-venv audit-report build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@ $(VENV)/.installed

# The peers live in environments of their own.
.bench-venv/.installed:
	$(PYTHON) -m venv .bench-venv
	.bench-venv/bin/python -m pip install --quiet --disable-pip-version-check privacy-estimates==0.1.0.post1 opendp==0.16.0
	touch $@

.jax-venv/.installed:
	$(PYTHON) -m venv .jax-venv
	.jax-venv/bin/python -m pip install --quiet --disable-pip-version-check jax-privacy==2.0.0
	touch $@

.pi-venv/.installed:
	$(PI_PYTHON) -m venv .pi-venv
	.pi-venv/bin/python -m pip install --quiet --disable-pip-version-check spu==0.9.5 jax==0.4.34 jaxlib==0.4.34 numpy==1.26.4 scipy==1.17.1 ml_dtypes==0.5.4
	touch $@
