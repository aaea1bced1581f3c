# On a fresh Debian machine: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin

.PHONY: demo test test-fast lint setup clean

demo: setup
	$(BIN)/tinyflow demo

# One thread a process: torch's two threads on two busy cores wait for each other.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# What is written here reads alike: formatters, linters and types, all with their settings in pyproject.toml and .clang-format.
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $$(find firmware -name '*.c' -o -name '*.h' -o -name '*.cc')

# Only what runs everywhere in a few minutes.
test-fast: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not qemu"

setup: .venv/.ready

.venv/.ready: pyproject.toml setup.sh
	./setup.sh "$(PYTHON)"

clean:
	rm -rf .venv build *.egg-info
