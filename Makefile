# Needs Python >= 3.11 with venv and headers, a C++ compiler and make; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NATIVE := $(wildcard laminar/_native/*.pyx laminar/_native/*.pxd laminar/_native/*.hpp)
WORKERS ?= 2

.PHONY: build test test-deps demo bench soak lint wheel clean

build: $(VENV)/.native

# The dependencies, and the package itself in editable form.
$(VENV)/.deps: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Laminar needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	LAMINAR_SKIP_NATIVE=1 $(BIN)/pip install -q --disable-pip-version-check -e '.[test]'
	@touch $@

# The compiled modules: only those whose sources changed.
$(VENV)/.native: $(VENV)/.deps setup.py $(NATIVE)
	$(BIN)/python setup.py -q build_ext --inplace
	@touch $@

test-deps:
	tools/install_test_deps.sh

# TESTS narrows: make test TESTS=tests/connectors
test: build test-deps
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(TESTS)

demo: build
	$(BIN)/python -m examples.flights.demo

# BENCH and NEXMARK pass flags: make bench BENCH='--scale 0.1' NEXMARK='--events 500000'; the last command
# compares with PostgreSQL, shortly.
bench: build test-deps
	$(BIN)/python -m benchmarks.run $(BENCH)
	$(BIN)/python -m benchmarks.nexmark.run $(NEXMARK)
	$(BIN)/python -m benchmarks.clients.run --seconds 2 --rounds 1 --rows 200000

# Hundreds of kills, then VIEW_SECONDS of views of every kind; KILLS=n for another number. benchmarks/SOAK.md has the last result.
KILLS ?= 300
VIEW_SECONDS ?= 1200
soak: build test-deps
	$(BIN)/python -m tests.soak --kills $(KILLS) --record benchmarks/SOAK.md
	$(BIN)/python -m tests.soak.views --seconds $(VIEW_SECONDS)

lint: build
	$(BIN)/ruff check .
	$(BIN)/mypy

wheel: build
	$(BIN)/pip wheel -q --no-deps --no-build-isolation -w dist .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .benchmarks
	rm -f laminar/_native/*.so laminar/_native/*.cpp
